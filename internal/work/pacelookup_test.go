package work

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// nameServer answers questions for mail exchangers on 127.0.0.1 until the test ends.
type nameServer struct {
	conn net.PacketConn

	mu    sync.Mutex
	asked map[string]int
	reply func(domain string, query dnsmessage.Message) []byte // nil: no answer
}

func newNameServer(t *testing.T, reply func(string, dnsmessage.Message) []byte) *nameServer {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{conn: conn, asked: map[string]int{}, reply: reply}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve()
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return s
}

func (s *nameServer) serve() {
	buffer := make([]byte, 4096)
	for {
		n, from, err := s.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(buffer[:n]) != nil || len(query.Questions) != 1 {
			continue
		}
		domain := strings.TrimSuffix(query.Questions[0].Name.String(), ".")
		s.mu.Lock()
		s.asked[domain]++
		reply := s.reply
		s.mu.Unlock()
		if answer := reply(domain, query); answer != nil {
			_, _ = s.conn.WriteTo(answer, from)
		}
	}
}

func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

func (s *nameServer) total() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, times := range s.asked {
		n += times
	}
	return n
}

// exchangers is an answer with these mail exchangers, each with its preference before it.
func exchangers(query dnsmessage.Message, code dnsmessage.RCode, hosts ...string) []byte {
	answer := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true, RCode: code},
		Questions: query.Questions,
	}
	for _, host := range hosts {
		var preference uint16
		var name string
		if _, err := fmt.Sscanf(host, "%d %s", &preference, &name); err != nil {
			panic(err)
		}
		answer.Answers = append(answer.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: query.Questions[0].Name, Type: dnsmessage.TypeMX, Class: dnsmessage.ClassINET, TTL: 60},
			Body:   &dnsmessage.MXResource{Pref: preference, MX: dnsmessage.MustNewName(name)},
		})
	}
	packed, err := answer.Pack()
	if err != nil {
		panic(err)
	}
	return packed
}

// zones are the answers of a day: honest ones, and those of somebody who means no good.
func zones(domain string, query dnsmessage.Message) []byte {
	const ok = dnsmessage.RCodeSuccess
	switch domain {
	case "gmail.test":
		return exchangers(query, ok, "5 gmail-smtp-in.l.google.com.", "10 alt1.gmail-smtp-in.l.google.com.")
	case "workspace.test":
		return exchangers(query, ok, "20 aspmx2.googlemail.com.", "1 ASPMX.L.GOOGLE.COM.")
	case "outlook.test":
		return exchangers(query, ok, "0 outlook-test.mail.protection.outlook.com.")
	case "british.test":
		return exchangers(query, ok, "10 mx.provider.co.uk.")
	case "own.test":
		return exchangers(query, ok, "10 mail.own-mx.net.")
	case "nomail.test":
		return exchangers(query, ok, "0 .") // RFC 7505
	case "none.test":
		return exchangers(query, ok)
	case "missing.test":
		return exchangers(query, dnsmessage.RCodeNameError)
	case "broken.test":
		return exchangers(query, dnsmessage.RCodeServerFailure)
	case "suffix.test":
		return exchangers(query, ok, "10 co.uk.")
	case "address.test":
		return exchangers(query, ok, "10 127.0.0.1.")
	case "script.test":
		return exchangers(query, ok, "10 <script>.evil.net.", "20 mx.honest.net.")
	case "many.test":
		var hosts []string
		for i := range 30 {
			hosts = append(hosts, fmt.Sprintf("%d m%d.n.net.", 100+i, i))
		}
		return exchangers(query, ok, append(hosts, "1 first.of-many.net.")...)
	case "garbage.test":
		return []byte("this is no message of DNS")
	case "truncated.test":
		answer := exchangers(query, ok, "5 mx.long.net.")
		return answer[:len(answer)-3]
	}
	return nil
}

// loopWith is a loop over a database that knows these domains, each as its own receiver.
func loopWith(t *testing.T, resolver *net.Resolver, domains ...string) *receiverLoop {
	t.Helper()
	db := storetest.New(t)
	for _, domain := range domains {
		_, err := db.Pool.Exec(context.Background(), `
			with r as (insert into receiver (name) values ($1) returning id) insert into receiving_domain (domain, receiver_id) select $1, id from r`, domain)
		if err != nil {
			t.Fatal(err)
		}
	}
	return &receiverLoop{tenant: &tenant{db: db, o: Options{Now: time.Now, StatementLimit: time.Minute, LookupPoll: time.Minute, Resolver: resolver}}}
}

// receivers reads who takes the mail of each domain, with a question mark where that is to be asked again soon.
func receivers(t *testing.T, db *store.DB) map[string]string {
	t.Helper()
	rows, err := db.Pool.Query(context.Background(), `
		select d.domain, r.name || case when d.lookup_failed or d.looked_up_at is null then '?' else '' end from receiving_domain d join receiver r on r.id = d.receiver_id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got := map[string]string{}
	for rows.Next() {
		var domain, receiver string
		if err := rows.Scan(&domain, &receiver); err != nil {
			t.Fatal(err)
		}
		got[domain] = receiver
	}
	return got
}

func TestReceiversAreFoundByTheirMailExchangers(t *testing.T) {
	want := map[string]string{
		"gmail.test": "google.com", "workspace.test": "google.com", "outlook.test": "outlook.com", "british.test": "provider.co.uk", "own.test": "own-mx.net",
		"nomail.test": "nomail.test", "none.test": "none.test", "missing.test": "missing.test", "broken.test": "broken.test?",
		"suffix.test": "suffix.test", "address.test": "address.test", "script.test": "honest.net", "many.test": "of-many.net",
		"garbage.test": "garbage.test?", "truncated.test": "truncated.test?",
	}
	var domains []string
	for domain := range want {
		domains = append(domains, domain)
	}
	s := newNameServer(t, zones)
	l := loopWith(t, s.resolver(), domains...)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := l.round(ctx); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, receivers(t, l.db)); diff != "" {
		t.Errorf("receivers differ (-want +got):\n%s", diff)
	}
	// What is known is not asked for again, nor, for a while, what could not be found out.
	before := s.total()
	if err := l.round(ctx); err != nil {
		t.Fatal(err)
	}
	if asked := s.total() - before; asked > 0 {
		t.Errorf("%d questions for nothing new", asked)
	}
	if _, err := l.db.Pool.Exec(ctx, "update receiving_domain set looked_up_at = now() - interval '15 d' where domain = 'own.test'"); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.reply = func(_ string, query dnsmessage.Message) []byte {
		return exchangers(query, dnsmessage.RCodeSuccess, "5 mx.elsewhere.net.")
	}
	s.mu.Unlock()
	if err := l.round(ctx); err != nil {
		t.Fatal(err)
	}
	if got := receivers(t, l.db)["own.test"]; got != "elsewhere.net" {
		t.Errorf("after a fortnight it is asked again: %s", got)
	}
}

// Where there is no name server, hardly anything is asked, and everything again when there is one.
func TestWithoutANameServer(t *testing.T) {
	s := newNameServer(t, zones)
	online, dials := false, 0
	var mu sync.Mutex
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		dials++
		if !online {
			return nil, &net.OpError{Op: "dial", Net: "udp", Err: fmt.Errorf("network is unreachable")}
		}
		return new(net.Dialer).DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
	l := loopWith(t, resolver, "gmail.test", "workspace.test", "own.test")
	now := time.Now()
	l.o.Now = func() time.Time { return now }
	ctx := context.Background()
	round := func() {
		t.Helper()
		if err := l.round(ctx); err != nil {
			t.Fatal(err)
		}
	}
	round()
	first := dials
	for range 60 { // an hour
		now = now.Add(time.Minute)
		round()
	}
	if tried := dials - first; tried == 0 || tried > 30 {
		t.Errorf("in the next hour it is tried %d times", tried)
	}
	mu.Lock()
	online = true
	mu.Unlock()
	if _, err := l.db.Pool.Exec(ctx, "update receiving_domain set looked_up_at = null"); err != nil { // six hours later
		t.Fatal(err)
	}
	for range 3 {
		now = now.Add(lookupPatience)
		round()
	}
	want := map[string]string{"gmail.test": "google.com", "workspace.test": "google.com", "own.test": "own-mx.net"}
	if diff := cmp.Diff(want, receivers(t, l.db)); diff != "" {
		t.Errorf("receivers differ (-want +got):\n%s", diff)
	}
}

func TestReservedNamesAreNotAskedFor(t *testing.T) {
	l := &receiverLoop{tenant: &tenant{}}
	for _, domain := range []string{"people.example", "example.com", "mail.example.org", "localhost", "a.test", "printer.local"} {
		if got, err := l.receiver(context.Background(), domain); got != domain || err != nil {
			t.Errorf("%s: %s, %v", domain, got, err)
		}
	}
}
