package local

// Pids are the processes that belong to a server, itself first.
func (b *OpenBao) Pids() []int { return b.proc.pids() }

// Pids are the processes that belong to a server, itself first.
func (s *Postgres) Pids() []int { return s.proc.pids() }

// Temporary is the directory that goes with the server.
func (s *Postgres) Temporary() string { return s.proc.spec.temporary }

func (p *process) pids() []int { return []int{p.cmd.Process.Pid, p.watch.cmd.Process.Pid} }
