package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/local/mailbox"
)

// exampleCampaign is the one of examples/velo.
const exampleCampaign = "winter-2026"

var example = drill{
	name: exampleCampaign,
	done: "examples/velo is applied as it is; the tenant's own worker pods deliver it",
	run:  runExample,
}

func runExample(ctx context.Context, s *stage, r *result) error {
	s.perSecond(60)
	defer s.box.SetDelay(0)
	if err := s.applyExample(ctx); err != nil {
		return err
	}
	// Who leases the send's chunks is who delivers: its name begins with its pod's.
	var senders []string
	err := await(ctx, settleTimeout, func(ctx context.Context) (string, error) {
		var err error
		senders, err = s.owners(ctx, exampleCampaign)
		if len(senders) == 0 {
			return "nobody sends", err
		}
		return "", err
	})
	if err != nil {
		return fmt.Errorf("wait for the send to begin: %w", err)
	}
	pods, err := s.pods(ctx, velo, "worker")
	if err != nil {
		return err
	}
	for _, sender := range senders {
		known := false
		for _, pod := range pods {
			known = known || strings.HasPrefix(sender, pod.Name)
		}
		if !known {
			return fmt.Errorf("%s sends, and is none of the tenant's pods", sender)
		}
	}
	s.box.SetDelay(0)
	if err := s.awaitSettled(ctx, exampleCampaign, 0); err != nil {
		return err
	}
	if err := s.note(ctx, r); err != nil {
		return err
	}
	found, err := s.exampleMail()
	if err != nil {
		return err
	}
	r.Received, r.Duplicates = found.mails, found.duplicates()
	s.example = r
	return errors.Join(r.compare(found, nil, 0), s.awaitStatus(ctx, r))
}

// applyExample merges the example's campaign.
func (s *stage) applyExample(ctx context.Context) error {
	_, err := s.kubectl(ctx, "", "apply", "--server-side", "--force-conflicts", "-k", "examples/velo/campaigns/"+exampleCampaign)
	return err
}

// exampleMail is the mail of the example's campaign: the drills' subjects all begin with a bracket.
func (s *stage) exampleMail() (mail, error) {
	entries, _, err := s.box.Store().Find(mailbox.Filter{}, 0, 1<<30)
	if err != nil {
		return mail{}, fmt.Errorf("read the mailbox: %w", err)
	}
	found := mail{addresses: map[string]int{}}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Subject, "[") {
			continue
		}
		found.mails++
		for _, to := range entry.To {
			found.addresses[strings.ToLower(to)]++
		}
	}
	return found, nil
}
