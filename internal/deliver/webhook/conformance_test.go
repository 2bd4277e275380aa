package webhook

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/signature"
)

var (
	thisMachine = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	keys        = func() signature.Keys {
		k, err := signature.ParseKeys("a new signing key of 24 bytes and more\nthe one before, of 24 bytes and more")
		if err != nil {
			panic(err)
		}
		return k
	}()
)

// connect makes a transport to an endpoint of this machine, closed when the test ends.
func connect(t *testing.T, url string, change func(*Options)) *Transport {
	t.Helper()
	o := Options{URL: url, Keys: keys, Allowed: thisMachine, Connections: delivertest.Connections, Timeout: 10 * time.Second, Connect: 10 * time.Second}
	if change != nil {
		change(&o)
	}
	transport, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	return transport
}

func TestConformance(t *testing.T) {
	for name, tc := range map[string]struct {
		tls  bool
		keys signature.Keys // that the endpoint has
	}{
		"in clear, within a network": {false, keys},
		"over TLS":                   {true, keys[:1]},
		"an endpoint of the old key": {true, keys[1:]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			delivertest.Run(t, func(t *testing.T) (deliver.Transport, delivertest.Remote) {
				remote := delivertest.NewHTTPRemote(t, tc.keys, tc.tls)
				return connect(t, remote.URL(), func(o *Options) { o.TLSConfig = remote.TLSConfig() }), remote
			})
		})
	}
}
