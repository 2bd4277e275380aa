// Package egress opens connections to hosts that a tenant names, and to no host that only we can reach: a service of the
// cluster, a cloud's metadata, a router. The address is judged when it is dialled, after the name was resolved, so that no
// name can lead elsewhere in between.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// ErrForbidden is what every *ForbiddenError is.
var ErrForbidden = errors.New("the address is not public")

// ForbiddenError says that a name leads to an address that may not be dialled.
type ForbiddenError struct {
	Address netip.Addr
}

// Error implements error.
func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("%s is no public address, and the operator does not allow it", e.Address)
}

// Is makes errors.Is(err, ErrForbidden) work.
func (e *ForbiddenError) Is(target error) bool { return target == ErrForbidden }

// Dialer connects to public addresses, and to those of the networks that are allowed.
type Dialer struct {
	// Allowed are networks that are not public and may be dialled all the same.
	Allowed []netip.Prefix
	// Timeout of a connection. Default: 30 s.
	Timeout time.Duration
}

// DialContext connects by TCP to a host and port. Where every address of the host is forbidden it returns a *ForbiddenError.
func (d Dialer) DialContext(ctx context.Context, address string) (net.Conn, error) {
	timeout := d.Timeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	dialer := net.Dialer{Timeout: timeout, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("judge the address: %w", err)
		}
		return d.Check(to.Addr())
	}}
	return dialer.DialContext(ctx, "tcp", address)
}

// Check returns a *ForbiddenError for an address that may not be dialled.
func (d Dialer) Check(address netip.Addr) error {
	address = address.Unmap()
	if IsPublic(address) || slices.ContainsFunc(d.Allowed, func(p netip.Prefix) bool { return p.Contains(address) }) {
		return nil
	}
	return &ForbiddenError{Address: address.WithZone("")}
}

// special are the networks that are not reached over the public internet, or that stand for others: IANA's registries of
// special-purpose addresses (RFC 6890), as of 2025.
var special = func() []netip.Prefix {
	var networks []netip.Prefix
	for _, text := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		// Of IPv6 only 2000::/3 is given out. What lies outside stands for IPv4 addresses, links, sites, groups, or nothing.
		"::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	} {
		networks = append(networks, netip.MustParsePrefix(text))
	}
	return networks
}()

// IsPublic tells whether an address belongs to a host of the public internet.
func IsPublic(address netip.Addr) bool {
	address = address.Unmap()
	return address.IsValid() && address.Zone() == "" && !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(address) })
}
