package crash

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// occurrence is one of a campaign that recurs, as it was sent.
type occurrence struct {
	local    string
	startsAt time.Time
	deadline time.Time
	from     int // how many messages had arrived when it began
	status   store.SendStatus
}

// schedule is what the campaign's manifest says.
func (w *world) schedule() string {
	if w.scenario.Recurs {
		return `{cron: "0 9 * * *", timeZone: Europe/Madrid, startingDeadline: 6h}`
	}
	return `{at: "2026-01-02T09:00:00", timeZone: Europe/Madrid, startingDeadline: 3650d}`
}

// upcoming waits until the campaign is declared and tells what it comes to next.
func (w *world) upcoming(ctx context.Context) (next occurrence, err error) {
	err = w.await(ctx, "the campaign has a next occurrence", func() (bool, string, error) {
		err := w.db.Pool.QueryRow(ctx, `
			select coalesce(max(next_occurrence), ''), coalesce(max(starts_at), now()), coalesce(max(deadline), now()) from send
			where send_key = $1 and cron is not null`, campaignName).Scan(&next.local, &next.startsAt, &next.deadline)
		return next.local != "", "it has none", err
	})
	return next, err
}

// sendOn lets an occurrence come and waits until it is completed. Meanwhile something is done to it.
func (w *world) sendOn(ctx context.Context, o occurrence, now time.Time, disturb func() error) error {
	counts, err := w.relay.record.Counts()
	if err != nil {
		return err
	}
	o.from, w.before = counts.Dots, counts.Dots
	if err := w.setClock(now); err != nil {
		return err
	}
	if err := disturb(); err != nil {
		return fmt.Errorf("occurrence %s: %w", o.local, err)
	}
	if err := w.awaitOccurrence(ctx, o.local, campaign.Completed); err != nil {
		return err
	}
	if o.status, err = w.db.SendStatus(ctx, campaignName); err != nil {
		return err
	}
	w.occurrences = append(w.occurrences, o)
	return nil
}

func (w *world) awaitOccurrence(ctx context.Context, local string, state campaign.State) error {
	return w.await(ctx, fmt.Sprintf("occurrence %s is %s", local, state), func() (bool, string, error) {
		s, err := w.db.SendStatus(ctx, campaignName)
		return s.Occurrence == local && s.State == state && s.Pending == 0,
			fmt.Sprintf("%s is %s, planned %d, sent %d, pending %d", s.Occurrence, s.State, s.Planned, s.Sent, s.Pending), err
	})
}

// killAndReplace kills a worker somewhere in the middle and starts another.
func (w *world) killAndReplace(ctx context.Context, worker **process) error {
	return w.disturb(ctx, w.shares(1)[0], func() (err error) {
		if err := w.kill(*worker); err != nil {
			return err
		}
		*worker, err = w.startWorker(ctx, w.tenant)
		return err
	})
}

// recurThroughFailures sends four days' occurrences while the API server is away: a worker is killed in the middle of the first; the
// second comes while nobody works, and is begun late and disturbed; the third is missed; two workers make the fourth. Then the clock
// goes back.
func recurThroughFailures(ctx context.Context, w *world) error {
	if err := w.declare(ctx); err != nil {
		return err
	}
	// A worker counts the segment, without which the campaign is not in force. Nothing is due by its clock.
	if err := w.setClock(time.Now().Add(-time.Hour)); err != nil {
		return err
	}
	worker, err := w.startWorker(ctx, w.tenant)
	if err != nil {
		return err
	}
	first, err := w.upcoming(ctx)
	if err != nil {
		return err
	}
	if err := w.cluster.away(ctx, func() error { return w.recur(ctx, first, worker) }); err != nil {
		return err
	}
	return w.toldOfLast(ctx)
}

func (w *world) recur(ctx context.Context, first occurrence, worker *process) error {
	if err := w.sendOn(ctx, first, first.startsAt, func() error { return w.killAndReplace(ctx, &worker) }); err != nil {
		return err
	}
	second, err := w.upcoming(ctx)
	if err != nil {
		return err
	}
	if err := w.kill(worker); err != nil {
		return err
	}
	late := second.startsAt.Add(5 * time.Hour) // a deadline of six
	err = w.sendOn(ctx, second, late, func() (err error) {
		if worker, err = w.startWorker(ctx, w.tenant); err != nil {
			return err
		}
		return w.killAndReplace(ctx, &worker)
	})
	if err != nil {
		return err
	}
	missed, err := w.upcoming(ctx)
	if err != nil {
		return err
	}
	if err := w.kill(worker); err != nil {
		return err
	}
	if err := w.setClock(missed.deadline.Add(time.Minute)); err != nil {
		return err
	}
	if _, err := w.startWorkers(ctx, 2); err != nil {
		return err
	}
	if err := w.awaitOccurrence(ctx, missed.local, campaign.Expired); err != nil {
		return err
	}
	fourth, err := w.upcoming(ctx)
	if err != nil {
		return err
	}
	if err := w.sendOn(ctx, fourth, fourth.startsAt, func() error { return w.disturb(ctx, w.shares(1)[0], func() error { return nil }) }); err != nil {
		return err
	}
	// A clock that goes back makes nothing anew.
	if err := w.setClock(second.startsAt.Add(time.Minute)); err != nil {
		return err
	}
	return errors.Join(w.awaitQuiet(ctx), w.wantOccurrences(ctx, first, second, missed, fourth))
}

// wantOccurrences wants exactly these occurrences, of which one that was not sent has no row in the ledger.
func (w *world) wantOccurrences(ctx context.Context, want ...occurrence) error {
	var there, others int
	locals := make([]string, len(want))
	for i, o := range want {
		locals[i] = o.local
	}
	err := w.db.Pool.QueryRow(ctx, `
		select count(*) filter (where s.occurrence = any ($1)),
			count(*) filter (where s.occurrence <> all ($1) or s.state = 'Expired' and exists (select from ledger l where l.send_id = s.id))
		from send s where s.send_key = $2 and s.occurrence <> ''`, locals, campaignName).Scan(&there, &others)
	if err != nil {
		return fmt.Errorf("count the occurrences: %w", err)
	}
	if there != len(want) || others > 0 {
		return fmt.Errorf("%d of the occurrences %v are there, and %d that should not be or that were sent too late", there, locals, others)
	}
	return nil
}

// toldOfLast waits until the campaign's status tells of the last occurrence.
func (w *world) toldOfLast(ctx context.Context) error {
	last := w.occurrences[len(w.occurrences)-1]
	return w.await(ctx, "the campaign's status tells of the last occurrence", func() (bool, string, error) {
		var c v1alpha1.Campaign
		if err := w.cluster.client.Get(ctx, client.ObjectKey{Namespace: w.id, Name: campaignName}, &c); err != nil {
			return false, err.Error(), nil
		}
		t := c.Status
		told := fmt.Sprintf("occurrence %s %s, campaign %s, %s", t.Occurrence, t.LastPhase, t.Phase, t.Progress)
		want := fmt.Sprintf("occurrence %s %s, campaign %s, %d/%d", last.local, campaign.Completed, campaign.Scheduled, last.status.Sent, last.status.Planned)
		return told == want && t.ScheduledFor != nil && t.ScheduledFor.After(last.startsAt), told, nil
	})
}
