package work_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/inbound/imap/imaptest"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// deliveryReport is what a server sends to the return address of a message that it cannot deliver.
func deliveryReport(id, to, status string) string {
	return strings.ReplaceAll(fmt.Sprintf(`Return-Path: <>
From: MAILER-DAEMON@mx.example
To: %s
Subject: Undelivered mail
Message-ID: <%s@mx.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; somebody@people.example
Action: failed
Status: %s
--b--
`, to, id, status), "\n", "\r\n")
}

func (h *house) count(sql string) (n int) {
	h.t.Helper()
	if err := h.db.Pool.QueryRow(context.Background(), sql).Scan(&n); err != nil {
		h.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// TestWhatComesBackIsHeeded sends over a relay that accepts everything; a server behind it cannot deliver, and says so to the
// envelope's sender.
func TestWhatComesBackIsHeeded(t *testing.T) {
	mailbox := imaptest.New(t)
	h := newHouse(t, 3)
	h.channel(func(e *store.EmailSettings) {
		e.Returns = store.ReturnSettings{
			Address: "bounces@velo.example",
			IMAP:    store.MailboxSettings{Host: mailbox.Host, Port: mailbox.TLSPort, TLS: "Implicit", Mailbox: "INBOX"},
		}
	})
	h.credentials(map[string]credentials.Channel{"newsletter": {InboxUsername: mailbox.Username, InboxPassword: mailbox.Password}})
	h.campaign(nil)
	o := h.options()
	o.MailboxTLS = &tls.Config{RootCAs: mailbox.Trust, MinVersion: tls.VersionTLS12}
	o.ReturnsPoll = 20 * time.Millisecond
	h.worker(o)
	h.becomes("Completed planned 3 sent 3 failed 0 ambiguous 0 pending 0")

	senders := map[string]string{} // by recipient
	for _, m := range h.relay.Messages() {
		senders[m.To] = m.From
	}
	for to, from := range senders {
		if !strings.HasPrefix(from, "bounces+") || !strings.HasSuffix(from, "@velo.example") {
			t.Fatalf("the envelope's sender for %s is %s", to, from)
		}
	}
	mailbox.Put("From: somebody@people.example\r\nTo: hola@velo.example\r\nSubject: other mail\r\n\r\nIt is about nothing of ours.\r\n")
	mailbox.Put(deliveryReport("report-1", senders["c2@people.example"], "5.1.1"))
	mailbox.Put(deliveryReport("report-1", senders["c2@people.example"], "5.1.1")) // a server repeats itself
	mailbox.Put(deliveryReport("forged", "bounces+abcdefghijklmnopqrst@velo.example", "5.1.1"))

	h.eventually("the last one is read", func() bool {
		cursor, err := h.db.LoadCursor(context.Background(), "newsletter")
		return err == nil && cursor.UID == 4
	})
	if got := h.count("select count(*) from returned"); got != 1 {
		t.Errorf("%d notices are kept", got)
	}
	if got := h.count(`select count(*) from suppression x join secret_key k on k.purpose = 'address'
		where x.address_hash = keyed_hash(k.key, 'c2@people.example') and x.reason = 'bounced'`); got != 1 {
		t.Error("the address that is gone is not suppressed")
	}
	if got := h.count("select count(*) from suppression"); got != 1 {
		t.Errorf("%d addresses are suppressed", got)
	}
}

// TestAMailboxThatCannotBeRead is told to the channel's author, and does not keep mail from being sent.
func TestAMailboxThatCannotBeRead(t *testing.T) {
	mailbox := imaptest.New(t)
	h := newHouse(t, 2)
	h.channel(func(e *store.EmailSettings) {
		e.Returns = store.ReturnSettings{
			Address: "bounces@velo.example",
			IMAP:    store.MailboxSettings{Host: mailbox.Host, Port: mailbox.TLSPort, TLS: "Implicit", Mailbox: "INBOX"},
		}
	})
	h.credentials(map[string]credentials.Channel{"newsletter": {InboxUsername: mailbox.Username, InboxPassword: "wrong"}})
	h.campaign(nil)
	o := h.options()
	o.MailboxTLS = &tls.Config{RootCAs: mailbox.Trust, MinVersion: tls.VersionTLS12}
	o.ReturnsPoll = 20 * time.Millisecond
	h.worker(o)
	h.becomes("Completed planned 2 sent 2 failed 0 ambiguous 0 pending 0")
	trouble := func() string {
		state, err := h.db.LoadChannelState(context.Background(), "newsletter")
		if err != nil {
			t.Fatal(err)
		}
		return state.ReturnsTrouble
	}
	h.eventually("the author is told", func() bool { return strings.Contains(trouble(), "LOGIN") })
	h.credentials(map[string]credentials.Channel{"newsletter": {InboxUsername: mailbox.Username, InboxPassword: mailbox.Password}})
	h.eventually("and that it is over", func() bool { return trouble() == "" })
}
