package work_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/policy"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// TestAConfirmationGoesOut has a stranger subscribe over a form: a worker mails them, and the link of the mail makes the consent
// theirs.
func TestAConfirmationGoesOut(t *testing.T) {
	h := newHouse(t, 1)
	ctx := context.Background()
	_, err := h.db.SaveTemplate(ctx, store.Template{Name: "confirm", DefaultLocale: "en", Digest: "c", Content: []store.TemplateContent{{
		Locale: "en", Subject: "Please confirm", HTML: `<p><a href="{{ confirm_url }}">Yes</a></p>`,
	}}})
	if err == nil {
		_, err = h.db.SaveConsentPolicy(ctx, store.ConsentPolicy{
			Name: "people", Template: "confirm", Channel: "newsletter", ValidFor: 48 * time.Hour, KeepRequests: 30 * 24 * time.Hour,
			Purposes: []store.Purpose{{Name: "newsletter", Basis: policy.Consent, DoubleOptIn: true, TextVersion: "3"}},
		})
	}
	if err == nil {
		err = h.db.RequestConsent(ctx, store.ConsentRequest{Address: "new@people.example", Purposes: []string{"newsletter"}, Locale: "en", Source: "shop"})
	}
	if err != nil {
		t.Fatal(err)
	}
	h.worker(h.options())
	var link *url.URL
	h.eventually("the stranger should be asked", func() bool {
		for _, m := range h.relay.Messages() {
			text := strings.ReplaceAll(strings.ReplaceAll(string(m.Data), "=\r\n", ""), "=3D", "=")
			_, after, found := strings.Cut(text, `href="`)
			if m.To != "new@people.example" || !found {
				continue
			}
			address, _, _ := strings.Cut(after, `"`)
			link, err = url.Parse(address)
			return err == nil
		}
		return false
	})
	token, ok := strings.CutPrefix(link.Path, "/s/")
	if !ok || link.Host != "crm.velo.example" {
		t.Fatalf("the mail's link is %s", link)
	}
	key, err := h.db.LinkKey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	send, contact, expires, err := render.VerifyConfirm(key, token)
	if err != nil || time.Until(expires) > 48*time.Hour || time.Until(expires) < 47*time.Hour {
		t.Fatalf("send %d, contact %d, expires %s, %v", send, contact, expires, err)
	}
	asked, err := h.db.FindAsked(ctx, send, contact)
	if err != nil {
		t.Fatal(err)
	}
	if granted, err := h.db.ConfirmConsent(ctx, send, contact, asked.Requests); err != nil || !granted {
		t.Fatalf("granted: %t, %v", granted, err)
	}
	var proof string
	err = h.db.Pool.QueryRow(ctx, "select granted || ' ' || by_contact || ' ' || method || ' ' || text_version from consent where contact_id = $1 and purpose = 'newsletter'", contact).
		Scan(&proof)
	if err != nil || proof != "true true double-opt-in 3" {
		t.Errorf("the consent: %q, %v", proof, err)
	}
	h.eventually("the send that asked should be over", func() bool {
		var state string
		err := h.db.Pool.QueryRow(ctx, "select state from send where id = $1", send).Scan(&state)
		return err == nil && state == "Completed"
	})
}

// TestQuietHoursHoldMessagesBack keeps quiet around the clock of the one recipient who has a zone of their own, and lets the
// others' messages leave.
func TestQuietHoursHoldMessagesBack(t *testing.T) {
	h := newHouse(t, 3)
	// Two hours around now in Tokyo are quiet; for the tenant's UTC they are at another time of the day.
	now := time.Now().UTC().Add(9 * time.Hour)
	h.exec("update contact set time_zone = 'Asia/Tokyo' where id = 2")
	_, err := h.db.SaveSendPolicy(context.Background(), policy.SendPolicy{
		Name: "quiet", Quiet: []campaign.Window{{From: now.Add(-time.Hour).Format("15:04"), To: now.Add(time.Hour).Format("15:04")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.campaign(nil)
	h.worker(h.options())
	h.becomes("Sending planned 3 sent 2 failed 0 ambiguous 0 pending 1")
	h.wantReceived(people([]int{1, 3}...))
	if err := h.db.DormantSendPolicy(context.Background(), "quiet"); err != nil {
		t.Fatal(err)
	}
	// What a worker knows of the policies may be a second old: until then it puts the message off again.
	h.eventually("the last message should be tried again", func() bool {
		h.exec("update ledger set not_before = null where state = 'pending'")
		h.exec("update send_chunk set next_at = '-infinity' where open")
		return h.status().State == campaign.Completed
	})
	h.becomes("Completed planned 3 sent 3 failed 0 ambiguous 0 pending 0")
}
