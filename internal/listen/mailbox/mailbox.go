// Package mailbox listens to mails that people write to a mailbox (IMAP4rev1 and rev2). It changes nothing there. A mail that is moved or
// deleted afterwards stays known: that somebody tidies the mailbox takes nothing back that was said.
package mailbox

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/inbound/imap"
	"github.com/tertulia-crm/tertulia/internal/listen"
)

// Settings name a mailbox, as they stand in the source.
type Settings struct {
	Host string `json:"host"`
	Port int    `json:"port"`
	// TLS is StartTLS, Implicit or None, which is for this machine only. Default: Implicit.
	TLS imap.TLSMode `json:"tls"`
	// Mailbox to read. Default: INBOX.
	Mailbox string `json:"mailbox,omitempty"`
}

// The keys of the credentials.
const (
	Username = "username"
	Password = "password"
)

const (
	usualPort   = 143
	usualTLS    = 993
	maxSecret   = 1 << 10
	maxName     = 200
	hashedBytes = 8
)

var host = regexp.MustCompile(`^[0-9a-z:][-0-9a-z._:]{0,252}$`)

// Connector reads one mailbox.
type Connector struct {
	settings Settings
	login    imap.Options
	network  string
	own      string // the mailbox's address, where the user's name is one
	dial     listen.DialFunc
	rhythm   rhythm
	recent   uint32
}

// rhythm is when things are done. Tests have another.
type rhythm struct {
	command time.Duration // a server that has not answered in this time is gone
	idle    time.Duration // a server that says nothing is asked after this time
	look    time.Duration // one that cannot tell what is new is asked so often while it is streamed
}

var usual = rhythm{command: time.Minute, idle: 9 * time.Minute, look: 30 * time.Second}

// New makes a connector.
func New(o listen.Options) (*Connector, error) {
	var s *Settings
	if err := json.Unmarshal(o.Settings, &s); err != nil || s == nil {
		return nil, listen.Troublef(listen.Misdeclared, "The settings cannot be read: host, port, tls and mailbox are known.")
	}
	if trouble := s.complete(); trouble != nil {
		return nil, trouble
	}
	user, password := strings.TrimSpace(o.Credentials[Username]), o.Credentials[Password]
	switch {
	case user == "" || password == "":
		return nil, listen.Troublef(listen.Unauthorized, "The mailbox needs a username and a password: put them into the Secret.")
	case len(user) > maxSecret || len(password) > maxSecret:
		return nil, listen.Troublef(listen.Unauthorized, "The username or the password has more than %d bytes.", maxSecret)
	}
	// People's addresses do not stand in a network's name.
	hashed := sha256.Sum256([]byte(s.Host + "\x00" + user))
	c := &Connector{
		settings: *s, network: "mailbox:" + s.Host + "/" + hex.EncodeToString(hashed[:hashedBytes]),
		login: imap.Options{Host: s.Host, Port: s.Port, TLS: s.TLS, Username: user, Password: password},
		dial:  o.Dial, rhythm: usual, recent: maxRecent,
	}
	if strings.Contains(user, "@") {
		c.own = strings.ToLower(user)
	}
	return c, nil
}

// complete checks settings and fills in what is usual.
func (s *Settings) complete() error {
	s.Host = strings.ToLower(strings.TrimSpace(s.Host))
	s.Mailbox = cmp.Or(s.Mailbox, "INBOX")
	s.TLS = cmp.Or(s.TLS, imap.Implicit)
	if s.Port == 0 {
		s.Port = usualTLS
		if s.TLS != imap.Implicit {
			s.Port = usualPort
		}
	}
	switch {
	case !host.MatchString(s.Host):
		return listen.Troublef(listen.Misdeclared, "The host can be none: write it as imap.velo.example.")
	case s.Port < 1 || s.Port > 65535:
		return listen.Troublef(listen.Misdeclared, "The port cannot be %d: it is 993 with tls Implicit and 143 with StartTLS as a rule.", s.Port)
	case s.TLS != imap.Implicit && s.TLS != imap.StartTLS && s.TLS != imap.None:
		return listen.Troublef(listen.Misdeclared, "The tls is none of StartTLS, Implicit, None.")
	case s.TLS == imap.None && !isLoopback(s.Host):
		return listen.Troublef(listen.Misdeclared, "With tls None the password would travel in the clear: set StartTLS or Implicit.")
	case len(s.Mailbox) > maxName || strings.ContainsFunc(s.Mailbox, func(r rune) bool { return r < ' ' }):
		return listen.Troublef(listen.Misdeclared, "The mailbox's name can be none.")
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Close implements listen.Connector: nothing is kept between polls.
func (c *Connector) Close() error { return nil }

func (c *Connector) server() string {
	return net.JoinHostPort(c.settings.Host, strconv.Itoa(c.settings.Port))
}
