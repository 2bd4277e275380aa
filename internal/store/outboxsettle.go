package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// Posted is what came of a posting.
type Posted struct {
	Posting
	State PostingState
	// Retry is after how long it is tried again, or looked for; 0 where it is over.
	Retry time.Duration
	Reply string
	// Native is the id under which it left where its network gives it none, as a mail's.
	Native string
	URL    string // where people read it; "": where its first part is
	// Untried says that it was not offered: the try does not count.
	Untried bool
}

// OutboxPatience is how long a posting is tried, as a mail is that nobody takes.
const OutboxPatience = campaign.DeferralLimit

// SettleOutbox writes what came of postings. One that another worker has leased meanwhile is left to it, unless it has arrived. What was tried for
// OutboxPatience fails, or is ambiguous where it may be there, and the rule's status says so.
func (r *Rules) SettleOutbox(ctx context.Context, list []Posted) error {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Posted) int { return int(a.ID - b.ID) }) // so that two workers never wait for each other in a circle
	err := retryConflicts(func() error {
		return r.db.InTx(ctx, func(tx pgx.Tx) error { return settlePostings(ctx, tx, slices.Clone(list)) })
	})
	if err != nil {
		return fmt.Errorf("settle the outbox: %w", err)
	}
	return nil
}

func settlePostings(ctx context.Context, tx pgx.Tx, list []Posted) error {
	if _, err := tx.Exec(ctx, "select "+durable); err != nil {
		return err
	}
	troubles := map[int64]string{}
	for i := range list {
		if err := settlePosting(ctx, tx, &list[i], troubles); err != nil {
			return err
		}
	}
	return tellTroubles(ctx, tx, postingTrouble, troubles, time.Now())
}

// settledPosting is a row as it was settled.
type settledPosting struct {
	rule *int64
	step *string
	at   time.Time
}

// settlePosting settles one. An answer that comes late, of the attempt that was given up as ambiguous, is believed.
func settlePosting(ctx context.Context, tx pgx.Tx, s *Posted, troubles map[int64]string) error {
	var row settledPosting
	if len(s.Parts) > 0 && s.URL == "" {
		s.URL = s.Parts[0].URL
	}
	err := tx.QueryRow(ctx, `
		with settled as (
			select o.id, case when $3 not in ('pending', 'intent') or o.send_id is not null or coalesce(o.due_at, o.made_at) > now() - $6::interval then $3
				when $3 = 'intent' then 'ambiguous' else 'failed' end state
			from outbox o where o.id = $1 and (`+outboxOpen+` and (o.epoch = $2 or $3 = 'sent') or o.state = 'ambiguous' and o.epoch = $2)
			for no key update of o)
		update outbox o set state = d.state, not_before = case when $4 > interval '0' then now() + $4 else o.not_before end, leased_until = null,
			reply = case when $7 and $5 = '' then o.reply else nullif($5, '') end, attempts = o.attempts - case when $7 then 1 else 0 end,
			url = coalesce(nullif($8, ''), o.url),
			tried_at = case when d.state = 'intent' then now() else o.tried_at end,
			settled_at = case when d.state not in ('pending', 'intent') then now() end,
			-- What names people is needed no longer: whose post it answers, and what a rule told.
			written = case when d.state not in ('sent', 'failed') then o.written end,
			body = case when d.state in ('sent', 'failed') then o.body #- '{event,facts}' else o.body end
		from settled d where o.id = d.id returning o.rule_id, o.step, o.state, now()`,
		s.ID, s.epoch, s.State, s.Retry, s.Reply, OutboxPatience, s.Untried, s.URL).Scan(&row.rule, &row.step, &s.State, &row.at)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := keepParts(ctx, tx, s); err != nil {
		return err
	}
	if row.rule != nil && s.State == PostingFailed && s.Kind == NotifyKind {
		troubles[*row.rule] = fmt.Sprintf("What step %q tells channel %q did not arrive: %s", valueOf(row.step), s.Channel, s.Reply)
	} else if row.rule != nil && (s.State == PostingFailed || s.State == PostingAmbiguous) {
		troubles[*row.rule] = fmt.Sprintf("What step %q says over channel %q is %s: %s", valueOf(row.step), s.Channel, s.State, s.Reply)
	}
	if s.State == PostingIntent || s.State == PostingPending && s.Send == 0 {
		return nil // it is under way
	}
	return tellOfPosting(ctx, tx, s, row.at)
}

// channelNetwork is the network of a channel ch, as sources name it.
const channelNetwork = `case ch.type when 'Bluesky' then 'bluesky'
	else 'mastodon:' || coalesce(substring(ch.settings ->> 'server' from '^https?://([^/?#]+)'), '') end`

// keepParts writes down which posts are there. What answers one that is no answer itself is a message to us too.
func keepParts(ctx context.Context, tx pgx.Tx, s *Posted) error {
	for i, p := range s.Parts {
		_, err := tx.Exec(ctx, `
			insert into outbox_part (outbox_id, place, channel, native_id, cid, url) values ($1, $2, $3, $4, $5, $6)
			on conflict (outbox_id, place) do nothing`, s.ID, i, s.Channel, p.ID, p.CID, p.URL)
		if err != nil {
			return err
		}
	}
	if s.Message != 0 || len(s.Parts) == 0 {
		return nil
	}
	ids := make([]string, len(s.Parts))
	for i, p := range s.Parts {
		ids[i] = p.ID
	}
	_, err := tx.Exec(ctx, `insert into own_post (network, native_id)
		select `+channelNetwork+`, i from channel ch cross join unnest($2::text[]) i where ch.name = $1 and ch.type in ('Bluesky', 'Mastodon')
		on conflict do nothing`, s.Channel, ids)
	if err != nil {
		return fmt.Errorf("note posts of ours: %w", err)
	}
	return nil
}

// tellOfPosting tells whose posting it is what came of it.
func tellOfPosting(ctx context.Context, tx pgx.Tx, s *Posted, at time.Time) error {
	switch {
	case s.Message != 0:
		var native []string
		if s.Native != "" {
			native = append(native, s.Native)
		}
		for _, p := range s.Parts {
			native = append(native, p.ID)
		}
		if !s.IntentAt.IsZero() {
			at = s.IntentAt
		}
		return settleMessage(ctx, tx, s.Message, messageStates[s.State], native, s.URL, s.Reply, at)
	case s.Send != 0:
		return settlePublication(ctx, tx, PublicationOutcome{Send: s.Send, Dedup: s.DedupID, State: s.State, Posted: s.Parts, Reply: s.Reply, At: at})
	}
	return nil
}

// messageStates are the words of conversations.
var messageStates = map[PostingState]MessageState{
	PostingPending: MessageQueued, PostingSent: MessageSent, PostingFailed: MessageFailed, PostingAmbiguous: MessageAmbiguous,
}

// PublicationOutcome is what came of a campaign's publication.
type PublicationOutcome struct {
	Send   int64
	Dedup  string
	State  PostingState // any but intent
	Posted []PostedPart
	Reply  string // the network's words, or ours
	At     time.Time
}

// SweepOutbox gives up what nobody can find out any more: mails of workers that are gone, unanswered for so long that no answer comes, and what a
// restored database cannot know.
func (r *Rules) SweepOutbox(ctx context.Context, most int, unanswered time.Duration) (n int, err error) {
	silent, err := r.giveUp(ctx, PostingAmbiguous, "It was handed over, and no answer came: whether it arrived cannot be looked up.",
		"o.state = 'intent' and not o.findable and o.leased_until < now() - $2::interval", most, unanswered)
	if err != nil {
		return silent, fmt.Errorf("sweep the outbox: %w", err)
	}
	late, err := r.giveUp(ctx, PostingFailed, "Nobody took it for as long as it is tried: a person may have it tried again.",
		`o.state = 'pending' and o.send_id is null and (o.leased_until is null or o.leased_until < now())
			and coalesce(o.due_at, o.made_at) < now() - $2::interval`, most, OutboxPatience)
	if err != nil {
		return silent, fmt.Errorf("sweep the outbox: %w", err)
	}
	restored, err := r.giveUp(ctx, PostingAmbiguous, "The database was restored from a backup: it may have left before.",
		outboxOpen+" and "+outboxForeign, most)
	if err != nil {
		return silent, fmt.Errorf("sweep the outbox: %w", err)
	}
	return silent + late + restored, nil
}

// giveUp leaves postings to a person. What was said of one before is told too.
func (r *Rules) giveUp(ctx context.Context, state PostingState, words, which string, arguments ...any) (n int, err error) {
	err = r.db.InTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "select "+postingColumns+" from outbox o where "+which+" order by o.id limit $1 for no key update of o skip locked",
			arguments...)
		if err != nil {
			return err
		}
		list, err := pgx.CollectRows(rows, readPosting)
		if err != nil {
			return err
		}
		troubles := map[int64]string{}
		for _, p := range list {
			s := Posted{Posting: p, State: state, Reply: strings.TrimSpace(words + " " + p.Reply)}
			if w, err := p.ReadWritten(); err == nil {
				s.Native = w.ID
			}
			if err := settlePosting(ctx, tx, &s, troubles); err != nil {
				return err
			}
		}
		n = len(list)
		return tellTroubles(ctx, tx, postingTrouble, troubles, time.Now())
	})
	return n, err
}
