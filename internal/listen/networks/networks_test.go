package networks_test

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/egress"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/networks"
)

func TestOpen(t *testing.T) {
	if diff := cmp.Diff([]string{"Bluesky", "Feed", "Mailbox", "Mastodon", "Webhook"}, networks.Types()); diff != "" {
		t.Errorf("types: -want +got:\n%s", diff)
	}
	var trouble *listen.Trouble
	for _, networkType := range append(networks.Types(), "Tomorrow") {
		o := networks.NewOutside(nil, "").Options()
		o.Source, o.Settings = "source", []byte(`"nonsense"`)
		c, err := networks.Open(networkType, o)
		if c != nil || !errors.As(err, &trouble) || !trouble.Reason.NeedsPerson() {
			t.Errorf("%s with nonsense for settings: %v, %v", networkType, c, err)
		}
	}
}

// Neither HTTP nor anything else reaches an address that is not public, unless its network is allowed.
func TestOutside(t *testing.T) {
	asked := ""
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = r.UserAgent() }))
	defer server.Close()
	for name, tc := range map[string]struct {
		allowed []netip.Prefix
		refused bool
	}{
		"nothing is allowed":         {nil, true},
		"another network is allowed": {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, true},
		"its network is allowed":     {[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := networks.NewOutside(tc.allowed, "1.2.3").Options()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("User-Agent", o.UserAgent)
			response, err := o.Client.Do(r)
			if err == nil {
				_ = response.Body.Close()
			}
			if errors.Is(err, egress.ErrForbidden) != tc.refused || !tc.refused && !strings.HasPrefix(asked, "Tertulia/1.2.3 (") {
				t.Errorf("over HTTP: %v, as %q", err, asked)
			}
			var conn net.Conn
			if conn, err = o.Dial(t.Context(), "tcp", server.Listener.Addr().String()); err == nil {
				_ = conn.Close()
			}
			if errors.Is(err, egress.ErrForbidden) != tc.refused {
				t.Errorf("over TCP: %v", err)
			}
			if _, err := o.Dial(t.Context(), "udp", server.Listener.Addr().String()); err == nil {
				t.Error("UDP is not among what sources are read by")
			}
		})
	}
}

func TestASourceHasAKeyAndAnAddress(t *testing.T) {
	key := networks.Key([]byte("tenant"), "blog")
	if len(key) != 32 || !bytes.Equal(key, networks.Key([]byte("tenant"), "blog")) || bytes.Equal(key, networks.Key([]byte("tenant"), "other")) ||
		bytes.Equal(key, networks.Key([]byte("other"), "blog")) {
		t.Errorf("key %x", key)
	}
	for public, want := range map[string]string{
		"": "", "https://crm.velo.example": "https://crm.velo.example/sources/blog", "http://localhost:8080/t/velo/": "http://localhost:8080/t/velo/sources/blog",
	} {
		if got := networks.Callback(public, "blog"); got != want {
			t.Errorf("%s: %s", public, got)
		}
	}
}
