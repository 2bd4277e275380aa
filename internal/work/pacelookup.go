package work

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"github.com/tertulia-crm/tertulia/internal/health"
)

const (
	// lookupsInRound and lookupsInParallel bound how many domains are asked for at a time, and lookupTimeout for how long.
	lookupsInRound    = 200
	lookupsInParallel = 8
	lookupTimeout     = 5 * time.Second
	// mostExchangers bounds how many of a domain's mail exchangers are looked at.
	mostExchangers = 50
	// lookupPatience is how often it is tried again at most where nothing is told.
	lookupPatience = time.Hour
)

// receiverLoop finds out which domains have the same mail exchangers, so that they share the pace of one receiver: to a
// provider, mail for all its customers' domains is mail to the provider.
type receiverLoop struct {
	*tenant
	failures int       // rounds in a row in which nothing was told
	next     time.Time // not before
}

// round looks the domains up that are due. Where no name server tells anything, as on a machine without a network, it asks for a
// single one now and then.
func (l *receiverLoop) round(ctx context.Context) error {
	now := l.o.Now()
	if now.Before(l.next) {
		return nil
	}
	most := lookupsInRound
	if l.failures > 0 {
		most = 1
	}
	step, cancel := health.Step(ctx, l.o.StatementLimit)
	domains, err := l.db.ClaimDomains(step, most)
	cancel()
	if err != nil || len(domains) == 0 {
		return err
	}
	health.Wait(ctx, lookupsInRound/lookupsInParallel*lookupTimeout+lookupTimeout)
	found := l.lookUp(ctx, domains)
	step, cancel = health.Step(context.WithoutCancel(ctx), l.o.StatementLimit)
	defer cancel()
	if len(found) > 0 {
		l.failures = 0
		return l.db.ResolveReceivers(step, found)
	}
	if ctx.Err() != nil {
		return l.db.UnclaimDomains(step, domains)
	}
	l.failures++
	l.next = now.Add(min(lookupPatience, l.o.LookupPoll<<min(l.failures, 16)))
	if l.failures > 1 {
		return nil // should it be this domain's name servers alone that do not answer, another one is tried next
	}
	logr.FromContextOrDiscard(ctx).Info("no name server tells who takes the mail of domains: each counts as a receiver of its own until one does")
	return l.db.UnclaimDomains(step, domains)
}

// lookUp finds the receivers of domains. Those of which nobody tells are left out: they are asked for again later.
func (l *receiverLoop) lookUp(ctx context.Context, domains []string) map[string]string {
	found := map[string]string{}
	var mu sync.Mutex
	var workers sync.WaitGroup
	queue := make(chan string)
	for range min(lookupsInParallel, len(domains)) {
		workers.Go(func() {
			for domain := range queue {
				name, err := l.receiver(ctx, domain)
				if err != nil {
					continue
				}
				mu.Lock()
				found[domain] = name
				mu.Unlock()
			}
		})
	}
	for _, domain := range domains {
		queue <- domain
	}
	close(queue)
	workers.Wait()
	return found
}

// reservedSuffixes are no names of the Internet (RFC 2606, RFC 6761), and nobody is asked for them.
var reservedSuffixes = []string{"example", "example.com", "example.net", "example.org", "invalid", "local", "localhost", "test"}

// receiver is the name of who takes the mail of a domain.
func (l *receiverLoop) receiver(ctx context.Context, domain string) (string, error) {
	if l.o.Resolver == nil && slices.ContainsFunc(reservedSuffixes, func(s string) bool { return domain == s || strings.HasSuffix(domain, "."+s) }) {
		return domain, nil
	}
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(domain, "."))
	if err != nil {
		return domain, nil // it is no name, and no mail gets there
	}
	resolver := cmp.Or(l.o.Resolver, net.DefaultResolver)
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	// The dot keeps search domains of this machine's out of it.
	exchangers, err := resolver.LookupMX(ctx, name+".")
	var dns *net.DNSError
	switch {
	case len(exchangers) > 0: // beside which there may be names that are none
		return receiverByExchangers(domain, exchangers), nil
	case errors.As(err, &dns) && dns.IsNotFound:
		return domain, nil
	case err != nil:
		return "", err
	}
	return domain, nil
}

// receiverByExchangers is the registrable domain of a domain's first mail exchanger, and the domain itself where that says nothing:
// there is none (RFC 7505 writes a dot), or its name is none.
func receiverByExchangers(domain string, exchangers []*net.MX) string {
	exchangers = slices.Clone(exchangers[:min(len(exchangers), mostExchangers)])
	slices.SortFunc(exchangers, func(a, b *net.MX) int {
		return cmp.Or(cmp.Compare(a.Pref, b.Pref), strings.Compare(strings.ToLower(a.Host), strings.ToLower(b.Host)))
	})
	for _, mx := range exchangers {
		host := strings.ToLower(strings.TrimSuffix(mx.Host, "."))
		if !isHostName(host) {
			continue
		}
		if name, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
			return name
		}
	}
	return domain
}

// isHostName tells whether a name that came from outside is one of letters, digits, hyphens and dots, and no address.
func isHostName(host string) bool {
	const longest = 253
	if host == "" || len(host) > longest || net.ParseIP(host) != nil {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}
