package work_test

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/signature"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/work"
)

const signingKey = "a signing key of 24 bytes and more"

// hook has the newsletter posted to an endpoint, and makes a worker that may post to this machine.
func (h *house) hook() (*delivertest.HTTPRemote, work.Options) {
	h.t.Helper()
	keys, err := signature.ParseKeys(signingKey)
	if err != nil {
		h.t.Fatal(err)
	}
	remote := delivertest.NewHTTPRemote(h.t, keys, false)
	_, _, err = h.db.SaveChannel(h.t.Context(), store.Channel{
		Name: "newsletter", Type: store.WebhookType, Webhook: store.WebhookSettings{URL: remote.URL(), Connections: 2, Timeout: 60},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.credentials(map[string]credentials.Channel{"newsletter": {SigningKey: signingKey}})
	o := h.options()
	o.Transport = work.Transports{WebhookNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}.New
	return remote, o
}

func TestACampaignIsPosted(t *testing.T) {
	h := newHouse(t, 40)
	remote, o := h.hook()
	var deferred atomic.Int32
	remote.Behave = func(w http.ResponseWriter, _ *http.Request) bool {
		if deferred.Add(1) > 5 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable) // the first ones are to be posted again
		return true
	}
	h.campaign(nil)
	h.worker(o)
	h.becomes("Completed planned 40 sent 40 failed 0 ambiguous 0 pending 0")
	var publicID string
	if err := h.db.Pool.QueryRow(t.Context(), "select public_id::text from contact where id = 7").Scan(&publicID); err != nil {
		t.Fatal(err)
	}
	emails := map[string]int{}
	for _, id := range remote.Arrived() {
		var got map[string]any
		if err := json.Unmarshal(remote.Content(id), &got); err != nil {
			t.Fatal(err)
		}
		contact, _ := got["contact"].(map[string]any)
		email, _ := contact["email"].(string)
		emails[email]++
		if email != "c7@people.example" {
			continue
		}
		unsubscribe, _ := got["unsubscribe_url"].(string)
		want := map[string]any{
			"type": "campaign.message", "id": id, "campaign": "spring", "send_key": "spring-2027", "variant": "a",
			"contact": map[string]any{"id": publicID, "email": "c7@people.example"}, "locale": "es", "subject": "Hola Ana 7",
			"html":            `<p>Ana 7, 7.5, 1980-02-29, Velo Ciclismo</p><a href="` + unsubscribe + `">baja</a>`,
			"text":            got["text"],
			"unsubscribe_url": unsubscribe,
		}
		if diff := cmp.Diff(want, got); diff != "" || unsubscribe == "" || got["text"] == "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	if diff := cmp.Diff(people(upTo(40)...), emails); diff != "" {
		t.Errorf("posted: -want +got:\n%s", diff)
	}
}

// An endpoint that fails while it has the message leaves it ambiguous, and a wrong address or key leaves it pending.
func TestAnEndpointInTrouble(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		want   string
	}{
		"fails":            {http.StatusInternalServerError, "Completed planned 1 sent 0 failed 0 ambiguous 1 pending 0"},
		"refuses":          {http.StatusUnprocessableEntity, "Completed planned 1 sent 0 failed 1 ambiguous 0 pending 0"},
		"is not there":     {http.StatusNotFound, "Sending planned 1 sent 0 failed 0 ambiguous 0 pending 1"},
		"has another key":  {http.StatusUnauthorized, "Sending planned 1 sent 0 failed 0 ambiguous 0 pending 1"},
		"is of an old URL": {http.StatusPermanentRedirect, "Sending planned 1 sent 0 failed 0 ambiguous 0 pending 1"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, 1)
			remote, o := h.hook()
			remote.Behave = func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(tc.status)
				return true
			}
			h.campaign(nil)
			h.worker(o)
			h.becomes(tc.want)
			h.eventually("the channel should be in trouble, or not", func() bool {
				s, err := h.db.LoadChannelState(t.Context(), "newsletter")
				return err == nil && (s.Trouble != "") == (name != "refuses")
			})
		})
	}
}
