package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/local/mailbox"
)

// declaration is a campaign of a drill's own, to everybody who wants the newsletter.
const declaration = `
apiVersion: crm.tertulia.dev/v1alpha1
kind: MessageTemplate
metadata: {name: %[1]s, namespace: velo}
spec:
  defaultLocale: en
  content:
  - locale: en
    subject: "%[2]s for {{ contact.first_name | default: 'you' }}"
    html: "<p>Hello {{ contact.first_name | default: 'there' }}.</p><p><a href='{{ unsubscribe_url }}'>No more of this</a></p>"
---
apiVersion: crm.tertulia.dev/v1alpha1
kind: Campaign
metadata: {name: %[1]s, namespace: velo}
spec:
  sendKey: %[1]s
  purpose: newsletter
  channelRef: {name: newsletter}
  audience: {segments: [{name: everybody}], maxRecipients: %[3]d}
  variants: [{name: a, templateRef: {name: %[1]s}}]
  schedule: {at: "2026-11-02T09:00:00", timeZone: Europe/Madrid, startingDeadline: 3650d}
`

func (s *stage) declare(ctx context.Context, name string) error {
	return s.apply(ctx, fmt.Sprintf(declaration, name, subject(name), s.contacts))
}

// subject is what the mails of a drill's campaign are known by.
func subject(name string) string { return "[" + name + "]" }

// disturbance is what happens in the middle of a campaign.
type disturbance struct {
	// perSecond is the pace of the send: slow enough for the disturbance to fall into it, and to be over before it ends.
	perSecond float64
	// do disturbs.
	do func(ctx context.Context) error
	// mayLose is how many messages may be left without a known outcome.
	mayLose int64
}

// The disturbance begins when this share of the messages has been delivered, and it must not come later than that.
const (
	beginAt = 0.15
	latest  = 0.6
)

// settleTimeout bounds the wait for a send to end after its disturbance.
const settleTimeout = 5 * time.Minute

// sendDisturbed runs a drill's campaign, disturbs it in its middle, waits until it has ended, and compares.
func (s *stage) sendDisturbed(ctx context.Context, r *result, d disturbance) error {
	want := s.consenting()
	s.perSecond(d.perSecond)
	defer s.box.SetDelay(0)
	if err := s.declare(ctx, r.Drill); err != nil {
		return err
	}
	if err := s.awaitReceived(ctx, r.Drill, int(beginAt*float64(len(want)))); err != nil {
		return err
	}
	before := s.received(r.Drill)
	if share := float64(before.mails) / float64(len(want)); share > latest {
		return fmt.Errorf("the drill proves nothing: %.0f %% had been delivered before its disturbance began", 100*share)
	}
	begun := time.Now()
	if err := d.do(ctx); err != nil {
		return fmt.Errorf("disturb: %w", err)
	}
	after := s.received(r.Drill)
	s.show.note("disturbed from message %d to %d of %d, for %.0f s", before.mails, after.mails, len(want), time.Since(begun).Seconds())
	r.Disturbed = fmt.Sprintf("%d–%d of %d", before.mails, after.mails, len(want))
	s.box.SetDelay(0)
	return s.settle(ctx, r, want, d.mayLose)
}

// settle waits until nothing is left to send, compares mailbox, ledger and status, and notes what they say.
func (s *stage) settle(ctx context.Context, r *result, want map[string]bool, mayLose int64) error {
	if err := s.awaitSettled(ctx, r.Drill, mayLose); err != nil {
		return errors.Join(err, s.note(ctx, r))
	}
	if err := s.note(ctx, r); err != nil {
		return err
	}
	r.mayLose = mayLose
	s.sends = append(s.sends, r)
	if err := r.compare(s.received(r.Drill), want, mayLose); err != nil {
		return err
	}
	if err := s.audit(ctx); err != nil {
		return err
	}
	return s.awaitStatus(ctx, r)
}

// mail is what the mailbox has of one campaign.
type mail struct {
	mails     int64
	addresses map[string]int
}

func (s *stage) received(drill string) mail {
	entries, _, err := s.box.Store().Find(mailbox.Filter{Text: subject(drill)}, 0, 1<<30)
	found := mail{addresses: map[string]int{}}
	if err != nil {
		return found // only a search by header reads mails, and can fail
	}
	for _, entry := range entries {
		found.mails++
		for _, to := range entry.To {
			found.addresses[strings.ToLower(to)]++
		}
	}
	return found
}

// duplicates counts the mails that somebody got in addition to their first.
func (m mail) duplicates() (n int64) {
	for _, times := range m.addresses {
		n += int64(times) - 1
	}
	return n
}

func (s *stage) awaitReceived(ctx context.Context, drill string, n int) error {
	err := await(ctx, 2*time.Minute, func(context.Context) (string, error) {
		if found := s.received(drill); found.mails < int64(n) {
			return fmt.Sprintf("%d of %d mails have come", found.mails, n), nil
		}
		return "", nil
	})
	if err != nil {
		return fmt.Errorf("wait for mail of %s: %w", drill, err)
	}
	return nil
}

// quiet is how long a number of intents must stay the same to be those of workers that are gone.
const quiet = 8 * time.Second

// awaitSettled waits until no row is pending, and no more intents are left than may be lost.
func (s *stage) awaitSettled(ctx context.Context, drill string, mayLose int64) error {
	var steady int64
	since := time.Now()
	err := await(ctx, settleTimeout, func(ctx context.Context) (string, error) {
		l, err := s.ledger(ctx, drill)
		if err != nil {
			return err.Error(), nil // PostgreSQL may be away for a moment
		}
		if l.Intents != steady {
			steady, since = l.Intents, time.Now()
		}
		switch {
		case l.Planned == 0 || l.Pending > 0 || l.Intents > mayLose:
			return fmt.Sprintf("%s: %d of %d pending, %d without a known outcome", l.State, l.Pending, l.Planned, l.Intents), nil
		case l.Intents > 0 && time.Since(since) < quiet:
			return fmt.Sprintf("%d intents may still get an outcome", l.Intents), nil
		}
		return "", nil
	})
	if err != nil {
		return fmt.Errorf("wait for the end of the send %s: %w", drill, err)
	}
	return nil
}

// note writes down what mailbox and ledger say.
func (s *stage) note(ctx context.Context, r *result) error {
	l, err := s.ledger(ctx, r.Drill)
	if err != nil {
		return err
	}
	found := s.received(r.Drill)
	r.Planned, r.Sent, r.Failed, r.Ambiguous, r.Skipped, r.Pending = l.Planned, l.Sent, l.Failed, l.Ambiguous, l.Skipped, l.Pending+l.Intents
	r.Received, r.Duplicates = found.mails, found.duplicates()
	return nil
}

// audit compares the tallies with the rows.
func (s *stage) audit(ctx context.Context) error {
	velo, err := s.db.ledgers(ctx)
	if err != nil {
		return err
	}
	findings, err := velo.AuditLedger(ctx)
	if err != nil {
		return err
	}
	if len(findings) > 0 {
		return fmt.Errorf("the ledger does not add up: %s", strings.Join(findings, "; "))
	}
	return nil
}

// awaitStatus waits until the campaign's status says what the ledger says.
func (s *stage) awaitStatus(ctx context.Context, r *result) error {
	err := await(ctx, time.Minute, func(ctx context.Context) (string, error) {
		var campaign v1alpha1.Campaign
		if err := s.client.Get(ctx, client.ObjectKey{Namespace: velo, Name: r.campaign()}, &campaign); err != nil {
			return err.Error(), nil
		}
		return r.differs(campaign.Status), nil
	})
	if err != nil {
		return fmt.Errorf("wait for the status of the campaign %s: %w", r.campaign(), err)
	}
	return nil
}
