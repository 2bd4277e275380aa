package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestContactSample: what conditions see of a contact is told, and no value by which they are known.
func TestContactSample(t *testing.T) {
	f := newFixture(t)
	made := f.putContacts(`{"source": "shop", "email_verified": true, "contacts": [{"external_id": "C1", "email": "ana@example.com", "time_zone": "Europe/Madrid",
		"tags": ["vip"], "attributes": {"first_name": "Ana", "orders": 3}, "consents": {"newsletter": true, "offers": false}}]}`)
	f.exec(`insert into event_type (name, properties) values ('sampled', '[{"name": "amount", "type": "Decimal"}]')`)
	f.exec(`insert into event (name, occurred_at, identifier_id, contact_id, source, properties)
		select n, '2026-11-01 10:00Z'::timestamptz + g * interval '1 day', i.identifier_id, i.contact_id, 'shop', jsonb_build_object('amount', g)
		from (select * from identifier_link limit 1) i, generate_series(1, 2) g, unnest(array['sampled', 'undeclared']) n`)
	f.exec(`insert into send (id, send_key, occurrence, campaign, purpose, channel, segments, max_recipients, variants, starts_at, deadline, state, frozen_at)
		overriding system value values (7, 'spring', '1', 'spring', 'newsletter', 'mail', '{}', 1, '[]', now(), now(), 'Sending', now())`)
	f.exec(`insert into engaged (contact_id, send_id, what, at) select id, 7, 'opened', '2026-11-05 10:00Z' from contact`)
	f.exec(`insert into ledger (send_id, seq, contact_id, state, settled_at) select 7, 1, id, 'sent', '2026-11-04 10:00Z' from contact`)

	got := f.request(http.MethodGet, "/v1/contacts/"+made[0].ID+"/sample", "")
	if got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	var told map[string]any
	got.json(t, &told)
	delete(told, "created_at")
	want := map[string]any{
		"id": made[0].ID, "time_zone": "Europe/Madrid", "tags": []any{"vip"}, "attributes": map[string]any{"first_name": "Ana", "orders": 3.0},
		"segments": []any{}, "consents": []any{"newsletter"}, "identifiers": []any{"email", "external:shop"},
		"events": []any{
			map[string]any{"event": "sampled", "at": "2026-11-03T10:00:00Z", "fields": map[string]any{"amount": 2.0}},
			map[string]any{"event": "sampled", "at": "2026-11-02T10:00:00Z", "fields": map[string]any{"amount": 1.0}},
		},
		"messages": []any{
			map[string]any{"what": "opened", "campaign": "spring", "at": "2026-11-05T10:00:00Z"},
			map[string]any{"what": "received", "campaign": "spring", "at": "2026-11-04T10:00:00Z"},
		},
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("the sample (-want +got):\n%s", diff)
	}
	if strings.Contains(got.body, "ana@example.com") {
		t.Error("an address is told")
	}
	if gone := f.request(http.MethodGet, "/v1/contacts/00000000-0000-4000-8000-000000000000/sample", ""); gone.status != http.StatusNotFound {
		t.Errorf("of nobody: %d", gone.status)
	}
	if strings.Contains(f.log.String(), "Ana") {
		t.Error("somebody is named in the log")
	}
}
