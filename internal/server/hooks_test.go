package server_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/inbound"
	"github.com/tertulia-crm/tertulia/internal/server/sns"
	"github.com/tertulia-crm/tertulia/internal/server/sns/snstest"
	"github.com/tertulia-crm/tertulia/internal/signature"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

const hookSecret = "a-key-of-more-than-24-bytes"

// newHooked serves a tenant whose channel "mail" has a hook, and of which a mail went to ana@example.com. It returns where
// that mail's bounces go.
func newHooked(t *testing.T, hook store.HookSettings, o sns.Options) (f *fixture, returnAddress string) {
	t.Helper()
	f = &fixture{t: t, db: storetest.New(t), roots: t.TempDir(), log: &logBook{}, sns: o}
	f.prepare("")
	dir, err := credentials.Read(f.roots + "/" + tenantID)
	if err == nil {
		dir.Channels = map[string]credentials.Channel{"mail": {HookKey: hookSecret}}
		err = credentials.Write(f.roots, dir)
	}
	if err == nil {
		_, _, err = f.db.SaveChannel(context.Background(), store.Channel{Name: "mail", Type: store.EmailType, Email: store.EmailSettings{
			From: "hola@velo.example", Host: "127.0.0.1", Port: 25, TLS: "None", Returns: store.ReturnSettings{Hook: hook},
		}})
	}
	if err != nil {
		t.Fatal(err)
	}
	f.url = f.serve()
	f.base = f.url + "/t/" + tenantID
	f.mailed("en")
	key, err := f.db.LinkKey(context.Background())
	if err == nil {
		returnAddress, err = inbound.ReturnAddress(key, "bounces@velo.example", inbound.Reference{Send: 1, Seq: 1})
	}
	if err != nil {
		t.Fatal(err)
	}
	return f, returnAddress
}

// sign makes the headers of a report in our own shape.
func sign(id, key, body string, at time.Time) []string {
	return []string{
		signature.IDHeader, id, signature.TimestampHeader, strconv.FormatInt(at.Unix(), 10),
		signature.SignatureHeader, signature.Keys{[]byte(key)}.Sign(id, at, []byte(body)),
	}
}

const (
	returnedQuery   = "select source, source_id, kind, coalesce(class, ''), coalesce(send_id, 0), coalesce(seq, 0) from returned order by id"
	suppressedQuery = `select x.reason, x.source from suppression x join secret_key k on k.purpose = 'address'
		where x.address_hash = keyed_hash(k.key, 'ana@example.com')`
)

func (f *fixture) returnedIs(returned, suppressed []string) {
	f.t.Helper()
	if diff := cmp.Diff(returned, f.rows(returnedQuery)); diff != "" {
		f.t.Errorf("returned: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(suppressed, f.rows(suppressedQuery)); diff != "" {
		f.t.Errorf("suppressed: -want +got:\n%s", diff)
	}
}

func TestGenericHook(t *testing.T) {
	f, address := newHooked(t, store.HookSettings{Type: "Generic"}, sns.Options{})
	body := `{"kind": "bounce", "returnAddress": "` + address + `", "status": "5.1.1", "diagnostic": "550 no such user ana@example.com"}`
	now := time.Now()
	large := strings.Repeat(" ", inbound.MaxHook+1)
	for name, tc := range map[string]struct {
		path, body string
		header     []string
		status     int
	}{
		"without a signature": {"/hooks/mail", body, nil, http.StatusUnauthorized},
		"by another key":      {"/hooks/mail", body, sign("e", "another-key-of-more-than-24", body, now), http.StatusUnauthorized},
		"long ago":            {"/hooks/mail", body, sign("e", hookSecret, body, now.Add(-time.Hour)), http.StatusUnauthorized},
		"another body":        {"/hooks/mail", body, sign("e", hookSecret, body+" ", now), http.StatusUnauthorized},
		"another shape":       {"/hooks/mail", `{"kind": 1}`, sign("e", hookSecret, `{"kind": 1}`, now), http.StatusBadRequest},
		"too large":           {"/hooks/mail", large, sign("e", hookSecret, large, now), http.StatusRequestEntityTooLarge},
		"another channel":     {"/hooks/other", body, sign("e", hookSecret, body, now), http.StatusNotFound},
	} {
		if got := f.visit(http.MethodPost, tc.path, tc.body, tc.header...); got.status != tc.status || strings.Contains(got.body, "@") {
			t.Errorf("%s: status %d, want %d: %s", name, got.status, tc.status, got.body)
		}
	}
	if got := f.visit(http.MethodGet, "/hooks/mail", ""); got.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %d", got.status)
	}
	f.returnedIs(nil, nil)
	for range 2 { // a provider that did not hear the answer repeats itself
		if got := f.visit(http.MethodPost, "/hooks/mail", body, sign("evt_1", hookSecret, body, now)...); got.status != http.StatusOK {
			t.Fatalf("status %d: %s", got.status, got.body)
		}
	}
	f.returnedIs([]string{"generic|evt_1|Bounce|Hard|1|1"}, []string{"bounced|mail"})
	served := f.requestAs("", http.MethodGet, "http://"+f.metrics+"/metrics", "").body
	if !strings.Contains(served, `tertulia_returned_total{channel="mail",kind="Bounce",tenant="velo-test"} 1`+"\n") {
		t.Error("one bounce is not counted")
	}
	if log := f.log.String(); strings.Contains(log, "ana@") || strings.Contains(log, address) || strings.Contains(log, hookSecret) {
		t.Errorf("the log tells too much: %s", log)
	}
}

// TestAHookNeverLies takes the database away: what is not on disk is not acknowledged, and the provider's next try succeeds.
func TestAHookNeverLies(t *testing.T) {
	f, address := newHooked(t, store.HookSettings{Type: "Generic"}, sns.Options{})
	body := `{"kind": "complaint", "returnAddress": "` + address + `"}`
	post := func() answer {
		return f.visit(http.MethodPost, "/hooks/mail", body, sign("evt_1", hookSecret, body, time.Now())...)
	}
	f.visit(http.MethodPost, "/hooks/mail", "") // so that the hook is known
	database := f.db.Pool.Config().ConnConfig.Database
	f.asAdmin("alter database " + database + " allow_connections false")
	f.cutConnections()
	if got := post(); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("while the database is away: status %d, %v", got.status, got.header)
	}
	f.asAdmin("alter database " + database + " allow_connections true")
	gomega.NewWithT(t).Eventually(func() int { return post().status }, patience).Should(gomega.Equal(http.StatusOK))
	f.returnedIs([]string{"generic|evt_1|Complaint||1|1"}, []string{"complained|mail"})
}

func TestMailgunHook(t *testing.T) {
	f, address := newHooked(t, store.HookSettings{Type: "Mailgun"}, sns.Options{})
	post := func(key, token, id string) answer {
		stamp := strconv.FormatInt(time.Now().Unix(), 10)
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(stamp + token))
		return f.visit(http.MethodPost, "/hooks/mail", fmt.Sprintf(`{"signature": {"timestamp": %q, "token": %q, "signature": %q},
			"event-data": {"id": %q, "event": "complained", "recipient": "ana@example.com", "envelope": {"sender": %q}}}`,
			stamp, token, hex.EncodeToString(mac.Sum(nil)), id, address))
	}
	if got := post("another", "t-0", "evt_0"); got.status != http.StatusUnauthorized {
		t.Errorf("another key: status %d", got.status)
	}
	f.returnedIs(nil, nil)
	if got := post(hookSecret, "t-1", "evt_1"); got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	if got := post(hookSecret, "t-1", "evt_2"); got.status != http.StatusUnauthorized {
		t.Errorf("a token that is played again with something else: status %d", got.status)
	}
	f.stop()
	f.url = f.serve() // another server knows it too
	f.base = f.url + "/t/" + tenantID
	if got := post(hookSecret, "t-1", "evt_2"); got.status != http.StatusUnauthorized {
		t.Errorf("a token that is played again to another server: status %d", got.status)
	}
	if got := post(hookSecret, "t-2", "evt_1"); got.status != http.StatusOK {
		t.Errorf("the same event again: status %d", got.status)
	}
	f.returnedIs([]string{"mailgun|evt_1|Complaint||1|1"}, []string{"complained|mail"})
}

func TestSESHook(t *testing.T) {
	service := snstest.New(t)
	f, address := newHooked(t, store.HookSettings{Type: "SES", TopicARN: snstest.Topic}, service.Options())
	subscription := service.Sign(map[string]string{
		"Type": inbound.SNSSubscription, "MessageId": "s-1", "TopicArn": snstest.Topic, "Message": "m", "Token": "token-1", "SubscribeURL": "https://evil.example/",
	})
	if got := f.visit(http.MethodPost, "/hooks/mail", strings.Replace(subscription, "token-1", "token-2", 1)); got.status != http.StatusUnauthorized {
		t.Errorf("a forged subscription: status %d", got.status)
	}
	theirs := service.Sign(map[string]string{
		"Type": inbound.SNSSubscription, "MessageId": "s-1", "TopicArn": snstest.Topic + "2", "Message": "m", "Token": "token-1", "SubscribeURL": "https://evil.example/",
	})
	if got := f.visit(http.MethodPost, "/hooks/mail", theirs); got.status != http.StatusUnauthorized {
		t.Errorf("another topic's subscription: status %d", got.status)
	}
	confirmed := func() (n int) {
		for _, u := range service.Requests() {
			if u.Query().Get("Token") == "token-1" {
				n++
			}
		}
		return n
	}
	if confirmed() != 0 {
		t.Error("a forged subscription was confirmed")
	}
	if got := f.visit(http.MethodPost, "/hooks/mail", subscription); got.status != http.StatusOK || confirmed() != 1 {
		t.Errorf("status %d, %d confirmations: %s", got.status, confirmed(), got.body)
	}
	bounce := service.Sign(map[string]string{
		"Type": inbound.SNSNotification, "MessageId": "n-1", "TopicArn": snstest.Topic, "Message": `{"notificationType": "Bounce",
			"bounce": {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": [{"emailAddress": "ana@example.com", "status": "5.1.1"}]},
			"mail": {"source": "` + address + `"}}`,
	})
	if got := f.visit(http.MethodPost, "/hooks/mail", strings.Replace(bounce, "Permanent", "Transient", 1)); got.status != http.StatusUnauthorized {
		t.Errorf("a forged bounce: status %d", got.status)
	}
	f.returnedIs(nil, nil)
	for range 2 {
		if got := f.visit(http.MethodPost, "/hooks/mail", bounce); got.status != http.StatusOK {
			t.Fatalf("status %d: %s", got.status, got.body)
		}
	}
	f.returnedIs([]string{"ses|n-1/0|Bounce|Hard|1|1"}, []string{"bounced|mail"})
}
