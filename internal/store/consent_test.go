package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/policy"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const day = 24 * time.Hour

// people is a policy with a purpose on each basis, of which the newsletter is confirmed by mail.
func people() store.ConsentPolicy {
	return store.ConsentPolicy{
		Name: "people", Template: "confirm", Channel: "newsletter", ValidFor: 7 * day, KeepRequests: 30 * day, KeepProofs: 365 * day,
		Purposes: []store.Purpose{
			{
				Name: "newsletter", Basis: policy.Consent, DoubleOptIn: true, TextVersion: "2",
				Labels: []store.PurposeLabel{{Locale: "es", Label: "Boletín"}, {Locale: "en", Label: "Newsletter"}},
				Texts:  []store.ConsentText{{Locale: "es", Content: "Quiero el boletín."}},
			},
			{Name: "offers", Basis: policy.Consent},
			{Name: "orders", Basis: policy.Contract},
			{Name: "recalls", Basis: policy.LegalObligation},
		},
	}
}

// newPeople is newSending with a policy about consent in force.
func newPeople(t *testing.T, n int) sending {
	s := newSending(t, n)
	s.exec("insert into template (name, default_locale, content, digest) values ('confirm', 'es', '[]', 'x')")
	s.savePeople(people())
	return s
}

func (s sending) savePeople(p store.ConsentPolicy) {
	s.t.Helper()
	if changed, err := s.SaveConsentPolicy(context.Background(), p); err != nil || !changed {
		s.t.Fatalf("save: changed %v, %v", changed, err)
	}
}

func TestConsentPolicyIsSavedOnce(t *testing.T) {
	s := newPeople(t, 0)
	ctx := context.Background()
	if changed, err := s.SaveConsentPolicy(ctx, people()); err != nil || changed {
		t.Errorf("again: changed %v, %v", changed, err)
	}
	stored, err := s.ConsentPolicies(ctx)
	if err != nil || len(stored) != 1 {
		t.Fatal(stored, err)
	}
	if got := stored[0].Purposes[0].Labels[1].Label + " " + stored[0].Purposes[0].Texts[0].Content; got != "Newsletter Quiero el boletín." {
		t.Errorf("read back: %s", got)
	}
	other := people()
	other.Name = "others"
	var taken *store.PurposeTakenError
	if _, err := s.SaveConsentPolicy(ctx, other); !errors.As(err, &taken) || taken.Policy != "people" {
		t.Errorf("a purpose of another policy: %v", err)
	}
	changedText := people()
	changedText.Purposes[0].Texts[0].Content = "Quiero todo."
	var changed *store.TextChangedError
	if _, err := s.SaveConsentPolicy(ctx, changedText); !errors.As(err, &changed) || changed.Version != "2" {
		t.Errorf("other words under the same version: %v", err)
	}
	if err := s.DormantConsentPolicy(ctx, "people"); err != nil {
		t.Fatal(err)
	}
	s.savePeople(other)
	if purposes, err := s.Purposes(ctx); err != nil || len(purposes) != 4 {
		t.Errorf("purposes: %v, %v", purposes, err)
	}
}

// TestLegalBasisDecidesWhoIsWrittenTo freezes a send of each purpose to five people: one who has granted it, one who has refused
// it, one whose address has, one whose address is suppressed, and one who has said nothing.
func TestLegalBasisDecidesWhoIsWrittenTo(t *testing.T) {
	for purpose, want := range map[string]string{
		"newsletter": "planned 5 sent 0 failed 0 ambiguous 0 pending 1 NoConsent 3 Suppressed 1",
		"orders":     "planned 5 sent 0 failed 0 ambiguous 0 pending 2 NoConsent 2 Suppressed 1",
		"recalls":    "planned 5 sent 0 failed 0 ambiguous 0 pending 4 Suppressed 1",
		"unknown":    "planned 5 sent 0 failed 0 ambiguous 0 pending 1 NoConsent 3 Suppressed 1",
	} {
		t.Run(purpose, func(t *testing.T) {
			s := newPeople(t, 5)
			s.exec("delete from consent")
			s.exec("insert into consent (contact_id, purpose, granted, source) values (1, $1, true, 't'), (2, $1, false, 't'), (3, $1, true, 't'), (4, $1, true, 't')", purpose)
			suppress(t, s, store.Suppression{Address: "c3@people.example", Purpose: purpose, Reason: store.SuppressUnsubscribed, Source: "t"})
			suppress(t, s, store.Suppression{Address: "c4@people.example", Reason: store.SuppressBounced, Source: "t"})
			c := s.config()
			c.Purpose = purpose
			s.upsert(c)
			s.freeze()
			s.wantCounts(want)

			// The intent judges the same: what was pending passes.
			sends, err := s.OpenSends(context.Background())
			if err != nil || len(sends) == 0 || sends[0].State != campaign.Sending {
				return
			}
			l := s.lease(sends[0].ID, "w1")
			terms, err := s.LoadTerms(context.Background(), purpose)
			if err != nil {
				t.Fatal(err)
			}
			rows, err := s.PendingRows(context.Background(), l)
			if err != nil {
				t.Fatal(err)
			}
			b, err := s.CommitBatch(context.Background(), store.BatchRequest{Lease: l, Rows: rows, Terms: terms})
			if err != nil || b.Skipped != 0 || len(b.Recipients) != len(rows) {
				t.Errorf("the intent judged otherwise: %+v, %v", b, err)
			}
		})
	}
}

func suppress(t *testing.T, s sending, list ...store.Suppression) int {
	t.Helper()
	n, err := s.Suppress(context.Background(), list...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSuppressions(t *testing.T) {
	s := newSending(t, 0)
	ctx := context.Background()
	soon, later := time.Now().Add(day).Truncate(time.Second), time.Now().Add(90*day).Truncate(time.Second)
	bounce := func(at time.Time) store.Suppression {
		return store.Suppression{Address: "a@example.com", Reason: store.SuppressBounced, Source: "mail", ExpiresAt: at}
	}
	for i, c := range []struct {
		entry   store.Suppression
		changed int
	}{{bounce(soon), 1}, {bounce(later), 1}, {bounce(soon), 0}, {bounce(time.Time{}), 1}, {bounce(later), 0}} {
		if got := suppress(t, s, c.entry); got != c.changed {
			t.Errorf("entry %d: changed %d, want %d", i, got, c.changed)
		}
	}
	var hash []byte
	if err := s.Pool.QueryRow(ctx, "select keyed_hash(key, 'b@example.com') from secret_key where purpose = 'address'").Scan(&hash); err != nil {
		t.Fatal(err)
	}
	suppress(t, s,
		store.Suppression{Hash: hash, Purpose: "offers", Reason: store.SuppressComplained, Source: "mail", ExpiresAt: soon},
		store.Suppression{Address: "b@example.com", Purpose: "newsletter", Reason: store.SuppressUnsubscribed, Source: "unsubscribe"})
	if _, err := s.Suppress(ctx, store.Suppression{Reason: store.SuppressManual}); err == nil {
		t.Error("a suppression of nobody was taken")
	}

	found, err := s.FindSuppressions(ctx, []string{"b@example.com", "c@example.com", "a@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, fmt.Sprintf("%s %q %s %v", f.Address, f.Purpose, f.Reason, f.ExpiresAt != nil))
	}
	want := []string{`b@example.com "newsletter" unsubscribed false`, `b@example.com "offers" complained true`, `a@example.com "" bounced false`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	counts, err := s.CountSuppressions(ctx)
	wantCounts := []store.SuppressionCount{{"", "bounced", 1, 0}, {"newsletter", "unsubscribed", 1, 0}, {"offers", "complained", 1, 1}}
	if diff := cmp.Diff(wantCounts, counts); diff != "" || err != nil {
		t.Errorf("counts (%v): -want +got:\n%s", err, diff)
	}
	for _, c := range []struct {
		address, purpose string
		ended, kept      int
	}{{"a@example.com", "", 1, 0}, {"b@example.com", "newsletter", 0, 1}, {"b@example.com", "offers", 1, 0}, {"c@example.com", "", 0, 0}} {
		ended, kept, err := s.Unsuppress(ctx, []string{c.address}, c.purpose)
		if err != nil || ended != c.ended || kept != c.kept {
			t.Errorf("%s %s: ended %d, kept %d, %v; want %d, %d", c.address, c.purpose, ended, kept, err, c.ended, c.kept)
		}
	}
}

// TestAHoldersNoIsKept mixes what the holder of an address has said with what others recorded of it: only the holder takes it back, and
// it does not end when the other would have.
func TestAHoldersNoIsKept(t *testing.T) {
	const address = "c1@people.example"
	for name, list := range map[string][]store.Suppression{
		"after a bounce":                 {{Reason: store.SuppressBounced}, {Reason: store.SuppressUnsubscribed}},
		"after one with an end":          {{Reason: store.SuppressManual, ExpiresAt: time.Now().Add(day)}, {Reason: store.SuppressUnsubscribed}},
		"before one with an end":         {{Reason: store.SuppressUnsubscribed}, {Reason: store.SuppressManual, ExpiresAt: time.Now().Add(day)}},
		"with an end, before another":    {{Reason: store.SuppressUnsubscribed, ExpiresAt: time.Now().Add(day)}, {Reason: store.SuppressManual}},
		"with an end, after one without": {{Reason: store.SuppressManual}, {Reason: store.SuppressUnsubscribed, ExpiresAt: time.Now().Add(day)}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSending(t, 1)
			for _, purpose := range []string{"", "newsletter"} {
				for _, one := range list {
					one.Address, one.Purpose, one.Source = address, purpose, "t"
					suppress(t, s, one)
				}
				ended, kept, err := s.Unsuppress(context.Background(), []string{address}, purpose)
				if err != nil || ended != 0 || kept != 1 {
					t.Errorf("purpose %q: ended %d, kept %d, %v", purpose, ended, kept, err)
				}
			}
			if n := s.one("select count(expires_at) from (select expires_at from suppression union all select expires_at from refusal) s"); n != int64(0) {
				t.Errorf("%v of them end", n)
			}
		})
	}
}

// TestAnUnsubscriptionHasNoEnd unsubscribes whose address was said to have done so for a time.
func TestAnUnsubscriptionHasNoEnd(t *testing.T) {
	s := newSending(t, 1)
	s.begin()
	suppress(t, s, store.Suppression{Address: "c1@people.example", Purpose: "newsletter", Reason: store.SuppressUnsubscribed, Source: "t", ExpiresAt: time.Now().Add(day)})
	send, _ := s.one("select id from send").(int64)
	if err := s.Unsubscribe(context.Background(), send, 1); err != nil {
		t.Fatal(err)
	}
	if n := s.one("select count(*) from refusal where expires_at is null"); n != int64(1) {
		t.Error("the refusal ends")
	}
}

// TestAnExpiredSuppressionEnds has an address written to again when the time of its suppression is over.
func TestAnExpiredSuppressionEnds(t *testing.T) {
	s := newSending(t, 2)
	suppress(t, s,
		store.Suppression{Address: "c1@people.example", Reason: store.SuppressBounced, Source: "t", ExpiresAt: time.Now().Add(day)},
		store.Suppression{Address: "c2@people.example", Purpose: "newsletter", Reason: store.SuppressBounced, Source: "t", ExpiresAt: time.Now().Add(day)})
	s.exec("update suppression set expires_at = now() - interval '1 second'")
	s.exec("update refusal set expires_at = now() - interval '1 second'")
	s.begin()
	s.wantCounts("planned 2 sent 0 failed 0 ambiguous 0 pending 2")
	if n, err := s.PurgeConsents(context.Background(), 10); err != nil || n != 2 {
		t.Errorf("purged %d, %v", n, err)
	}
}

// answer has a worker look at the requests.
func (s sending) answer(now time.Time) int {
	s.t.Helper()
	n, err := s.AnswerRequests(context.Background(), now, 100)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s sending) request(address string, purposes ...string) {
	s.t.Helper()
	err := s.RequestConsent(context.Background(), store.ConsentRequest{Address: address, Purposes: purposes, Locale: "es", Source: "shop"})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s sending) confirm(address string) error {
	s.t.Helper()
	var send, contact int64
	err := s.Pool.QueryRow(context.Background(), `select r.send_id, r.contact_id from consent_request r, secret_key k
		where k.purpose = 'address' and r.address_hash = keyed_hash(k.key, $1) order by r.id desc limit 1`, address).Scan(&send, &contact)
	if err != nil {
		s.t.Fatal(err)
	}
	asked, err := s.FindAsked(context.Background(), send, contact)
	if err == nil {
		_, err = s.ConfirmConsent(context.Background(), send, contact, asked.Requests)
	}
	return err
}

func TestDoubleOptIn(t *testing.T) {
	s := newPeople(t, 1)
	const stranger = "new@people.example"
	s.request(stranger, "newsletter")
	s.request(stranger, "newsletter", "offers")
	s.request("c1@people.example", "offers")
	if n := s.answer(noon); n != 2 {
		t.Fatalf("%d requests were looked at, want 2", n)
	}
	if n := s.answer(noon); n != 0 {
		t.Errorf("%d requests were looked at twice", n)
	}
	// What needs no confirmation is granted, by a form; what does is not.
	granted := "select string_agg(contact_id || ' ' || purpose || ' ' || granted || ' ' || by_contact || ' ' || coalesce(method, '-') || ' ' || coalesce(text_version, '-'), ', ' order by contact_id, purpose) from consent"
	if diff := cmp.Diff("1 newsletter true false - -, 1 offers true false form -, 2 offers true false form -", s.one(granted)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	asked := "select string_agg(s.send_key || ' ' || split_part(s.occurrence, '/', 1) || ' ' || l.contact_id || ' ' || l.state, ', ' order by s.id, l.seq) from ledger l join send s on s.id = l.send_id"
	if diff := cmp.Diff("consent-policy/people 2027-03-21 2 pending", s.one(asked)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if left := s.one("select count(*) from consent_request where address is not null"); left != int64(0) {
		t.Errorf("%v requests hold an address that a contact has", left)
	}

	// Asked again on the same day, nobody gets a second mail.
	s.request(stranger, "newsletter")
	s.answer(noon.Add(time.Hour))
	if diff := cmp.Diff("consent-policy/people 2027-03-21 2 pending", s.one(asked)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := s.confirm(stranger); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("1 newsletter true false - -, 1 offers true false form -, 2 newsletter true true double-opt-in 2, 2 offers true false form -", s.one(granted)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// Who has answered may be asked again.
	s.request(stranger, "newsletter")
	s.answer(noon.Add(2 * time.Hour))
	if n := s.one("select count(*) from ledger where contact_id = 2"); n != int64(2) {
		t.Errorf("%v mails in all, want 2", n)
	}
}

// TestAFormDoesNotOverrideItsHolder types an address in whose holder has said no: only they can take it back.
func TestAFormDoesNotOverrideItsHolder(t *testing.T) {
	s := newPeople(t, 2)
	suppress(t, s, store.Suppression{Address: "c1@people.example", Purpose: "offers", Reason: store.SuppressUnsubscribed, Source: "unsubscribe"})
	s.exec("insert into consent (contact_id, purpose, granted, by_contact, source) values (2, 'offers', false, true, 'unsubscribe')")
	s.request("c1@people.example", "offers")
	s.request("c2@people.example", "offers")
	s.answer(noon)
	if n := s.one("select count(*) from consent where purpose = 'offers' and granted"); n != int64(0) {
		t.Errorf("%v consents were granted over a refusal", n)
	}
	for _, address := range []string{"c1@people.example", "c2@people.example"} {
		if err := s.confirm(address); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.one("select count(*) from consent where purpose = 'offers' and granted and by_contact"); n != int64(2) {
		t.Errorf("%v consents are confirmed, want 2", n)
	}
	if n := s.one("select count(*) from refusal"); n != int64(0) {
		t.Errorf("%v refusals are left", n)
	}
}

func TestARequestIsOverInTime(t *testing.T) {
	s := newPeople(t, 1)
	s.request("late@people.example", "newsletter")
	s.answer(noon)
	s.exec("update consent_request set expires_at = now() - interval '1 second'")
	if err := s.confirm("late@people.example"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("confirmed too late: %v", err)
	}
	if n, err := s.PurgeConsents(context.Background(), 10); err != nil || n != 0 {
		t.Errorf("purged %d before the time of retention is over, %v", n, err)
	}
	s.exec("update consent_request set requested_at = now() - interval '31 days'")
	s.request("c1@people.example", "offers")
	s.answer(noon)
	s.exec("update consent_request set requested_at = now() - interval '31 days', expires_at = now() - interval '24 days'")
	if n, err := s.PurgeConsents(context.Background(), 10); err != nil || n != 2 {
		t.Errorf("purged %d, %v; want 2", n, err)
	}
	got := fmt.Sprint(s.one("select count(*) from contact"), s.one("select count(*) from identifier where value = 'late@people.example'"), s.one("select count(*) from consent"))
	if diff := cmp.Diff("1 0 2", got); diff != "" {
		t.Errorf("contacts, addresses of who never confirmed, consents: -want +got:\n%s", diff)
	}
}

// TestRequestsAreForgottenByDefault has requests of policies that say nothing of retention, one of which no worker ever looked at.
func TestRequestsAreForgottenByDefault(t *testing.T) {
	s := newPeople(t, 0)
	p := people()
	p.KeepRequests = 0
	s.savePeople(p)
	s.request("asked@people.example", "newsletter")
	s.answer(noon)
	s.request("unseen@people.example", "newsletter")
	s.exec("update consent_request set requested_at = now() - interval '29 days', expires_at = now() - interval '22 days'")
	if n, err := s.PurgeConsents(context.Background(), 10); err != nil || n != 0 {
		t.Errorf("purged %d after 29 days, %v", n, err)
	}
	s.exec("update consent_request set requested_at = now() - interval '31 days'")
	if n, err := s.PurgeConsents(context.Background(), 10); err != nil || n != 2 {
		t.Errorf("purged %d after 31 days, %v; want 2", n, err)
	}
	got := fmt.Sprint(s.one("select count(*) from contact"), s.one("select count(*) from identifier where value = 'asked@people.example'"))
	if diff := cmp.Diff("0 0", got); diff != "" {
		t.Errorf("contacts, addresses: -want +got:\n%s", diff)
	}
}

// TestWhoIsMoreThanARequestStays keeps a contact that was made for a request, and of whom somebody has told more since.
func TestWhoIsMoreThanARequestStays(t *testing.T) {
	s := newPeople(t, 0)
	for _, address := range []string{"tagged@people.example", "refused@people.example", "alone@people.example"} {
		s.request(address, "newsletter")
	}
	s.answer(noon)
	s.exec("update contact set updated_at = now(), tags = '{vip}' where id = 1") // as an import does
	s.exec("insert into consent (contact_id, purpose, granted, source) values (2, 'newsletter', false, 'import:shop')")
	s.exec("update consent_request set requested_at = now() - interval '31 days', expires_at = now() - interval '24 days'")
	if _, err := s.PurgeConsents(context.Background(), 10); err != nil {
		t.Fatal(err)
	}
	if got := s.one("select string_agg(id::text, ' ' order by id) from contact"); got != "1 2" {
		t.Errorf("the contacts %v are left, want 1 2", got)
	}
}

// TestAMailConfirmsTheAddressItWentTo has somebody with two addresses confirm in a mail to the one what was asked for the other: that
// one is not verified by it, and what its holder has refused stays refused.
func TestAMailConfirmsTheAddressItWentTo(t *testing.T) {
	s := newPeople(t, 1)
	const other = "other@people.example"
	s.exec("insert into identifier (type, value) values ('email', $1)", other)
	s.exec("insert into identifier_link (identifier_id, contact_id, verified, source) select id, 1, false, 'import' from identifier where value = $1", other)
	suppress(t, s, store.Suppression{Address: other, Purpose: "newsletter", Reason: store.SuppressUnsubscribed, Source: "unsubscribe"})
	s.request(other, "newsletter")
	s.answer(noon)
	if err := s.confirm(other); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(s.one("select count(*) from refusal"), s.one("select count(*) from identifier_link where verified"))
	if diff := cmp.Diff("1 1", got); diff != "" {
		t.Errorf("refusals, verified addresses: -want +got:\n%s", diff)
	}
}

func TestEndedProofsArePurged(t *testing.T) {
	s := newPeople(t, 2)
	s.exec("update consent set granted = false")
	s.exec("update consent_history set ended_at = now() - interval '366 days' where contact_id = 1")
	if n, err := s.PurgeConsents(context.Background(), 10); err != nil || n != 1 {
		t.Errorf("purged %d, %v", n, err)
	}
	if n := s.one("select count(*) from consent_history"); n != int64(1) {
		t.Errorf("%v proofs are left", n)
	}
}

func TestAFloodOfRequestsIsBounded(t *testing.T) {
	s := newPeople(t, 0)
	s.exec(`insert into consent_request (policy, address_hash, purposes, versions, source, expires_at)
		select 'people', sha256(i::text::bytea), '{}', '{}', 'x', now() + interval '1 day' from generate_series(1, 10000) i`)
	err := s.RequestConsent(context.Background(), store.ConsentRequest{Address: "a@example.com", Purposes: []string{"offers"}, Source: "shop"})
	if !errors.Is(err, store.ErrTooManyRequests) {
		t.Errorf("got %v", err)
	}
	s.exec("update consent_request set expires_at = now() - interval '1 second'")
	err = s.RequestConsent(context.Background(), store.ConsentRequest{Address: "a@example.com", Purposes: []string{"offers"}, Source: "shop"})
	if err != nil {
		t.Errorf("requests that are over keep others out: %v", err)
	}
}
