package drill

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/local/postgres"
)

// machine is a PostgreSQL server of a drill's own.
type machine struct {
	*postgres.Server
	t   *testing.T
	dir string
}

var smallServer = map[string]string{"shared_buffers": "32MB", "max_connections": "60", "autovacuum": "off"}

// newMachine starts a server that has the role owner, who owns databases and may create roles.
func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, dir: machineDir(t)}
	m.start()
	m.super("create role owner login createrole password 'owner'")
	return m
}

func machineDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tertulia-drill-postgres-") // PostgreSQL may run as another user, who cannot enter the test's own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "data")
}

func (m *machine) start() {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	server, err := postgres.Start(ctx, postgres.Options{Dir: m.dir, Settings: smallServer})
	if err != nil {
		m.t.Fatalf("start PostgreSQL: %v", err)
	}
	m.Server = server
	m.t.Cleanup(func() { _ = server.Kill() })
}

// crash ends the server without another word.
func (m *machine) crash() {
	m.t.Helper()
	if err := m.Kill(); err != nil {
		m.t.Fatal(err)
	}
}

// super runs a statement as the server's superuser.
func (m *machine) super(statement string) {
	m.t.Helper()
	m.inDatabase(m.URL("postgres"), statement)
}

func (m *machine) inDatabase(address, statement string, into ...any) {
	m.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if len(into) > 0 {
		err = conn.QueryRow(ctx, statement).Scan(into...)
	} else {
		_, err = conn.Exec(ctx, statement)
	}
	if err != nil {
		m.t.Fatalf("%s: %v", statement, err)
	}
}

// ask reads one value as the superuser.
func ask[T any](m *machine, query string) (value T) {
	m.t.Helper()
	m.inDatabase(m.URL("postgres"), query, &value)
	return value
}

// newDatabase makes an empty database that belongs to the role owner.
func (m *machine) newDatabase(name string) {
	m.t.Helper()
	m.super("create database " + name + " owner owner")
}

// ownerURL names a database as its owner, at this port.
func ownerURL(port int, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword("owner", "owner"), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// dump takes a backup of a database as an SRE would.
func (m *machine) dump(database string) (file string) {
	m.t.Helper()
	file = filepath.Join(m.t.TempDir(), database+".dump")
	m.program("pg_dump", "--format=custom", "--file="+file, "--dbname="+ownerURL(m.Port(), database))
	return file
}

// restore puts a backup back as an SRE would.
func (m *machine) restore(database, file string, options ...string) {
	m.t.Helper()
	m.program("pg_restore", append(options, "--exit-on-error", "--dbname="+ownerURL(m.Port(), database), file)...)
}

// restoreInPlace puts a backup in the place of what is there, in one transaction, while everybody goes on working. pg_restore's
// own --clean cannot drop the indexes of partitions.
func (m *machine) restoreInPlace(database, file string) {
	m.t.Helper()
	script := file + ".sql"
	m.program("pg_restore", "--file="+script, file)
	// Who drops every table while others read them may be the one that a deadlock ends: nothing has changed then, and it is
	// tried again.
	var failed error
	for range 10 {
		failed = m.try("psql", "--quiet", "--no-psqlrc", "--single-transaction", "--set=ON_ERROR_STOP=1", "--dbname="+ownerURL(m.Port(), database),
			"--command=drop schema tertulia cascade", "--file="+script)
		if failed == nil || !strings.Contains(failed.Error(), "deadlock detected") {
			break
		}
	}
	if failed != nil {
		m.t.Fatal(failed)
	}
}

func (m *machine) program(name string, arguments ...string) {
	m.t.Helper()
	if err := m.try(name, arguments...); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) try(name string, arguments ...string) error {
	m.t.Helper()
	bin, err := postgres.FindBinaries()
	if err != nil {
		return err
	}
	if out, err := exec.Command(filepath.Join(bin, name), arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// standby makes a server that follows this one.
func (m *machine) standby() *machine {
	m.t.Helper()
	s := &machine{t: m.t, dir: machineDir(m.t)}
	m.program("pg_basebackup", "--pgdata="+s.dir, "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync", "--dbname="+m.URL("postgres"))
	password, err := os.ReadFile(m.dir + ".password")
	if err == nil {
		err = os.WriteFile(s.dir+".password", password, 0o600)
	}
	if err == nil {
		err = giveLike(m.dir, s.dir)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	s.start()
	return s
}

// giveLike makes the owner of one directory that of everything in another.
func giveLike(like, dir string) error {
	info, err := os.Stat(like)
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	if int(owner.Uid) == os.Geteuid() {
		return nil
	}
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil { //nolint:gosec // the server's account passes through
		return err
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(owner.Uid), int(owner.Gid))
	})
}

// gate is where a tenant's clients find its database, whichever server has it: a Service, in a cluster.
type gate struct {
	listener net.Listener
	mu       sync.Mutex
	target   string
	open     map[net.Conn]struct{}
}

func newGate(t *testing.T) *gate {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{listener: listener, open: map[net.Conn]struct{}{}}
	go g.accept()
	t.Cleanup(func() {
		_ = listener.Close()
		g.lead("")
	})
	return g
}

func (g *gate) port() int { return g.listener.Addr().(*net.TCPAddr).Port }

// lead leads clients to another server from now on, or to none, and cuts those that it led elsewhere.
func (g *gate) lead(target string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.target = target
	for c := range g.open {
		_ = c.Close()
	}
	clear(g.open)
}

func (g *gate) leadTo(m *machine) { g.lead(net.JoinHostPort("127.0.0.1", strconv.Itoa(m.Port()))) }

func (g *gate) accept() {
	for {
		in, err := g.listener.Accept()
		if err != nil {
			return
		}
		go g.pass(in)
	}
}

func (g *gate) pass(in net.Conn) {
	defer func() { _ = in.Close() }()
	g.mu.Lock()
	target := g.target
	g.mu.Unlock()
	out, err := net.DialTimeout("tcp", target, time.Second)
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	g.mu.Lock()
	if g.target != target {
		g.mu.Unlock()
		return
	}
	g.open[in], g.open[out] = struct{}{}, struct{}{}
	g.mu.Unlock()
	done := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			done <- struct{}{}
		}()
	}
	<-done
	g.mu.Lock()
	delete(g.open, in)
	delete(g.open, out)
	g.mu.Unlock()
}
