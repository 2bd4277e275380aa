package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/pace"
)

// TokenRequest asks for tokens, one for each message that is to leave.
type TokenRequest struct {
	Channel string
	Class   pace.Class
	Limits  pace.Limits
	Days    []pace.Day // those around now, where Limits bound the day
	// Wants are served in this order where the channel as a whole has too few.
	Wants []TokenWant
}

// TokenWant is how many tokens are wanted for a receiver that has a bucket of its own. Receiver 0 stands for all those
// that have none.
type TokenWant struct {
	Receiver int32
	N        int64
}

// TokenGrant is what became of a want.
type TokenGrant struct {
	N int64
	// Wait is how long to wait before there is more for this receiver; 0 where its own bucket was no obstacle.
	Wait time.Duration
}

// Tokens is what was granted, in the order of the wants.
type Tokens struct {
	Grants []TokenGrant
	// Wait is how long to wait until the channel as a whole has more; 0 where it was no obstacle.
	Wait time.Duration
	// Capped is true where it is the bound of the day that Wait is for.
	Capped bool
	// Day is the beginning of the day that was charged; the zero time without a bound for the day.
	Day time.Time
}

// TakeTokens takes tokens at the database's clock, in one round trip. Every taker locks the rows of the buckets in the same
// order, so that takers wait for each other in turn and never in a circle.
func (db *DB) TakeTokens(ctx context.Context, r TokenRequest) (Tokens, error) {
	keys := bucketsOf(r.Limits, r.Wants)
	receivers, counts := wantArrays(r.Wants)
	from, bounds := make([]time.Time, len(r.Days)), make([]int64, len(r.Days))
	for i, d := range r.Days {
		from[i], bounds[i] = d.From, d.Bound
	}
	var queue pgx.Batch
	queue.Queue(ensurePaceSQL, r.Channel, keys, rateOrNull(r.Limits.PerSecond), rateOrNull(r.Limits.PerDomainPerSecond))
	queue.Queue(takeSQL, r.Channel, keys, rateOrNull(r.Limits.PerSecond), rateOrNull(r.Limits.PerDomainPerSecond),
		receivers, counts, from, bounds, r.Class == pace.Transactional, ChannelKind)
	results := db.Pool.SendBatch(ctx, &queue)
	tokens, err := collectTokens(results, r)
	if closed := results.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return Tokens{}, fmt.Errorf("take tokens of channel %q: %w", r.Channel, err)
	}
	return tokens, nil
}

// bucketsOf lists the rows that limits and wants are about, in the order in which they are locked.
func bucketsOf(l pace.Limits, wants []TokenWant) []int32 {
	keys := make([]int32, 0, 1+len(wants))
	if l.PerSecond > 0 || l.Daily() {
		keys = append(keys, 0)
	}
	for _, w := range wants {
		if w.Receiver != 0 {
			keys = append(keys, w.Receiver)
		}
	}
	slices.Sort(keys)
	return keys
}

func wantArrays(wants []TokenWant) (receivers []int32, counts []int64) {
	receivers, counts = make([]int32, len(wants)), make([]int64, len(wants))
	for i, w := range wants {
		receivers[i], counts[i] = w.Receiver, w.N
	}
	return receivers, counts
}

func rateOrNull(perSecond int) *float64 {
	if perSecond == 0 {
		return nil
	}
	rate := float64(perSecond)
	return &rate
}

// ensurePaceSQL makes the rows that are not there yet, as full buckets. It inserts in the order in which they are locked.
const ensurePaceSQL = `
	insert into pace (channel, receiver, tokens, filled_at)
	select $1, k, greatest(1, case when k = 0 then $3::float8 else $4::float8 end), now() from unnest($2::int[]) k
	where not exists (select from pace where channel = $1 and receiver = k) order by k
	on conflict do nothing`

// takeSQL is pace.Bucket and pace.Share in SQL. A null rate is no limit.
const takeSQL = `
	with day as (
		select d.at, d.bound, d.until from (
			select at, bound, lead(at) over (order by at) until from unnest($7::timestamptz[], $8::bigint[]) d (at, bound)) d
		where d.at <= now() order by d.at desc limit 1
	), locked as materialized (
		select * from pace where channel = $1 and receiver = any ($2::int[]) order by receiver for no key update
	), filled as materialized (
		select l.receiver, r.rate, i.burst, case when r.rate is null then l.tokens else least(f.tokens, i.burst) end tokens,
			case when r.rate is null then l.debt else least(greatest(0, f.debt - greatest(0, f.tokens - i.burst)), i.burst) end debt,
			l.backoff_until > now() is true backs_off, l.backoff_until, l.capped_until,
			case when l.day = (select at from day) then l.granted else 0 end granted
		from locked l
			cross join lateral (select case when l.receiver = 0 then $3::float8 else least(l.slowed, $4::float8) end rate) r
			cross join lateral (select greatest(1, r.rate) burst, r.rate * greatest(0, extract(epoch from now() - l.filled_at)::float8) income) i
			cross join lateral (select l.tokens + (i.income - least(l.debt, i.income * 0.75)) tokens, l.debt - least(l.debt, i.income * 0.75) debt) f
	), available as (
		select f.receiver, case when f.backs_off then 0 when f.rate is null then null
			when $9::boolean then floor(f.burst - f.debt)::bigint else floor(f.tokens)::bigint end n
		from filled f
	), room as (
		-- Of the channel as a whole; null for any number.
		select least((select n from available where receiver = 0),
			(select greatest(0, d.bound + case when $9 then greatest(1, d.bound / 10) else 0 end - f.granted) from day d, filled f where f.receiver = 0)) n
	), offered as (
		select w.receiver, w.n, w.place, greatest(0, case when w.receiver = 0 then w.n when a.receiver is null then 0 else least(w.n, a.n) end) offer
		from unnest($5::int[], $6::bigint[]) with ordinality w (receiver, n, place) left join available a on a.receiver = w.receiver and w.receiver <> 0
	), shared as materialized (
		select o.*, case when room.n is null then o.offer else greatest(0, least(o.offer,
			room.n - coalesce(sum(o.offer) over (order by o.place rows between unbounded preceding and 1 preceding), 0))) end::bigint granted
		from offered o cross join room
	), charged as materialized (
		select f.receiver, f.rate, f.burst, f.tokens - case when $9 or f.rate is null then 0 else c.n end tokens,
			f.debt + case when $9 and f.rate is not null then c.n else 0 end debt,
			f.granted + c.n granted, f.backoff_until, f.backs_off, f.capped_until, c.short
		from filled f cross join lateral (
			select coalesce(sum(s.granted), 0)::bigint n, coalesce(max(s.n - s.granted) filter (where s.offer < s.n), 0) short
			from shared s where f.receiver in (0, s.receiver)) c
	), updated as (
		update pace p set tokens = c.tokens, debt = c.debt, filled_at = greatest(p.filled_at, now()),
			-- While the bucket is empty no chunk of this receiver is leased, and whoever is paused for longer stays so.
			paused_until = case when c.receiver <> 0 and c.short > 0 and not $9 and not c.backs_off
				then now() + make_interval(secs => (select greatest(0, least(m * 4, m + c.debt)) / c.rate
					from (select least(c.short, greatest(1, c.rate / 4)) - c.tokens) missing (m)))
				else p.paused_until end,
			day = case when c.receiver = 0 then (select at from day) end, granted = case when c.receiver = 0 then c.granted else 0 end,
			capped_until = (select d.until from day d where c.receiver = 0 and c.granted >= d.bound)
		from charged c where p.channel = $1 and p.receiver = c.receiver
	), noted as (
		-- The bound of the day was reached, or the next day has begun.
		insert into status_change (kind, name)
		select $10, $1 from charged c left join day d on c.granted >= d.bound where c.receiver = 0 and c.capped_until is distinct from d.until
		on conflict (kind, name) do update set name = excluded.name
	)
	select s.granted, s.offer < s.n short, s.granted < s.offer narrow, s.n - s.granted, b.rate, b.tokens, b.debt,
		case when b.backs_off then extract(epoch from b.backoff_until - now())::float8 end,
		c.rate, c.tokens, c.debt, (select n from room), (select at from day), extract(epoch from (select until from day) - now())::float8,
		(select bound + case when $9 then greatest(1, bound / 10) else 0 end from day) - c.granted
	from shared s left join charged b on b.receiver = s.receiver and s.receiver <> 0 left join charged c on c.receiver = 0
	order by s.place`

// takenRow is a row of takeSQL.
type takenRow struct {
	granted            int64
	short, narrow      bool  // too little in the receiver's bucket; in the channel's
	missing            int64 // of what was wanted
	rate, tokens, debt *float64
	backoff            *float64 // seconds
	channelRate        *float64
	channelTokens      *float64
	channelDebt        *float64
	room               *int64
	day                *time.Time
	dayEnds            *float64 // seconds
	left               *int64   // of the day
}

func collectTokens(results pgx.BatchResults, r TokenRequest) (Tokens, error) {
	if _, err := results.Exec(); err != nil {
		return Tokens{}, err
	}
	rows, err := results.Query()
	if err != nil {
		return Tokens{}, err
	}
	tokens := Tokens{Grants: make([]TokenGrant, 0, len(r.Wants))}
	var t takenRow
	_, err = pgx.ForEachRow(rows, []any{
		&t.granted, &t.short, &t.narrow, &t.missing, &t.rate, &t.tokens, &t.debt, &t.backoff,
		&t.channelRate, &t.channelTokens, &t.channelDebt, &t.room, &t.day, &t.dayEnds, &t.left,
	}, func() error {
		tokens.Grants = append(tokens.Grants, TokenGrant{N: t.granted, Wait: t.wait(r.Class)})
		tokens.Day = valueOf(t.day)
		if wait, capped := t.channelWait(r.Class); wait > tokens.Wait {
			tokens.Wait, tokens.Capped = wait, capped
		}
		return nil
	})
	return tokens, err
}

// leastWait keeps whoever is told to wait from asking again at once.
const leastWait = time.Millisecond

// wait is how long the receiver's own bucket keeps the rest waiting.
func (t *takenRow) wait(c pace.Class) time.Duration {
	switch {
	case t.backoff != nil:
		return max(leastWait, seconds(*t.backoff))
	case !t.short || t.rate == nil:
		return 0
	}
	return max(leastWait, pace.Bucket{Tokens: valueOf(t.tokens), Debt: valueOf(t.debt)}.Wait(pace.Rate(*t.rate), t.missing, c))
}

// channelWait is how long the channel as a whole keeps the rest waiting, and whether that is for the bound of the day.
func (t *takenRow) channelWait(c pace.Class) (wait time.Duration, capped bool) {
	switch {
	case !t.narrow:
		return 0, false
	case t.left != nil && *t.left <= 0:
		return max(leastWait, seconds(valueOf(t.dayEnds))), true
	case t.channelRate == nil:
		return leastWait, false
	}
	return max(leastWait, pace.Bucket{Tokens: valueOf(t.channelTokens), Debt: valueOf(t.channelDebt)}.Wait(pace.Rate(*t.channelRate), t.missing, c)), false
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// GiveTokensBack returns tokens that were taken and not used. day is the one that was charged for them.
func (db *DB) GiveTokensBack(ctx context.Context, r TokenRequest, day time.Time) error {
	receivers, counts := wantArrays(r.Wants)
	_, err := db.Pool.Exec(ctx, `
		with back as (
			select receiver, sum(n) n from unnest($3::int[], $4::bigint[]) b (receiver, n) group by receiver
		), locked as materialized (
			select p.channel, p.receiver, (select sum(n) from back b where p.receiver in (0, b.receiver))::float8 n
			from pace p where p.channel = $1 and p.receiver = any ($2::int[]) order by p.receiver for no key update
		)
		update pace p set
			tokens = case when $5::boolean then p.tokens else greatest(p.tokens, least(p.tokens + l.n,
				greatest(1, case when p.receiver = 0 then $6::float8 else least(p.slowed, $7::float8) end))) end,
			debt = case when $5 then greatest(0, p.debt - l.n) else p.debt end,
			granted = case when p.day = $8 then greatest(0, p.granted - l.n::bigint) else p.granted end
		from locked l where p.channel = l.channel and p.receiver = l.receiver`,
		r.Channel, bucketsOf(r.Limits, r.Wants), receivers, counts, r.Class == pace.Transactional,
		rateOrNull(r.Limits.PerSecond), rateOrNull(r.Limits.PerDomainPerSecond), orNull(day))
	if err != nil {
		return fmt.Errorf("give tokens of channel %q back: %w", r.Channel, err)
	}
	return nil
}
