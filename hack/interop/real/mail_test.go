//go:build interop

package real

import (
	"fmt"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/inbound/imap/imaptest"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/local/ports"
)

const mailConfig = `
compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.velo.example
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
smtputf8_enable = yes
virtual_mailbox_domains = velo.example
virtual_mailbox_base = %[2]s
virtual_mailbox_maps = static:%[3]s/
virtual_uid_maps = static:%[4]d
virtual_gid_maps = static:%[5]d
virtual_minimum_uid = 1
`

const mailServices = `
127.0.0.1:%d inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`

// startPostfix starts a Postfix that delivers everything for velo.example into a maildir, and returns where it listens.
func startPostfix(t *testing.T, maildir string) (address string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("Postfix runs as root alone")
	}
	dir, err := os.MkdirTemp("", "tertulia-postfix-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	free, err := ports.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	uid, gid := owner(t, maildir)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Chmod(dir, 0o755))
	config := filepath.Join(dir, "config")
	for _, folder := range []string{config, filepath.Join(dir, "queue"), filepath.Join(dir, "data")} {
		must(os.Mkdir(folder, 0o755))
	}
	must(os.WriteFile(filepath.Join(config, "main.cf"), fmt.Appendf(nil, mailConfig, dir, filepath.Dir(maildir), filepath.Base(maildir), uid, gid), 0o644)) //nolint:gosec // its users read it
	must(os.WriteFile(filepath.Join(config, "master.cf"), fmt.Appendf(nil, mailServices, free[0]), 0o644))                                                  //nolint:gosec // the same
	if out, err := exec.CommandContext(t.Context(), "chown", "postfix", filepath.Join(dir, "data")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), "/usr/sbin/postfix", "-c", config, "check").CombinedOutput(); err != nil {
		t.Fatalf("postfix check: %v\n%s", err, out)
	}
	address = fmt.Sprintf("127.0.0.1:%d", free[0])
	t.Cleanup(func() {
		if log, err := os.ReadFile(filepath.Join(dir, "log")); err == nil && t.Failed() {
			t.Logf("Postfix wrote:\n%s", log)
		}
	})
	startServer(t, exec.CommandContext(t.Context(), "/usr/lib/postfix/sbin/master", "-c", config, "-d"), address)
	return address
}

const letter = "From: =?utf-8?q?Ana_N=C3=BA=C3=B1ez?= <ana@example.com>\r\nTo: <hola@velo.example>\r\nSubject: =?utf-8?q?=C2=BFTen=C3=A9is_tallas=3F?=\r\n" +
	"Message-ID: <uno@example.com>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0100\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" +
	"Content-Transfer-Encoding: 8bit\r\n\r\n¿Tenéis la talla pequeña?\r\n.una línea con punto\r\n"

const answer = "From: <ana@example.com>\r\nTo: <hola@velo.example>\r\nSubject: Re: tallas\r\nMessage-ID: <tres@example.com>\r\n" +
	"In-Reply-To: <dos@velo.example>\r\nReferences: <uno@example.com> <dos@velo.example>\r\nDate: Sun, 22 Nov 2026 11:00:00 +0100\r\n\r\nGracias, la quiero\r\n"

func TestMailbox(t *testing.T) {
	dovecot := imaptest.New(t)
	postfix := startPostfix(t, dovecot.Maildir())
	report := report{"Mailbox", "Postfix, Dovecot (Debian)"}
	c := open(t, "Mailbox", options(t, map[string]any{"host": dovecot.Host, "port": dovecot.Port, "tls": "None"}, map[string]string{
		"username": dovecot.Username, "password": dovecot.Password,
	}))
	r := newReader(t, c, nil)
	r.poll()
	deliver := func(mail string) {
		t.Helper()
		if err := smtp.SendMail(postfix, nil, "ana@example.com", []string{"hola@velo.example"}, []byte(mail)); err != nil {
			t.Fatal(err)
		}
	}
	report.holds(t, "a mail that Postfix took by SMTP and put into Dovecot's maildir", func(t *testing.T) {
		deliver(letter)
		eventually(t, "the mail", r.poll, func() bool { _, there := r.find("talla pequeña"); return there })
		p, _ := r.find("talla pequeña")
		if p.Kind != listen.Message || p.Visibility != listen.Private || p.Title != "¿Tenéis tallas?" || p.Author.Name != "Ana Núñez" || !strings.Contains(p.Text, ".una línea") {
			t.Errorf("the mail is %+v", p)
		}
	})
	report.holds(t, "an answer stands in its thread", func(t *testing.T) {
		first, _ := r.find("talla pequeña")
		deliver(answer)
		eventually(t, "the answer", r.poll, func() bool { _, there := r.find("la quiero"); return there })
		p, _ := r.find("la quiero")
		if p.Thread == "" || p.Thread != first.Thread && p.Thread != first.ID {
			t.Errorf("the first is %+v, the answer %+v", first, p)
		}
	})
	report.holds(t, "a mail is heard of at once while the mailbox is watched (IDLE)", func(t *testing.T) {
		streamer, ok := c.(listen.Streamer)
		if !ok {
			t.Skip("the connector only polls")
		}
		watching := newReader(t, streamer.(listen.Connector), r.at)
		defer watching.begin()()
		deliver(strings.NewReplacer("tres@", "cuatro@", "la quiero", "¿llegó?").Replace(answer))
		watching.await("¿llegó?")
	})
}
