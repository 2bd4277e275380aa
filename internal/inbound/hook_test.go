package inbound_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/inbound"
)

func TestReadGeneric(t *testing.T) {
	address, messageID := returnAddress(t), messageID()
	at := time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		body string
		want inbound.Report
		err  string
	}{
		"a bounce, by where it goes": {
			body: `{"kind": "bounce", "returnAddress": "` + address + `", "status": "5.1.1", "diagnostic": "550 no\nsuch user", "at": "2027-03-21T09:00:00Z"}`,
			want: inbound.Report{Notice: inbound.Notice{Kind: inbound.Bounce, Class: inbound.Hard, Reference: row, Status: "5.1.1", Diagnostic: "550 no such user", At: at}},
		},
		"a bounce, by Message-ID": {
			body: `{"kind": "bounce", "messageId": "` + strings.Trim(messageID, "<>") + `", "class": "soft", "recipient": "ana@people.example"}`,
			want: inbound.Report{Notice: inbound.Notice{Kind: inbound.Bounce, Class: inbound.Soft, Reference: row}},
		},
		"a bounce of nothing of ours": {
			body: `{"kind": "bounce", "class": "hard", "messageId": "<1.2.abc@velo.example>", "recipient": "<ana@people.example>"}`,
			want: inbound.Report{Address: "ana@people.example", Notice: inbound.Notice{Kind: inbound.Bounce, Class: inbound.Hard}},
		},
		"a filter is not the address's fault": {
			body: `{"kind": "bounce", "returnAddress": "` + address + `", "status": "5.7.1"}`,
			want: inbound.Report{Notice: inbound.Notice{Kind: inbound.Bounce, Class: inbound.Soft, Reference: row, Status: "5.7.1"}},
		},
		"a delay": {
			body: `{"kind": "delay", "returnAddress": "` + address + `", "status": "4.2.2"}`,
			want: inbound.Report{Notice: inbound.Notice{Kind: inbound.Delay, Reference: row, Status: "4.2.2"}},
		},
		"a complaint": {
			body: `{"kind": "complaint", "returnAddress": "` + address + `", "feedback": "abuse"}`,
			want: inbound.Report{Notice: inbound.Notice{Kind: inbound.Complaint, Reference: row, Feedback: "abuse"}},
		},
		"a reply": {
			body: `{"kind": "reply", "messageId": "` + messageID + `", "from": "Ana <ana@people.example>", "subject": "Re: hi", "text": "Yes\u0000."}`,
			want: inbound.Report{Notice: inbound.Notice{Kind: inbound.Reply, Reference: row, From: "Ana <ana@people.example>", Subject: "Re: hi", Text: "Yes."}},
		},
		"about nobody":       {body: `{"kind": "complaint"}`, err: "no recipient"},
		"of an unknown kind": {body: `{"kind": "opened", "recipient": "ana@people.example"}`, err: "kind is none of"},
		"of another class":   {body: `{"kind": "bounce", "class": "medium", "recipient": "ana@people.example"}`, err: "class is neither"},
		"an unknown field":   {body: `{"kind": "bounce", "recipent": "ana@people.example"}`, err: `no field "recipent"`},
		"another type":       {body: `{"kind": "bounce", "status": 5}`, err: "status cannot be a JSON number"},
		"two":                {body: `{"kind": "complaint", "recipient": "a@b.example"} {}`, err: "something follows"},
		"no time":            {body: `{"kind": "complaint", "recipient": "a@b.example", "at": "yesterday"}`, err: "at is no time"},
		"no JSON":            {body: `kind=bounce`, err: "no JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := inbound.ReadGeneric(key, "evt_1", []byte(tc.body))
			if tc.err != "" {
				if !errors.Is(err, inbound.ErrReport) || !strings.Contains(err.Error(), tc.err) || strings.Contains(err.Error(), "people.example") {
					t.Fatalf("got %v, want %q", err, tc.err)
				}
				return
			}
			tc.want.ID = "evt_1"
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
		})
	}
	for _, id := range []string{"", strings.Repeat("x", 201)} {
		if _, err := inbound.ReadGeneric(key, id, []byte(`{"kind": "complaint", "recipient": "a@b.example"}`)); !errors.Is(err, inbound.ErrReport) {
			t.Errorf("an id of %d bytes: %v", len(id), err)
		}
	}
}

const mailgunKey = "key-of-mailgun"

// mailgunBody signs an event as Mailgun does.
func mailgunBody(at time.Time, hookKey, event string) string {
	stamp := fmt.Sprint(at.Unix())
	mac := hmac.New(sha256.New, []byte(hookKey))
	mac.Write([]byte(stamp + "token-1"))
	return fmt.Sprintf(`{"signature": {"timestamp": %q, "token": "token-1", "signature": %q}, "event-data": %s}`,
		stamp, hex.EncodeToString(mac.Sum(nil)), event)
}

func TestMailgun(t *testing.T) {
	now := time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC)
	messageID := messageID()
	message := `"message": {"headers": {"message-id": "` + strings.Trim(messageID, "<>") + `"}}, "recipient": "ana@people.example", "id": "evt"`
	for name, tc := range map[string]struct {
		event string
		want  []inbound.Report
	}{
		"no such mailbox": {
			`{"event": "failed", "severity": "permanent", "reason": "bounce", "timestamp": 1805619600.5,
				"delivery-status": {"code": 550, "enhanced-code": "5.1.1", "message": "no such user"}, ` + message + `}`,
			[]inbound.Report{{Notice: inbound.Notice{
				Kind: inbound.Bounce, Class: inbound.Hard, Status: "5.1.1", Diagnostic: "no such user", At: time.Unix(1805619600, 5e8),
			}}},
		},
		"without a code of its own": {
			`{"event": "failed", "severity": "permanent", "reason": "bounce", "delivery-status": {"code": 550, "message": "rejected"}, ` + message + `}`,
			[]inbound.Report{{Notice: inbound.Notice{Kind: inbound.Bounce, Class: inbound.Hard, Diagnostic: "rejected"}}},
		},
		"refused for its content": {
			`{"event": "failed", "severity": "permanent", "reason": "bounce", "delivery-status": {"code": 550, "enhanced-code": "5.7.1"}, ` + message + `}`,
			[]inbound.Report{{Notice: inbound.Notice{Kind: inbound.Bounce, Class: inbound.Soft, Status: "5.7.1"}}},
		},
		"tried for too long": {
			`{"event": "failed", "severity": "permanent", "reason": "old", "delivery-status": {"code": 602}, ` + message + `}`,
			[]inbound.Report{{Notice: inbound.Notice{Kind: inbound.Bounce, Class: inbound.Soft}}},
		},
		"bounced before": {
			`{"event": "failed", "severity": "permanent", "reason": "suppress-bounce", "delivery-status": {"code": 605}, ` + message + `}`,
			[]inbound.Report{{Notice: inbound.Notice{Kind: inbound.Bounce, Class: inbound.Hard}}},
		},
		"it goes on trying": {
			`{"event": "failed", "severity": "temporary", "delivery-status": {"code": 452, "enhanced-code": "4.2.2"}, ` + message + `}`,
			[]inbound.Report{{Notice: inbound.Notice{Kind: inbound.Delay, Status: "4.2.2"}}},
		},
		"a complaint":           {`{"event": "complained", ` + message + `}`, []inbound.Report{{Notice: inbound.Notice{Kind: inbound.Complaint}}}},
		"unsubscribed at it":    {`{"event": "failed", "severity": "permanent", "reason": "suppress-unsubscribe", ` + message + `}`, nil},
		"nothing that concerns": {`{"event": "delivered", ` + message + `}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := inbound.OpenMailgun(mailgunKey, []byte(mailgunBody(now, mailgunKey, tc.event)), now.Add(8*time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			got, err := m.Reports(key)
			for i := range tc.want {
				tc.want[i].ID, tc.want[i].Notice.Reference = "evt", row
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
		})
	}
	complained := `{"event": "complained", ` + message + `}`
	for name, tc := range map[string]struct {
		body, key string
		want      error
	}{
		"another key":      {mailgunBody(now, "other", complained), mailgunKey, inbound.ErrSignature},
		"no key":           {mailgunBody(now, "", complained), "", inbound.ErrSignature},
		"long ago":         {mailgunBody(now.Add(-13*time.Hour), mailgunKey, complained), mailgunKey, inbound.ErrSignature},
		"of the future":    {mailgunBody(now.Add(13*time.Hour), mailgunKey, complained), mailgunKey, inbound.ErrSignature},
		"no signature":     {`{"event-data": ` + complained + `}`, mailgunKey, inbound.ErrSignature},
		"another shape":    {`{"signature": "x"}`, mailgunKey, inbound.ErrReport},
		"another token":    {strings.Replace(mailgunBody(now, mailgunKey, complained), "token-1", "token-2", 1), mailgunKey, inbound.ErrSignature},
		"nothing is there": {``, mailgunKey, inbound.ErrReport},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := inbound.OpenMailgun(tc.key, []byte(tc.body), now); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func FuzzReadGeneric(f *testing.F) {
	address := returnAddress(f)
	f.Add(`{"kind": "bounce", "returnAddress": "` + address + `", "status": "5.1.1"}`)
	f.Add(`{"kind": "reply", "recipient": "a@b.example", "text": "\ud800"}`)
	f.Fuzz(func(t *testing.T, body string) {
		got, err := inbound.ReadGeneric(key, "id", []byte(body))
		checkReport(t, got, err)
	})
}

func FuzzMailgun(f *testing.F) {
	now := time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC)
	f.Add(`{"event": "failed", "severity": "permanent", "id": "x", "recipient": "a@b.example", "timestamp": 1e300}`)
	f.Add(`{"event": "complained", "id": "x"}`)
	f.Fuzz(func(t *testing.T, event string) {
		m, err := inbound.OpenMailgun(mailgunKey, []byte(mailgunBody(now, mailgunKey, event)), now)
		if err != nil {
			return
		}
		reports, err := m.Reports(key)
		for _, r := range reports {
			checkReport(t, r, err)
		}
	})
}

func FuzzSES(f *testing.F) {
	f.Add(`{"notificationType": "Bounce", "bounce": {"bouncedRecipients": [{"emailAddress": "a@b.example"}]}, "mail": {"source": "x@y.example"}}`)
	f.Add(`{"eventType": "Complaint", "complaint": {"complainedRecipients": []}}`)
	f.Fuzz(func(t *testing.T, message string) {
		for _, r := range (inbound.SNS{MessageID: "m", Message: message}).SESReports(key) {
			checkReport(t, r, nil)
		}
	})
}

// checkReport checks what must hold of every report, whoever wrote it.
func checkReport(t *testing.T, r inbound.Report, err error) {
	t.Helper()
	if err != nil {
		if !errors.Is(err, inbound.ErrReport) {
			t.Errorf("an error of another kind: %v", err)
		}
		return
	}
	if r.Notice.Reference.Known() == (r.Address != "") {
		t.Errorf("it is about %+v and %q", r.Notice.Reference, r.Address)
	}
	if (r.Notice.Kind == inbound.Bounce) != (r.Notice.Class != "") || r.ID == "" || r.Notice.Kind == "" {
		t.Errorf("%+v", r)
	}
	for _, text := range []string{r.ID, r.Address, r.Notice.Diagnostic, r.Notice.Feedback, r.Notice.From, r.Notice.Subject, r.Notice.Text} {
		if strings.ToValidUTF8(text, "") != text || strings.Contains(text, "\x00") || len(text) > 64<<10 {
			t.Errorf("no database takes %q", text)
		}
	}
	if y := r.Notice.At.Year(); y < -4000 || y > 200000 {
		t.Errorf("no database takes the year %d", y)
	}
}
