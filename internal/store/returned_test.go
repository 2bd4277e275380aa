package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/tertulia-crm/tertulia/internal/inbound"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// bounce is a report that the message to a row bounced.
func bounce(id string, send, seq int64, class inbound.Class) store.Returned {
	return store.Returned{Source: "imap", SourceID: id, Notice: inbound.Notice{
		Kind: inbound.Bounce, Class: class, Status: "5.1.1", Diagnostic: "550 no such user", Reference: inbound.Reference{Send: send, Seq: seq},
	}}
}

func (s sending) takeReturned(list ...store.Returned) int {
	s.t.Helper()
	taken, err := s.TakeReturned(context.Background(), "newsletter", list, nil)
	if err != nil {
		s.t.Fatalf("take what came back: %v", err)
	}
	return len(taken)
}

// suppressed lists the contacts whose addresses are suppressed now, with the reasons.
func (s sending) suppressed() map[int64]string {
	s.t.Helper()
	rows, err := s.Pool.Query(context.Background(), `
		select il.contact_id, x.reason from suppression x join secret_key k on k.purpose = 'address'
		join identifier i on keyed_hash(k.key, i.value) = x.address_hash join identifier_link il on il.identifier_id = i.id
		where x.expires_at is null or x.expires_at > now()`)
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	found := map[int64]string{}
	for rows.Next() {
		var id int64
		var reason string
		if err := rows.Scan(&id, &reason); err != nil {
			s.t.Fatal(err)
		}
		found[id] = reason
	}
	return found
}

func (s sending) returnedTally(send int64) map[string]int64 {
	s.t.Helper()
	rows, err := s.Pool.Query(context.Background(), "select what, n from returned_tally where send_id = $1", send)
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	tally := map[string]int64{}
	for rows.Next() {
		var what string
		var n int64
		if err := rows.Scan(&what, &n); err != nil {
			s.t.Fatal(err)
		}
		tally[what] = n
	}
	return tally
}

// contactOf is whom a row is to: seqs need not follow the contacts' ids.
func (s sending) contactOf(send, seq int64) (id int64) {
	s.t.Helper()
	if err := s.Pool.QueryRow(context.Background(), "select contact_id from ledger where send_id = $1 and seq = $2", send, seq).Scan(&id); err != nil {
		s.t.Fatal(err)
	}
	return id
}

func TestWhatCameBackIsTakenOnce(t *testing.T) {
	s := newSending(t, 3)
	send := s.begin()
	report := bounce("report-1", send, 1, inbound.Hard)
	if got := s.takeReturned(report, report); got != 1 {
		t.Errorf("%d were new", got)
	}
	if got := s.takeReturned(report); got != 0 {
		t.Errorf("%d were new the second time", got)
	}
	another := bounce("report-2", send, 1, inbound.Hard) // a second report about the same message
	if got := s.takeReturned(another); got != 1 {
		t.Errorf("%d were new", got)
	}
	if diff := cmp.Diff(map[string]int64{"bounced": 1}, s.returnedTally(send)); diff != "" {
		t.Errorf("a message counts once (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[int64]string{s.contactOf(send, 1): "bounced"}, s.suppressed()); diff != "" {
		t.Errorf("suppressed (-want +got):\n%s", diff)
	}
}

func TestWhatFollowsFromWhatCameBack(t *testing.T) {
	s := newSending(t, 6)
	send := s.begin()
	about := func(seq int64, n inbound.Notice) store.Returned {
		n.Reference = inbound.Reference{Send: send, Seq: seq}
		return store.Returned{Source: "imap", SourceID: fmt.Sprintf("%s-%d", n.Kind, seq), Notice: n}
	}
	s.takeReturned(
		about(1, inbound.Notice{Kind: inbound.Bounce, Class: inbound.Hard}),
		about(2, inbound.Notice{Kind: inbound.Complaint, Feedback: "abuse"}),
		about(3, inbound.Notice{Kind: inbound.Bounce, Class: inbound.Soft}),
		about(4, inbound.Notice{Kind: inbound.Delay, Status: "4.4.1"}),
		about(5, inbound.Notice{Kind: inbound.AutoReply}),
		about(6, inbound.Notice{Kind: inbound.Reply, From: "a@b.example", Subject: "Re: x", Text: "Quiero una bici."}),
	)
	want := map[int64]string{s.contactOf(send, 1): "bounced", s.contactOf(send, 2): "complained"}
	if diff := cmp.Diff(want, s.suppressed()); diff != "" {
		t.Errorf("suppressed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(store.Returns{"bounced": 1, "soft-bounced": 1, "complained": 1, "replied": 1}, s.status().Returned); diff != "" {
		t.Errorf("the status differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int64{"bounced": 1, "soft-bounced": 1, "complained": 1, "replied": 1}, s.returnedTally(send)); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
}

// TestNobodyIsSuppressedOnAStrangersWord: a notice without a token of ours is about nobody, whatever it says.
func TestNobodyIsSuppressedOnAStrangersWord(t *testing.T) {
	s := newSending(t, 2)
	send := s.begin()
	stranger := bounce("report-1", 0, 0, inbound.Hard)
	elsewhere := bounce("report-2", send+100, 1, inbound.Hard) // a restored ledger has forgotten it
	s.takeReturned(stranger, elsewhere)
	if got := s.suppressed(); len(got) > 0 {
		t.Errorf("suppressed: %v", got)
	}
}

func TestAProviderNamesAnAddress(t *testing.T) {
	s := newSending(t, 2)
	report := bounce("report-1", 0, 0, inbound.Hard)
	report.Address = "c2@people.example"
	s.takeReturned(report)
	if diff := cmp.Diff(map[int64]string{2: "bounced"}, s.suppressed()); diff != "" {
		t.Errorf("suppressed (-want +got):\n%s", diff)
	}
}

func TestSoftBouncesMakeAnAddressRest(t *testing.T) {
	s := newSending(t, 1)
	send := s.begin()
	for i := range 2 {
		s.takeReturned(bounce(fmt.Sprintf("report-%d", i), send, 1, inbound.Soft))
	}
	if got := s.suppressed(); len(got) > 0 {
		t.Fatalf("suppressed after two: %v", got)
	}
	s.takeReturned(bounce("report-3", send, 1, inbound.Soft))
	if got := s.suppressed(); len(got) != 1 {
		t.Fatalf("suppressed after three: %v", got)
	}
	var rest time.Duration
	if err := s.Pool.QueryRow(context.Background(), "select expires_at - now() from suppression").Scan(&rest); err != nil || rest > inbound.SoftRest || rest < inbound.SoftRest-time.Hour {
		t.Errorf("it rests for %s, %v", rest, err)
	}
	s.exec("update suppression set expires_at = now() - interval '1 second'")
	if got := s.suppressed(); len(got) > 0 {
		t.Errorf("suppressed after the rest: %v", got)
	}
	s.takeReturned(bounce("report-4", send, 1, inbound.Hard)) // what is for good outlasts what was for a time
	if diff := cmp.Diff(map[int64]string{1: "bounced"}, s.suppressed()); diff != "" {
		t.Errorf("suppressed (-want +got):\n%s", diff)
	}
}

// TestConcurrentReturns: a provider that repeats itself, several hooks and a mailbox at once.
func TestConcurrentReturns(t *testing.T) {
	const people, takers = 40, 6
	s := newSending(t, people)
	send := s.begin()
	var all errgroup.Group
	for taker := range takers {
		all.Go(func() error {
			var list []store.Returned
			for i := range people {
				seq := int64(i + 1)
				if taker%2 == 1 {
					seq = int64(people - i) // in the opposite order
				}
				class := inbound.Hard
				if seq%2 == 0 {
					class = inbound.Soft
				}
				list = append(list, bounce(fmt.Sprintf("report-%d", seq), send, seq, class))
			}
			_, err := s.TakeReturned(context.Background(), "newsletter", list, &inbound.Cursor{Validity: 1, UID: uint32(taker)})
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int64{"bounced": people / 2, "soft-bounced": people / 2}, s.returnedTally(send)); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	if got := s.suppressed(); len(got) != people/2 {
		t.Errorf("%d addresses are suppressed", len(got))
	}
}

func TestACursorIsKept(t *testing.T) {
	s := newSending(t, 1)
	send := s.begin()
	ctx := context.Background()
	if got, err := s.LoadCursor(ctx, "newsletter"); err != nil || got != (inbound.Cursor{}) {
		t.Fatalf("before the first time: %+v, %v", got, err)
	}
	want := inbound.Cursor{Validity: 1<<32 - 1, UID: 1<<32 - 1}
	if _, err := s.TakeReturned(ctx, "newsletter", []store.Returned{bounce("report-1", send, 1, inbound.Soft)}, &want); err != nil {
		t.Fatal(err)
	}
	if got, err := s.LoadCursor(ctx, "newsletter"); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}
