package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// ErrNotInstalled says that the machine has no PostgreSQL server.
var ErrNotInstalled = errors.New("no PostgreSQL server (initdb, pg_ctl, postgres) on the PATH or in /usr/lib/postgresql: " +
	"install one (on Debian: apt-get install postgresql), version 15 or newer, or name a server with --database-url")

// FindBinaries returns the directory that holds initdb, pg_ctl and postgres: beside the initdb on the PATH, else
// Debian's newest versioned directory, else where Homebrew and the PostgreSQL packages for RPM systems put it.
func FindBinaries() (string, error) {
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(initdb); err == nil && hasServer(filepath.Dir(real)) {
			return filepath.Dir(real), nil
		}
	}
	newest, newestVersion := "", 0
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"} {
		directories, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		for _, dir := range directories {
			if version := trailingNumber(filepath.Base(filepath.Dir(dir))); hasServer(dir) && version > newestVersion {
				newest, newestVersion = dir, version
			}
		}
	}
	if newest == "" {
		return "", ErrNotInstalled
	}
	return newest, nil
}

func hasServer(dir string) bool {
	for _, program := range []string{"initdb", "pg_ctl", "postgres"} {
		if info, err := os.Stat(filepath.Join(dir, program)); err != nil || info.IsDir() {
			return false
		}
	}
	return true
}

// trailingNumber reads the 15 of "15", "pgsql-15" and "postgresql@15".
func trailingNumber(s string) int {
	start := len(s)
	for start > 0 && s[start-1] >= '0' && s[start-1] <= '9' {
		start--
	}
	n, err := strconv.Atoi(s[start:])
	if err != nil {
		return 0
	}
	return n
}

// account is who the server runs as: nil is ourselves.
type account struct{ uid, gid int }

// serverAccount finds an account for the server when we are root, which PostgreSQL refuses to run as.
func serverAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.Atoi(u.Uid)
		if err != nil {
			return nil, fmt.Errorf("read the user id of %s: %w", name, err)
		}
		gid, err := strconv.Atoi(u.Gid)
		if err != nil {
			return nil, fmt.Errorf("read the group id of %s: %w", name, err)
		}
		return &account{uid: uid, gid: gid}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as")
}

// take gives paths to the account, and lets it pass through the directories above them.
func (a *account) take(paths ...string) error {
	if a == nil {
		return nil
	}
	for _, path := range paths {
		if err := os.Chown(path, a.uid, a.gid); err != nil {
			return fmt.Errorf("give %s to the server's account: %w", path, err)
		}
		for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
			info, err := os.Stat(dir)
			if err != nil {
				return err
			}
			if info.Mode().Perm()&0o001 == 0 && info.Mode()&os.ModeSticky == 0 {
				if err := os.Chmod(dir, info.Mode().Perm()|0o001); err != nil {
					return fmt.Errorf("let the server's account pass through %s: %w", dir, err)
				}
			}
		}
	}
	return nil
}

func (a *account) processAttributes() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if a != nil {
		attributes.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	setParentDeathSignal(attributes)
	return attributes
}

// superviseFromOneThread starts a child and waits for it on one thread of the operating system: Linux sends the
// parent-death signal when the thread that forked ends, not the process.
func superviseFromOneThread(cmd *exec.Cmd, started chan<- error, exited chan<- struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	started <- err
	if err == nil {
		_ = cmd.Wait()
	}
	close(exited)
}
