package store_test

import (
	"context"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/pace"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// bucket reads a row of the pace as pace.Bucket has it.
func bucket(t interface{ Fatal(...any) }, db *store.DB, receiver int32) (b pace.Bucket, granted int64) {
	err := db.Pool.QueryRow(context.Background(), "select tokens, debt, filled_at, granted from pace where channel = 'mail' and receiver = $1", receiver).
		Scan(&b.Tokens, &b.Debt, &b.FilledAt, &granted)
	if err != nil {
		t.Fatal(err)
	}
	return b, granted
}

// The statement decides exactly as the pure functions do, whatever the state, the time that passed and what is wanted.
func TestTokensAreTakenAsThePureFunctionsSay(t *testing.T) {
	db := storetest.New(t)
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		limits := pace.Limits{
			PerSecond:          rapid.SampledFrom([]int{0, 1, 7, 200}).Draw(t, "perSecond"),
			PerDomainPerSecond: rapid.SampledFrom([]int{0, 1, 5, 50}).Draw(t, "perDomain"),
			PerDay:             rapid.SampledFrom([]int64{0, 30}).Draw(t, "perDay"),
		}
		day := pace.Day{From: time.Now().Add(-time.Hour).Truncate(time.Microsecond), Bound: limits.PerDay}
		rates := map[int32]pace.Rate{0: pace.Rate(limits.PerSecond)}
		before := map[int32]pace.Bucket{}
		exec := func(sql string, arguments ...any) {
			if _, err := db.Pool.Exec(ctx, sql, arguments...); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
		}
		exec("delete from pace")
		granted := rapid.Int64Range(0, 40).Draw(t, "granted")
		for receiver := int32(0); receiver <= 3; receiver++ {
			var slowed *float64
			if receiver > 0 {
				rates[receiver] = pace.Rate(limits.PerDomainPerSecond)
				if rapid.Bool().Draw(t, "slowed") {
					r := rapid.Float64Range(0.1, 60).Draw(t, "rate")
					slowed = &r
					rates[receiver] = pace.Receiver{Slowed: pace.Rate(r), SlowedFrom: 100}.Effective(rates[receiver])
				}
			}
			b := pace.Bucket{
				Tokens: rapid.Float64Range(0, 60).Draw(t, "tokens"), Debt: rapid.Float64Range(0, 60).Draw(t, "debt"),
				FilledAt: time.Now().Add(-time.Duration(rapid.Int64Range(-1e9, 5e9).Draw(t, "passed"))).Truncate(time.Microsecond),
			}
			before[receiver] = b
			exec("insert into pace (channel, receiver, tokens, debt, filled_at, slowed, day, granted) values ('mail', $1, $2, $3, $4, $5, $6, $7)",
				receiver, b.Tokens, b.Debt, b.FilledAt, slowed, day.From, granted)
		}
		r := store.TokenRequest{Channel: "mail", Limits: limits, Class: rapid.SampledFrom([]pace.Class{pace.Bulk, pace.Transactional}).Draw(t, "class")}
		if limits.Daily() {
			r.Days = []pace.Day{{From: day.From.Add(-24 * time.Hour), Bound: 1}, day, {From: day.From.Add(24 * time.Hour), Bound: 1}}
		}
		for _, receiver := range rapid.Permutation([]int32{0, 1, 2, 3}).Draw(t, "order") {
			if receiver > 0 && rates[receiver] == 0 {
				continue // it has no bucket: the worker asks for it as receiver 0
			}
			r.Wants = append(r.Wants, store.TokenWant{Receiver: receiver, N: rapid.Int64Range(1, 80).Draw(t, "want")})
		}
		got, err := db.TakeTokens(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		checkTaken(t, db, r, day, rates, before, granted, got)
	})
}

func checkTaken(t *rapid.T, db *store.DB, r store.TokenRequest, day pace.Day, rates map[int32]pace.Rate, before map[int32]pace.Bucket, granted int64, got store.Tokens) {
	room := int64(math.MaxInt64)
	whole := r.Limits.PerSecond > 0 || r.Limits.Daily()
	if whole {
		after, _ := bucket(t, db, 0)
		if r.Limits.PerSecond > 0 {
			room = before[0].Fill(rates[0], after.FilledAt).Available(rates[0], r.Class)
		}
		if r.Limits.Daily() {
			room = min(room, day.Room(granted, r.Class))
		}
	}
	offers := make([]int64, len(r.Wants))
	for i, w := range r.Wants {
		offers[i] = w.N
		if w.Receiver != 0 {
			after, _ := bucket(t, db, w.Receiver)
			offers[i] = max(0, min(w.N, before[w.Receiver].Fill(rates[w.Receiver], after.FilledAt).Available(rates[w.Receiver], r.Class)))
		}
	}
	shares := pace.Share(offers, room)
	var total int64
	for i, n := range shares {
		total += n
		if got.Grants[i].N != n {
			t.Fatalf("receiver %d was granted %d, the pure functions say %d (of %v): %+v", r.Wants[i].Receiver, got.Grants[i].N, n, offers, got)
		}
	}
	compare := func(receiver int32, n int64) {
		after, _ := bucket(t, db, receiver)
		want := before[receiver].Fill(rates[receiver], after.FilledAt).Take(n, r.Class)
		if math.Abs(after.Tokens-want.Tokens) > 1e-9 || math.Abs(after.Debt-want.Debt) > 1e-9 {
			t.Fatalf("bucket %d is %+v, the pure functions say %+v", receiver, after, want)
		}
	}
	for i, w := range r.Wants {
		if w.Receiver != 0 {
			compare(w.Receiver, shares[i])
		}
	}
	if r.Limits.PerSecond > 0 {
		compare(0, total)
	}
	if _, counted := bucket(t, db, 0); r.Limits.Daily() && counted != granted+total {
		t.Fatalf("%d count for the day, %d of them now, and %d are written down", granted+total, total, counted)
	}
}

// However many take at once, in whatever order, no more is granted than rate and bound allow, and nobody waits in a circle.
func TestTakersShareTheBuckets(t *testing.T) {
	db := storetest.New(t)
	ctx := context.Background()
	const takers, rounds, bound = 6, 25, 400
	limits := pace.Limits{PerSecond: 300, PerDomainPerSecond: 90, PerDay: bound}
	began := time.Now()
	days := []pace.Day{{From: began.Add(-time.Hour).Truncate(time.Microsecond), Bound: bound}} // which does not end meanwhile
	var mu sync.Mutex
	byReceiver := map[int32]int64{}
	var total int64
	var wait sync.WaitGroup
	for taker := range takers {
		wait.Go(func() {
			for round := range rounds {
				wants := make([]store.TokenWant, 0, 6)
				for i := range 6 {
					wants = append(wants, store.TokenWant{Receiver: int32(1 + (i*(1+taker%5)+taker+round)%7), N: int64(1 + (i+round)%5)})
				}
				wants = unique(wants)
				got, err := db.TakeTokens(ctx, store.TokenRequest{Channel: "mail", Limits: limits, Days: days, Wants: wants})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for i, g := range got.Grants {
					byReceiver[wants[i].Receiver] += g.N
					total += g.N
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	passed := time.Since(began).Seconds()
	for receiver, n := range byReceiver {
		if most := 90 * (1 + passed); float64(n) > most {
			t.Errorf("%d tokens for receiver %d in %.2f s, %.0f at most may be", n, receiver, passed, most)
		}
	}
	if most := 300 * (1 + passed); float64(total) > most || total > bound {
		t.Errorf("%d tokens in %.2f s, %.0f at most and %d a day may be", total, passed, most, bound)
	}
	if _, counted := bucket(t, db, 0); counted != total {
		t.Errorf("%d tokens were granted and %d counted for the day", total, counted)
	}
}

func unique(wants []store.TokenWant) []store.TokenWant {
	seen := map[int32]bool{}
	var kept []store.TokenWant
	for _, w := range wants {
		if !seen[w.Receiver] {
			kept = append(kept, w)
		}
		seen[w.Receiver] = true
	}
	return kept
}

func TestTheBoundOfTheDay(t *testing.T) {
	db := storetest.New(t)
	ctx := context.Background()
	limits := pace.Limits{PerDay: 20}
	today := time.Now().Truncate(time.Microsecond)
	days := []pace.Day{{From: today.Add(-30 * time.Hour), Bound: 20}, {From: today.Add(-time.Hour), Bound: 20}, {From: today.Add(23 * time.Hour), Bound: 20}}
	take := func(c pace.Class, n int64) store.Tokens {
		t.Helper()
		got, err := db.TakeTokens(ctx, store.TokenRequest{Channel: "mail", Class: c, Limits: limits, Days: days, Wants: []store.TokenWant{{N: n}}})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := take(pace.Bulk, 15); got.Grants[0].N != 15 || got.Wait != 0 || !got.Day.Equal(days[1].From) {
		t.Errorf("there is room for all: %+v", got)
	}
	noted(t, db, nil)
	got := take(pace.Bulk, 15)
	if got.Grants[0].N != 5 || !got.Capped || got.Wait < 22*time.Hour || got.Wait > 23*time.Hour {
		t.Errorf("there is room for five, and for more tomorrow: %+v", got)
	}
	noted(t, db, []store.StatusChange{{Kind: store.ChannelKind, Name: "mail"}})
	if throttling, err := db.LoadThrottling(ctx, "mail"); err != nil || throttling.CappedUntil == nil || !throttling.CappedUntil.Equal(days[2].From) {
		t.Errorf("the status should say until when: %+v, %v", throttling, err)
	}
	if got := take(pace.Transactional, 15); got.Grants[0].N != 2 {
		t.Errorf("transactional messages may exceed it by a tenth: %+v", got)
	}
	request := store.TokenRequest{Channel: "mail", Limits: limits, Days: days, Wants: []store.TokenWant{{N: 4}}}
	if err := db.GiveTokensBack(ctx, request, days[1].From); err != nil {
		t.Fatal(err)
	}
	if got := take(pace.Bulk, 15); got.Grants[0].N != 2 {
		t.Errorf("what came back is there again: %+v", got)
	}
	noted(t, db, nil)
	days = []pace.Day{{From: today.Add(-time.Minute), Bound: 20}, {From: today.Add(24 * time.Hour), Bound: 20}} // as if it were tomorrow
	if got := take(pace.Bulk, 15); got.Grants[0].N != 15 {
		t.Errorf("a new day begins with nothing: %+v", got)
	}
	noted(t, db, []store.StatusChange{{Kind: store.ChannelKind, Name: "mail"}})

	// A day that ends while nothing is sent is noticed by the sweep, once.
	if _, err := db.Pool.Exec(ctx, "update pace set capped_until = now() - interval '1 s'"); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]store.StatusChange{{{Kind: store.ChannelKind, Name: "mail"}}, nil} {
		if err := db.SweepPace(ctx); err != nil {
			t.Fatal(err)
		}
		noted(t, db, want)
	}
}

func noted(t *testing.T, db *store.DB, want []store.StatusChange) {
	t.Helper()
	got, err := db.TakeStatusChanges(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); len(want)+len(got) > 0 && diff != "" {
		t.Errorf("status changes differ (-want +got):\n%s", diff)
	}
}

func TestWhatIsLearntOfAReceiver(t *testing.T) {
	db := storetest.New(t)
	ctx := context.Background()
	var large, small int32
	for name, id := range map[string]*int32{"large.example": &large, "small.example": &small} {
		if err := db.Pool.QueryRow(ctx, "insert into receiver (name) values ($1) returning id", name).Scan(id); err != nil {
			t.Fatal(err)
		}
	}
	_, err := db.Pool.Exec(ctx, `
		with s as (insert into send (send_key, campaign, purpose, channel, segments, max_recipients, variants, starts_at, deadline, state)
			values ('spring', 'spring', 'news', 'mail', '{}', 1, '[]', now(), now(), 'Sending') returning id)
		insert into send_chunk (send_id, chunk, first_seq, last_seq, receiver) select id, 1, 1, 500, $1 from s`, large)
	if err != nil {
		t.Fatal(err)
	}
	learn := func(receiver int32, change func(pace.Receiver, time.Time) pace.Receiver) pace.Receiver {
		t.Helper()
		after, err := db.LearnOfReceiver(ctx, store.Learned{Channel: "mail", Receiver: receiver, Change: change})
		if err != nil {
			t.Fatal(err)
		}
		return after
	}
	defers := func(r pace.Receiver, now time.Time) pace.Receiver {
		return r.Deferred(now, 20, 20, pace.PauseBackoff, 1)
	}
	channel := []store.StatusChange{{Kind: store.ChannelKind, Name: "mail"}}

	first := learn(large, defers)
	if first.Slowed != 10 || time.Until(first.Until) < 40*time.Second {
		t.Errorf("it is held back: %+v", first)
	}
	noted(t, db, channel)
	if again := learn(large, defers); !again.Until.Equal(first.Until) {
		t.Errorf("another worker's news of the same pause begin another: %+v, %+v", first, again)
	}
	noted(t, db, nil)
	learn(small, defers)
	noted(t, db, nil) // nobody's name is shown
	p, err := db.LoadPace(ctx, "mail")
	if err != nil || len(p.HeldBack) != 2 || p.HeldBack[large].Slowed != 10 || p.TimeZone != "UTC" {
		t.Errorf("all workers hear of it: %+v, %v", p, err)
	}
	if names, err := db.LargeReceivers(ctx, "mail", 5); err != nil || len(names) != 1 || names[large] != "large.example" {
		t.Errorf("one receiver is large: %v, %v", names, err)
	}
	throttling, err := db.LoadThrottling(ctx, "mail")
	if err != nil || len(throttling.Receivers) != 1 || throttling.Receivers[0].Name != "large.example" {
		t.Errorf("the large one is shown: %+v, %v", throttling, err)
	}
	got, err := db.TakeTokens(ctx, store.TokenRequest{Channel: "mail", Class: pace.Transactional, Wants: []store.TokenWant{{Receiver: large, N: 1}, {N: 3}}})
	if err != nil || got.Grants[0].N != 0 || got.Grants[0].Wait < 40*time.Second || got.Grants[1].N != 3 {
		t.Errorf("nothing is granted for it, not even what is urgent, and all for others: %+v, %v", got, err)
	}
	learn(large, func(pace.Receiver, time.Time) pace.Receiver { return pace.Receiver{} })
	noted(t, db, channel)

	// Without mail for long, all of it is forgotten.
	if _, err := db.Pool.Exec(ctx, `update pace set filled_at = now() - interval '2 h', backoff_until = now() - interval '2 h', grown_at = now() - interval '2 h',
		shown = true, slowed = 1 where receiver <> $1`, large); err != nil {
		t.Fatal(err)
	}
	if err := db.SweepPace(ctx); err != nil {
		t.Fatal(err)
	}
	noted(t, db, channel)
	if p, err = db.LoadPace(ctx, "mail"); err != nil || len(p.HeldBack) != 0 {
		t.Errorf("it should be forgotten: %+v, %v", p, err)
	}
}
