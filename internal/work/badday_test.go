package work_test

import (
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/deliver/smtp"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/work"
)

// refuseWrites makes the database refuse what the ledger needs, with the words and the code that PostgreSQL has for it.
func refuseWrites(code string) func(h *house, o *work.Options) {
	return func(h *house, _ *work.Options) {
		h.exec(`create function refuse() returns trigger language plpgsql as $$ begin
			raise exception 'could not extend file: No space left on device' using errcode = '` + code + `'; end $$`)
		h.exec("create trigger refuse before update on send_chunk for each statement execute function refuse()")
	}
}

func acceptWrites(h *house) { h.exec("drop trigger refuse on send_chunk") }

// On each bad day the metrics tell what is wrong, nobody is lost, and when it is mended everybody gets the message once.
func TestBadDays(t *testing.T) {
	var clock atomic.Int64 // how far the machine's clock is off where certificates are judged
	cases := map[string]struct {
		why    string
		begin  func(h *house, o *work.Options)
		series string
		tells  func(value float64) bool
		mend   func(h *house)
	}{
		"DiskFull": {
			why: "the database's disk is full", begin: refuseWrites("53100"), mend: acceptWrites,
			series: "tertulia_database_failures_total disk_full " + tenantID, tells: func(n float64) bool { return n > 2 },
		},
		"ReadOnly": {
			why: "the database takes no writes", begin: refuseWrites("25006"), mend: acceptWrites,
			series: "tertulia_database_failures_total read_only " + tenantID, tells: func(n float64) bool { return n > 2 },
		},
		"RelayDown": {
			why: "nobody listens", begin: func(h *house, _ *work.Options) { h.relay.Stop() }, mend: func(h *house) { h.relay.Start() },
			series: "tertulia_channel_trouble newsletter " + tenantID, tells: func(trouble float64) bool { return trouble == 1 },
		},
		"CertificateExpired": {
			why: "the relay's certificate ended a day ago",
			begin: func(h *house, o *work.Options) {
				h.relay.Behave(delivertest.Behaviour{ImplicitTLS: true})
				h.channel(func(e *store.EmailSettings) { e.TLS = "Implicit" })
				clock.Store(int64(48 * time.Hour))
				o.Transport = func(c store.Channel, _ credentials.Channel, certificate func(time.Time)) (deliver.Transport, error) {
					trust := h.relay.TLSConfig()
					trust.Time = func() time.Time { return time.Now().Add(time.Duration(clock.Load())) }
					return smtp.New(smtp.Options{
						Host: c.Email.Host, Port: c.Email.Port, TLS: smtp.Implicit, Connections: 2, TLSConfig: trust, Certificate: certificate,
					})
				}
			},
			mend:   func(*house) { clock.Store(0) },
			series: "tertulia_relay_certificate_expiry_timestamp_seconds newsletter " + tenantID,
			tells:  func(end float64) bool { return math.Abs(end-float64(time.Now().Add(24*time.Hour).Unix())) < 3600 },
		},
		"ClockAhead": {
			why:    "the worker's clock is ten minutes ahead",
			begin:  func(_ *house, o *work.Options) { o.Now = func() time.Time { return time.Now().Add(10 * time.Minute) } },
			mend:   func(*house) {},
			series: "tertulia_clock_offset_seconds " + tenantID, tells: func(offset float64) bool { return math.Abs(offset-600) < 5 },
		},
		"SendStalled": {
			why:    "a template's row cannot be compiled, so that the send rests and its messages stay due",
			begin:  func(h *house, _ *work.Options) { h.template("Hola {{ contact.first_name") },
			mend:   func(h *house) { h.template("Hola {{ contact.first_name }}") },
			series: "tertulia_due_messages newsletter " + tenantID, tells: func(due float64) bool { return due == 5 },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, 5)
			o := measuring(h)
			tc.begin(h, &o)
			h.worker(o)
			h.campaign(nil)
			h.eventually(tc.why+": the metrics should tell", func() bool {
				value, ok := gathered(t, o.Metrics)[tc.series]
				return ok && tc.tells(value)
			})
			tc.mend(h)
			h.becomes("Completed planned 5 sent 5 failed 0 ambiguous 0 pending 0")
			h.everybodyOnce(5)
		})
	}
}
