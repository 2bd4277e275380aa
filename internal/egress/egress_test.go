package egress_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/egress"
)

func TestWhichAddressesArePublic(t *testing.T) {
	for address, want := range map[string]bool{
		"93.184.215.14": true, "1.1.1.1": true, "100.63.255.255": true, "172.32.0.1": true, "2606:4700::1111": true, "::ffff:1.1.1.1": true,
		"0.0.0.0": false, "10.1.2.3": false, "100.64.0.1": false, "127.0.0.1": false, "127.1.2.3": false, "169.254.169.254": false,
		"172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false, "192.0.0.192": false, "198.18.0.1": false, "224.0.0.1": false,
		"255.255.255.255": false, "::": false, "::1": false, "::127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false,
		"64:ff9b::a00:1": false, "2002:a00:1::1": false, "2001:0:a00::1": false, "fd00:ec2::254": false, "fe80::1": false, "fe80::1%eth0": false,
		"2606:4700::1111%eth0": false, "ff02::1": false, "fec0::1": false, "::ffff:0:a9fe:a9fe": false, "0100:0:0:1::1": false, "4000::1": false,
	} {
		if got := egress.IsPublic(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: public is %t, want %t", address, got, want)
		}
	}
}

func TestTheAddressIsJudgedWhenItIsDialled(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for name, tc := range map[string]struct {
		host    string
		allowed []netip.Prefix
		refused bool
	}{
		"by number":             {host: "127.0.0.1", refused: true},
		"by name":               {host: "localhost", refused: true},
		"in another notation":   {host: "::ffff:127.0.0.1", refused: true},
		"another network":       {host: "127.0.0.1", allowed: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, refused: true},
		"the network":           {host: "127.0.0.1", allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		"the network, by name":  {host: "localhost", allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		"the host, as IPv6 has": {host: "::ffff:127.0.0.1", allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := egress.Dialer{Allowed: tc.allowed}.DialContext(t.Context(), net.JoinHostPort(tc.host, port))
			if err == nil {
				_ = conn.Close()
			}
			if errors.Is(err, egress.ErrForbidden) != tc.refused || !tc.refused && err != nil {
				t.Errorf("got %v, refused: %t", err, tc.refused)
			}
		})
	}
}
