package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// tally is what the mailbox counted.
type tally struct {
	Count      int64 `json:"count"`
	MessageIDs int64 `json:"messageIds"`
}

// checkMailbox compares what the campaigns say with what came in: one mail for every message that counts as sent.
func (d *demo) checkMailbox(ctx context.Context) error {
	d.show.begin("Comparing the ledger with the mailbox")
	var list v1alpha1.CampaignList
	if _, err := d.velo.list(ctx, &list); err != nil {
		return err
	}
	sent, err := settled(list.Items)
	if err != nil {
		return err
	}
	all, err := countMail(ctx, d.up.ready.Mailbox, url.Values{})
	if err != nil {
		return err
	}
	asking, err := countMail(ctx, d.up.ready.Mailbox, url.Values{"to": {signedUp}})
	if err != nil {
		return err
	}
	ruled, err := d.countRuleMail(ctx)
	if err != nil {
		return err
	}
	campaigns := tally{Count: all.Count - asking.Count - ruled.Count, MessageIDs: all.MessageIDs - asking.MessageIDs - ruled.MessageIDs}
	if err := compare(sent, campaigns); err != nil {
		return err
	}
	leaving, err := countMail(ctx, d.up.ready.Mailbox, url.Values{"header": {"List-Unsubscribe"}})
	if err != nil {
		return err
	}
	if leaving.Count != all.Count {
		return fmt.Errorf("%d of %d mails have no List-Unsubscribe", all.Count-leaving.Count, all.Count)
	}
	d.show.done("%s sent, %s in the mailbox, each once, and %s of a rule; each with a way to say no",
		thousands(sent), thousands(campaigns.Count), thousands(ruled.Count))
	return nil
}

// compareMail runs the check. A person who looks around may have deleted campaigns and killed workers since the last run, so a
// difference only ends a demo that is there to check.
func (d *demo) compareMail(ctx context.Context) error {
	err := d.checkMailbox(ctx)
	d.delivered = d.show.elapsed()
	if err == nil || d.once || ctx.Err() != nil {
		return err
	}
	d.show.say("  %v", err)
	return nil
}

// settled adds up what the campaigns have sent. It is an error when one of them has left something open.
func settled(campaigns []v1alpha1.Campaign) (sent int64, err error) {
	for i := range campaigns {
		s := campaigns[i].Status
		if pending, failed, ambiguous := count(s.Pending), count(s.Failed), count(s.Ambiguous); pending+failed+ambiguous != 0 {
			return 0, fmt.Errorf("campaign/%s has %d messages pending, %d failed, %d ambiguous; all should be 0", campaigns[i].Name, pending, failed, ambiguous)
		}
		sent += count(s.Sent)
	}
	if sent == 0 {
		return 0, errors.New("nothing was sent")
	}
	return sent, nil
}

// compare wants one mail for each message that counts as sent, and no Message-ID twice.
func compare(sent int64, mailbox tally) error {
	switch {
	case mailbox.MessageIDs != mailbox.Count:
		return fmt.Errorf("the mailbox holds %d mails with only %d different Message-IDs: somebody was mailed twice", mailbox.Count, mailbox.MessageIDs)
	case mailbox.Count > sent:
		return fmt.Errorf("%d messages count as sent, and the mailbox holds %d: are mails of a deleted campaign among them? make clean begins anew",
			sent, mailbox.Count)
	case mailbox.Count != sent:
		return fmt.Errorf("%d messages count as sent, and the mailbox holds %d", sent, mailbox.Count)
	}
	return nil
}

// countMail asks the mailbox how many messages match a filter.
func countMail(ctx context.Context, mailbox string, filter url.Values) (tally, error) {
	var found tally
	if err := getJSON(ctx, mailbox+"/api/count?"+filter.Encode(), &found); err != nil {
		return tally{}, fmt.Errorf("ask the mailbox: %w", err)
	}
	return found, nil
}
