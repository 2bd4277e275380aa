// Package imaptest gives tests a real IMAP server: Dovecot, on 127.0.0.1, with one mailbox, that ends with the test.
package imaptest

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/local/ports"
)

// Dovecot is the server's program; ErrNotInstalled says that the machine has none.
const Dovecot = "dovecot"

// ErrNotInstalled is what Find returns where there is no Dovecot.
var ErrNotInstalled = errors.New("there is no Dovecot with IMAP on this machine: install one (on Debian: apt-get install dovecot-imapd)")

// Find looks for Dovecot, also where only root's PATH leads.
func Find() (string, error) {
	if path, err := exec.LookPath(Dovecot); err == nil {
		return path, nil
	}
	const usual = "/usr/sbin/dovecot"
	if _, err := os.Stat(usual); err == nil {
		return usual, nil
	}
	return "", ErrNotInstalled
}

// Server is a running Dovecot. Its mailbox is INBOX.
type Server struct {
	Host     string
	Port     int // with STARTTLS
	TLSPort  int // with TLS from the first byte
	Username string
	Password string
	// Trust holds the authority of the server's certificate.
	Trust *x509.CertPool

	t       testing.TB
	dir     string
	maildir string
	mails   int
}

// New starts a server, and fails the test where it cannot.
func New(t testing.TB) *Server {
	t.Helper()
	program, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "tertulia-dovecot-") // the server's users cannot enter the test's own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	free, err := ports.Free(2)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		Host: "127.0.0.1", Port: free[0], TLSPort: free[1], Username: "returns", Password: "s3cret",
		Trust: x509.NewCertPool(), t: t, dir: dir, maildir: filepath.Join(dir, "mail"),
	}
	if err := s.configure(dir); err != nil {
		t.Fatalf("configure Dovecot: %v", err)
	}
	if err := s.writePassword(s.Password); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(context.WithoutCancel(t.Context()), program, "-F", "-c", filepath.Join(dir, "dovecot.conf"))
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		t.Fatalf("start Dovecot: %v", err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGTERM)
		_ = command.Wait()
		if log, err := os.ReadFile(filepath.Join(dir, "log")); err == nil && t.Failed() {
			t.Logf("Dovecot said:\n%s", log)
		}
	})
	s.await()
	return s
}

func (s *Server) configure(dir string) error {
	if err := s.certify(dir); err != nil {
		return err
	}
	me, err := user.Current()
	if err != nil {
		return err
	}
	internal, login, owner := "dovecot", "dovenull", "nobody"
	if me.Uid != "0" {
		internal, login, owner = me.Username, me.Username, me.Username
	}
	account, err := user.Lookup(owner)
	if err != nil {
		return err
	}
	for _, folder := range []string{"", "cur", "new", "tmp"} {
		path := filepath.Join(s.maildir, folder)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		uid, _ := strconv.Atoi(account.Uid)
		gid, _ := strconv.Atoi(account.Gid)
		if err := os.Chown(path, uid, gid); err != nil {
			return err
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	config := fmt.Sprintf(`
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/log
protocols = imap
listen = 127.0.0.1
default_internal_user = %[2]s
default_internal_group = %[8]s
default_login_user = %[3]s
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:%[1]s/mail
ssl = yes
ssl_cert = <%[1]s/cert.pem
ssl_key = <%[1]s/key.pem
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%%u %[1]s/users
}
userdb {
  driver = static
  args = uid=%[4]s gid=%[5]s home=%[1]s/home
}
auth_failure_delay = 0
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service imap-login {
  chroot =
  inet_listener imap {
    port = %[6]d
  }
  inet_listener imaps {
    port = %[7]d
    ssl = yes
  }
}
service stats {
  chroot =
}
`, dir, internal, login, account.Uid, account.Gid, s.Port, s.TLSPort, groupOf(internal))
	return os.WriteFile(filepath.Join(dir, "dovecot.conf"), []byte(config), 0o600)
}

// SetPassword lets in who gives this password and nobody else. Who is logged in already stays so.
func (s *Server) SetPassword(password string) {
	s.t.Helper()
	if err := s.writePassword(password); err != nil {
		s.t.Fatal(err)
	}
	// Dovecot looks at the file no more than once in a second of the clock.
	for written := time.Now().Unix(); time.Now().Unix() == written; {
		<-time.After(10 * time.Millisecond)
	}
}

func (s *Server) writePassword(password string) error {
	file := filepath.Join(s.dir, "users")
	if err := os.WriteFile(file+".new", []byte(s.Username+":"+password+"\n"), 0o644); err != nil { //nolint:gosec // the server's user reads it
		return err
	}
	return os.Rename(file+".new", file)
}

// certify writes a certificate for 127.0.0.1: that of the standard library's test servers.
func (s *Server) certify(dir string) error {
	lender := httptest.NewTLSServer(nil)
	defer lender.Close()
	certificate := lender.TLS.Certificates[0]
	s.Trust.AddCert(lender.Certificate())
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func groupOf(name string) string {
	if account, err := user.Lookup(name); err == nil {
		if group, err := user.LookupGroupId(account.Gid); err == nil {
			return group.Name
		}
	}
	return name
}

// await waits until the server greets.
func (s *Server) await() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var dialer net.Dialer
	for {
		c, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port)))
		if err == nil {
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			_, err = c.Read(make([]byte, 1))
			_ = c.Close()
		}
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("Dovecot does not greet: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Maildir is the folder in which the mailbox lies, for a mail server that delivers into it.
func (s *Server) Maildir() string { return s.maildir }

// Put puts a message into the mailbox.
func (s *Server) Put(raw string) {
	s.t.Helper()
	s.mails++
	name := fmt.Sprintf("%d.%06d.test", 1_800_000_000+s.mails, s.mails) // Dovecot numbers them in the order of their names
	temporary, folder := filepath.Join(s.maildir, "tmp", name), filepath.Join(s.maildir, "new")
	// Dovecot tells by its time whether the folder is another one: a message of the tick of the clock in which it looked last is found much later.
	for before := s.modified(folder); ; time.Sleep(time.Millisecond) {
		if err := os.WriteFile(temporary, []byte(raw), 0o644); err != nil { //nolint:gosec // the server's user reads it
			s.t.Fatal(err)
		}
		if s.modified(temporary).After(before) {
			break
		}
	}
	s.give(temporary)
	if err := os.Rename(temporary, filepath.Join(folder, name)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) modified(path string) time.Time {
	s.t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return info.ModTime()
}

// Empty takes all messages out of the mailbox, as another program does.
func (s *Server) Empty() {
	s.t.Helper()
	for _, folder := range []string{"new", "cur"} {
		files, err := filepath.Glob(filepath.Join(s.maildir, folder, "*"))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// give makes a file the server's user's.
func (s *Server) give(file string) {
	if info, err := os.Stat(s.maildir); err == nil {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			_ = os.Chown(file, int(owner.Uid), int(owner.Gid))
		}
	}
}

// Renumber makes the server number the messages anew, as it does when its index is lost.
func (s *Server) Renumber() {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.maildir, "dovecot*"))
	if err != nil || len(files) == 0 {
		s.t.Fatalf("Dovecot has no index yet: %v", err)
	}
	list := filepath.Join(s.maildir, "dovecot-uidlist")
	text, err := os.ReadFile(list)
	if err != nil {
		s.t.Fatal(err)
	}
	var version, validity, next int
	var id string
	if _, err := fmt.Sscanf(string(text), "%d V%d N%d G%s", &version, &validity, &next, &id); err != nil {
		s.t.Fatalf("read Dovecot's list: %v", err)
	}
	for _, f := range files {
		if err := os.RemoveAll(f); err != nil {
			s.t.Fatal(err)
		}
	}
	// Dovecot takes the second for the new validity, which may be that of the old one.
	if err := os.WriteFile(list, fmt.Appendf(nil, "%d V%d N1 G%s\n", version, validity+1, id), 0o644); err != nil { //nolint:gosec // the server's user reads it
		s.t.Fatal(err)
	}
	s.give(list)
}
