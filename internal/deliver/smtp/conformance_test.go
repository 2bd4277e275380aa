package smtp

import (
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
)

func TestConformance(t *testing.T) {
	credentials := map[string]string{"user@relay": "s3cret"}
	for name, tc := range map[string]struct {
		behaviour delivertest.Behaviour
		tls       TLSMode
		stage     delivertest.Stage
	}{
		"pipelined, at RCPT":           {delivertest.Behaviour{}, None, delivertest.Rcpt},
		"pipelined, at DATA":           {delivertest.Behaviour{}, None, delivertest.Data},
		"pipelined, at the dot":        {delivertest.Behaviour{}, None, delivertest.Dot},
		"reply by reply, at RCPT":      {delivertest.Behaviour{NoPipelining: true}, None, delivertest.Rcpt},
		"reply by reply, at DATA":      {delivertest.Behaviour{NoPipelining: true}, None, delivertest.Data},
		"reply by reply, at the dot":   {delivertest.Behaviour{NoPipelining: true}, None, delivertest.Dot},
		"STARTTLS and AUTH":            {delivertest.Behaviour{StartTLS: true, Auth: credentials}, StartTLS, delivertest.Rcpt},
		"implicit TLS, byte by byte":   {delivertest.Behaviour{ImplicitTLS: true, Auth: credentials, Drip: true}, Implicit, delivertest.Dot},
		"no extensions":                {delivertest.Behaviour{NoPipelining: true, No8BitMIME: true, NoSMTPUTF8: true}, None, delivertest.Rcpt},
		"LOGIN on this machine, clear": {delivertest.Behaviour{Auth: credentials, Mechanisms: []string{"LOGIN"}}, None, delivertest.Data},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			delivertest.Run(t, func(t *testing.T) (deliver.Transport, delivertest.Remote) {
				remote := delivertest.NewSMTPRemote(t, tc.behaviour, tc.stage)
				return connect(t, remote.Server, func(o *Options) {
					o.TLS, o.Connections = tc.tls, delivertest.Connections
					o.Timeouts = Timeouts{Connect: 10 * time.Second, Greeting: 10 * time.Second, Command: 10 * time.Second, Data: 10 * time.Second, Dot: 10 * time.Second}
					if tc.behaviour.Auth != nil {
						o.Username, o.Password = "user@relay", "s3cret"
					}
				}), remote
			})
		})
	}
}
