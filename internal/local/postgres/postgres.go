// Package postgres runs a PostgreSQL server as a child process, from an installation that is already on the machine.
// It serves `up`, tests and benchmarks. The server listens on 127.0.0.1 only, unless it is told otherwise.
package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/local/ports"
)

// superuser is the role that initdb makes.
const superuser = "postgres"

// Options tell how a server is run.
type Options struct {
	// Dir holds the cluster's data; initdb fills it when it is empty. It is kept when the server stops.
	Dir string
	// Port to listen on; 0 takes a free one.
	Port int
	// Address is one of this machine's to listen on instead of 127.0.0.1, for clients from the network Clients, such as
	// 10.77.0.0/16, who must know a password as well. Give both or none.
	Address, Clients string
	// Durable keeps fsync, full_page_writes and synchronous_commit on. Tests that crash nothing leave it off.
	Durable bool
	// Log takes the server's log; nil discards it.
	Log io.Writer
	// Settings are further parameters, as in postgresql.conf.
	Settings map[string]string
}

// Server is a running PostgreSQL.
type Server struct {
	address  string
	port     int
	password string
	cmd      *exec.Cmd
	exited   chan struct{}
}

// Start initialises the directory when needed, starts the server and returns when it answers. A server that an earlier
// process left behind on the same directory is ended first.
func Start(ctx context.Context, o Options) (*Server, error) {
	bin, err := FindBinaries()
	if err != nil {
		return nil, err
	}
	owner, err := serverAccount()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("find the directory of PostgreSQL's data: %w", err)
	}
	password, err := initialise(ctx, bin, dir, owner)
	if err != nil {
		return nil, err
	}
	if err := endLeftOver(ctx, bin, dir, owner); err != nil {
		return nil, err
	}
	port := o.Port
	if port == 0 {
		free, err := ports.Free(1)
		if err != nil {
			return nil, err
		}
		port = free[0]
	}
	if o.Address == "" {
		o.Address = "127.0.0.1"
	}
	s := &Server{address: o.Address, port: port, password: password, exited: make(chan struct{})}
	if o.Clients != "" {
		if err := letIn(dir, o.Clients, owner); err != nil {
			return nil, err
		}
	}
	if err := s.launch(filepath.Join(bin, "postgres"), dir, owner, o); err != nil {
		return nil, err
	}
	if err := s.waitReady(ctx); err != nil {
		_ = s.Kill()
		return nil, err
	}
	return s, nil
}

func (s *Server) launch(program, dir string, owner *account, o Options) error {
	args := []string{"-D", dir}
	for name, value := range serverSettings(s.port, dir, o) {
		args = append(args, "-c", name+"="+value)
	}
	s.cmd = exec.Command(program, args...)
	s.cmd.Dir = dir
	s.cmd.Stdout, s.cmd.Stderr = o.Log, o.Log
	s.cmd.SysProcAttr = owner.processAttributes()
	started := make(chan error, 1)
	go superviseFromOneThread(s.cmd, started, s.exited)
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	return nil
}

func serverSettings(port int, dir string, o Options) map[string]string {
	settings := map[string]string{
		"listen_addresses": o.Address, "port": strconv.Itoa(port), "unix_socket_directories": dir,
		"max_connections": "200", "shared_buffers": "256MB", "max_wal_size": "4GB", "timezone": "UTC", "log_timezone": "UTC",
		"logging_collector": "off", "log_min_messages": "warning",
		// A statement's arguments and a row's contents are people: they stay out of the log.
		"log_error_verbosity": "terse", "log_min_error_statement": "panic", "log_parameter_max_length_on_error": "0",
	}
	if !o.Durable {
		settings["fsync"], settings["full_page_writes"], settings["synchronous_commit"] = "off", "off", "off"
		settings["max_wal_size"] = "1GB" // which may be in memory
	}
	if o.Clients != "" {
		settings["hba_file"] = clientsFile(dir)
	}
	for name, value := range o.Settings {
		settings[name] = value
	}
	return settings
}

// clientsFile says who may connect, where clients from a network are let in. It stands beside the data; initdb's own stays as
// it is.
func clientsFile(dir string) string { return dir + ".clients.conf" }

// letIn lets clients from a network connect, with a password.
func letIn(dir, network string, owner *account) error {
	prefix, err := netip.ParsePrefix(network)
	if err != nil {
		return fmt.Errorf("read the network of PostgreSQL's clients: %w", err)
	}
	path := clientsFile(dir)
	lines := "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all " + prefix.String() + " scram-sha-256\n"
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		return fmt.Errorf("say who may connect to PostgreSQL: %w", err)
	}
	return owner.take(path)
}

// Port is where the server listens.
func (s *Server) Port() int { return s.port }

// URL names a database of this server, as its superuser.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, s.password),
		Host: net.JoinHostPort(s.address, strconv.Itoa(s.port)), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Stop ends the server in PostgreSQL's fast mode and waits until it is gone, or kills it when ctx ends first.
func (s *Server) Stop(ctx context.Context) error {
	_ = s.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-s.exited:
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), s.Kill())
	}
}

// Kill ends the server as a crash would (PostgreSQL's immediate mode) and waits until it is gone.
func (s *Server) Kill() error {
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-s.exited:
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
	return nil
}

// Exited is closed when the server has ended, for whatever reason.
func (s *Server) Exited() <-chan struct{} { return s.exited }

func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.exited:
			return errors.New("PostgreSQL ended while it was starting: its log tells why")
		case <-ctx.Done():
			return fmt.Errorf("wait for PostgreSQL: %w", errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// initialise makes the cluster when the directory holds none and returns the superuser's password, which is kept
// beside the data.
func initialise(ctx context.Context, bin, dir string, owner *account) (string, error) {
	secret := dir + ".password"
	if _, err := os.Stat(filepath.Join(dir, "PG_VERSION")); err == nil {
		password, err := os.ReadFile(secret)
		if err != nil {
			return "", fmt.Errorf("read the superuser's password: %w", err)
		}
		return strings.TrimSpace(string(password)), nil
	}
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	password := hex.EncodeToString(random)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the directory of PostgreSQL's data: %w", err)
	}
	if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
		return "", fmt.Errorf("keep the superuser's password: %w", err)
	}
	if err := owner.take(dir, secret); err != nil {
		return "", err
	}
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", dir, "-U", superuser, "--pwfile", secret,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-instructions", "--no-sync")
	initdb.Dir = dir
	initdb.SysProcAttr = owner.processAttributes()
	if out, err := initdb.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initialise PostgreSQL in %s: %w: %s", dir, err, out)
	}
	return password, nil
}

// EndLeftOver ends the server that a killed process left on a directory, for who wants to delete it. Start does so by itself.
func EndLeftOver(ctx context.Context, dir string) error {
	bin, err := FindBinaries()
	if err != nil {
		return err
	}
	owner, err := serverAccount()
	if err != nil {
		return err
	}
	return endLeftOver(ctx, bin, dir, owner)
}

// endLeftOver ends the server of a process that was killed: two postmasters must not share a directory.
func endLeftOver(ctx context.Context, bin, dir string, owner *account) error {
	if _, err := os.Stat(filepath.Join(dir, "postmaster.pid")); err != nil {
		return nil
	}
	stop := exec.CommandContext(ctx, filepath.Join(bin, "pg_ctl"), "-D", dir, "-m", "fast", "-w", "-t", "30", "stop")
	stop.Dir = dir
	stop.SysProcAttr = owner.processAttributes()
	stop.Env = append(os.Environ(), "LC_ALL=C") // so that what it says can be recognised
	out, err := stop.CombinedOutput()
	if err != nil && !namesNobody(string(out)) {
		return fmt.Errorf("end the PostgreSQL server that an earlier run left on %s: %w: %s", dir, err, out)
	}
	return nil
}

// namesNobody recognises what pg_ctl says of a file that a crash left, which names no process, one that has ended, or one of
// somebody else who got its number since. PostgreSQL replaces such a file by itself.
func namesNobody(said string) bool {
	for _, sign := range []string{"Is server running?", "No such process", "Operation not permitted"} {
		if strings.Contains(said, sign) {
			return true
		}
	}
	return false
}
