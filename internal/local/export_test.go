package local

// Pid is the server's process.
func (b *OpenBao) Pid() int { return b.proc.cmd.Process.Pid }

// Watchdog is the process that watches over the server.
func (b *OpenBao) Watchdog() int { return b.proc.watch.cmd.Process.Pid }

// Temporary is the directory that goes with the server.
func (b *OpenBao) Temporary() string { return b.proc.spec.temporary }

// Pid is the server's first process.
func (s *Postgres) Pid() int { return s.proc.cmd.Process.Pid }

// Watchdog is the process that watches over the server.
func (s *Postgres) Watchdog() int { return s.proc.watch.cmd.Process.Pid }

// Temporary is the directory that goes with the server.
func (s *Postgres) Temporary() string { return s.proc.spec.temporary }
