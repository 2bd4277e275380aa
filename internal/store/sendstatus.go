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
	"github.com/tertulia-crm/tertulia/internal/publication"
)

// SendStatus is what is known of a campaign's send. Planned = Sent + Failed + Ambiguous + Skipped + Pending; the counts
// are 0 until the audience is frozen.
type SendStatus struct {
	SendKey string
	// Occurrence is whose numbers these are, of a campaign that recurs: the last one's; "" before the first.
	Occurrence string
	// Recurs says that the campaign has occurrences. Declared is the state of its declaration then, NextAt when the next occurrence
	// begins; nil where none will.
	Recurs     bool
	Declared   campaign.State
	NextAt     *time.Time
	State      campaign.State
	Suspended  bool // by its own object
	Dormant    bool // its object was deleted
	StartsAt   time.Time
	Deadline   time.Time
	FrozenAt   *time.Time
	FinishedAt *time.Time
	Audience   *int64 // contacts that the audience held when it was last counted
	campaign.Counts
	// SkippedByReason is ordered by reason.
	SkippedByReason []SkipCount
	// Tracking is what the campaign declares of its mails.
	Tracking Tracking
	// Engaged is how many people did something with the mails.
	Engaged Engagement
	// Returned is how many messages bounced, were complained of and so on.
	Returned Returns
	// Message says why the send is held or waits, in words for an author; "" when it does neither.
	Message string
	// ChannelTrouble says why its channel does not deliver; "" when it does.
	ChannelTrouble string
	// PutOff says that the relay asked to be tried again later for messages of a batch that waits for it.
	PutOff bool
	// PutOffCode is the enhanced status code (RFC 3463) that it gave, such as 4.7.1; "" when it gave none.
	PutOffCode string
	// Stopped says that the tenant, the channel or a template is suspended or gone, so that nothing is sent.
	Stopped bool
	// Quarantined says that this ledger is not the one that may be sent from: the counts may be those of a restored backup.
	Quarantined bool
	// HeldBack says that the release of a quarantine left the send for a person to decide about.
	HeldBack bool
	// Decision is how a test of the variants was decided; nil where there was none.
	Decision *campaign.Decision
	// Publishes says that it is a publication; Publication is what it declares and Posts those that are on the network.
	Publishes   bool
	Publication *publication.Plan
	Posts       []PublishedPost
	// Command is what a person decided last about the send, and Pause the pause that is in force; nil for none.
	Command, Pause *Command
}

// SkipCount is how many recipients were left out for one reason.
type SkipCount struct {
	Reason campaign.SkipReason
	Count  int64
}

// SendStatus reads the status of a campaign's send: of the one in force, else of the last one. It returns ErrNotFound
// when the campaign never declared a send.
func (db *DB) SendStatus(ctx context.Context, name string) (SendStatus, error) {
	var s SendStatus
	var counts map[string]int64
	var id int64
	err := db.Pool.QueryRow(ctx, `
		select s.send_key, s.occurrence, s.state, d.state is not null, coalesce(d.state, s.state), d.next_at, s.decision,
			s.suspended, s.dormant_since is not null, s.starts_at, s.deadline, s.frozen_at, s.finished_at, s.audience,
			coalesce(s.message, ''), coalesce(ch.trouble, ''), not `+sendUnstopped+`, not `+sendPermitted+`, `+sendHeld+`,
			put_off.code is not null, coalesce(put_off.code, ''),
			coalesce((select jsonb_object_agg(t.outcome, t.n)
				from (select outcome, sum(n) n from send_tally where send_id = s.id group by outcome) t), '{}'), s.track_opens, s.track_clicks, `+engagedSQL+`,
			(select coalesce(jsonb_object_agg(what, n), '{}') from returned_tally where send_id = s.id), s.id, s.publication
		from send s cross join tenant left join channel ch on ch.name = s.channel
			left join lateral (`+putOffSQL+`) put_off on s.state = 'Sending'
			left join lateral (select p.state, case when p.next_occurrence is not null and p.state = 'Scheduled' then p.starts_at end next_at
				from send p where p.send_key = s.send_key and p.cron is not null) d on true
		where s.campaign = $1
		order by s.dormant_since desc nulls first, s.id desc limit 1`, name).Scan(
		&s.SendKey, &s.Occurrence, &s.State, &s.Recurs, &s.Declared, &s.NextAt, &s.Decision,
		&s.Suspended, &s.Dormant, &s.StartsAt, &s.Deadline, &s.FrozenAt, &s.FinishedAt, &s.Audience,
		&s.Message, &s.ChannelTrouble, &s.Stopped, &s.Quarantined, &s.HeldBack,
		&s.PutOff, &s.PutOffCode, &counts, &s.Tracking.Opens, &s.Tracking.Clicks, &s.Engaged, &s.Returned, &id, &s.Publication)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, ErrNotFound
	}
	if err != nil {
		return s, fmt.Errorf("read the status of campaign %q: %w", name, err)
	}
	s.count(counts)
	if s.Publishes = s.Publication != nil; s.Publishes {
		if s.Posts, err = db.publishedPosts(ctx, id); err != nil {
			return s, err
		}
	}
	s.Command, s.Pause, err = db.LastCommands(ctx, s.SendKey)
	return s, err
}

// Stage is the state in which people see a send: one that recurs is Scheduled again between two occurrences, until it has ended.
func (s SendStatus) Stage() campaign.State {
	if s.Recurs && s.State.Final() {
		return s.Declared
	}
	return s.State
}

// putOffSQL finds a message of a send s that the relay has put off, in the rows of one waiting batch. The rest of the reply may
// name the recipient and stays in the database.
const putOffSQL = `
	select coalesce(substring(l.reply from '^(?:4[0-9][0-9][ -])?(4\.[0-9]{1,3}\.[0-9]{1,3})'), '') code
	from (select first_seq, last_seq from send_chunk where send_id = s.id and open and next_at > now() order by next_at limit 1) waiting
		join ledger l on l.send_id = s.id and l.seq between waiting.first_seq and waiting.last_seq
	where l.state = 'pending' and l.attempts > 0 and l.reply is not null
	order by l.seq limit 1`

// skippedOutcome begins the outcomes of skipped recipients in send_tally; the reason follows.
const skippedOutcome = "skipped:"

func (s *SendStatus) count(tally map[string]int64) {
	s.Planned, s.Sent, s.Failed, s.Ambiguous = tally["planned"], tally["sent"], tally["failed"], tally["ambiguous"]
	for outcome, n := range tally {
		if reason, ok := strings.CutPrefix(outcome, skippedOutcome); ok && n > 0 {
			s.SkippedByReason = append(s.SkippedByReason, SkipCount{Reason: campaign.SkipReason(reason), Count: n})
			s.Skipped += n
		}
	}
	slices.SortFunc(s.SkippedByReason, func(a, b SkipCount) int { return strings.Compare(string(a.Reason), string(b.Reason)) })
	s.Pending = s.Planned - s.Sent - s.Failed - s.Ambiguous - s.Skipped
}

// sendUnstopped is true for a send s of a tenant while its ledger may be sent from, nobody has to decide about it, and nothing
// that it needs is suspended or deleted.
const sendUnstopped = `(` + sendPermitted + ` and ` + sendUndisturbed + `)`

// sendUndisturbed is sendUnstopped but for whether the ledger may be sent from.
const sendUndisturbed = `(not ` + sendHeld + ` and not ` + sendPaused + ` and not s.suspended and s.dormant_since is null and not tenant.suspended
	and exists (select from channel where channel.name = s.channel and not channel.suspended and channel.dormant_since is null)
	and not exists (select from jsonb_array_elements(s.variants) v left join template on template.name = v.value ->> 'template'
		where template.name is null or template.suspended or template.dormant_since is not null))`

// sendRuns is true for a send s of a tenant whose intents may be committed now.
const sendRuns = `(s.state = 'Sending' and ` + sendUnended + ` and ` + sendUnstopped + `)`

// sendGoesOn is sendRuns but for whether the ledger may be sent from.
const sendGoesOn = `(s.state = 'Sending' and ` + sendUnended + ` and ` + sendUndisturbed + `)`

// sendUnended is true for a send s whose end has not come.
const sendUnended = `(s.ends_at is null or s.ends_at > now())`
