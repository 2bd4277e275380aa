package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/hack/people/invent"
)

const (
	ruleName = "win-back"

	// lapsed is a customer who bought once, lapsedSince ago: none of the invented ones.
	lapsed      = "hace.tiempo@velo-club.example"
	lapsedID    = "lapsed-1"
	lapsedSince = 100 * 24 * time.Hour
)

// ruleSubjects are what the subjects of the mails say that rules write.
var ruleSubjects = []string{"te echamos de menos", "we miss you"}

// winBack merges a rule and has somebody lapse: they get one mail, and nobody else does.
func (d *demo) winBack(ctx context.Context) error {
	if err := d.merge(rulesFolder, ruleName); err != nil {
		return err
	}
	if err := d.awaitRule(ctx, "is in force", func(v1alpha1.AutomationRuleStatus) bool { return true }); err != nil {
		return err
	}
	before, err := countMail(ctx, d.up.ready.Mailbox, url.Values{"to": {lapsed}})
	if err != nil {
		return err
	}
	if before.Count > 0 {
		d.show.say("• %s had the mail of the rule %s in an earlier run: nobody is asked twice", lapsed, ruleName)
		return nil
	}
	d.show.begin("Somebody lapses: %s bought once, 100 days ago", lapsed)
	if err := d.importLapsed(ctx); err != nil {
		return fmt.Errorf("import a lapsed customer: %w", err)
	}
	err = await(ctx, func(ctx context.Context) (string, error) {
		got, err := countMail(ctx, d.up.ready.Mailbox, url.Values{"to": {lapsed}})
		if err == nil && got.Count == 0 {
			return "no mail of the rule has come", nil
		}
		return "", err
	})
	if err != nil {
		return fmt.Errorf("wait for the mail of the rule %s: %w", ruleName, err)
	}
	waits := func(s v1alpha1.AutomationRuleStatus) bool { return count(s.Waiting) > 0 }
	if err := d.awaitRule(ctx, "shows that somebody waits", waits); err != nil {
		return err
	}
	d.show.done("they got one mail, and the rule waits a month for an answer")
	return d.showVerb(ctx, "rule", "trace", ruleName, "--limit", "1")
}

// awaitRule waits until the rule is in force and its status says something.
func (d *demo) awaitRule(ctx context.Context, what string, says func(v1alpha1.AutomationRuleStatus) bool) error {
	err := await(ctx, func(ctx context.Context) (string, error) {
		var rule v1alpha1.AutomationRule
		err := d.velo.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ruleName}, &rule)
		if apierrors.IsNotFound(err) {
			return "automationrule/" + ruleName + " has not been applied", nil
		}
		if err != nil {
			return "", err
		}
		if missing, err := notReady(&rule); err != nil || missing != "" {
			return missing, err
		}
		if !says(rule.Status) {
			return "its status does not say so", nil
		}
		return "", nil
	})
	if err != nil {
		return fmt.Errorf("wait until the rule %s %s: %w", ruleName, what, err)
	}
	return nil
}

// importLapsed brings the customer and their purchase, with the command that a user has.
func (d *demo) importLapsed(ctx context.Context) error {
	var contacts, events bytes.Buffer
	rows := csv.NewWriter(&contacts)
	err := rows.WriteAll([][]string{
		{"external_id", "email", "first_name", "plan", "locale", "consent:newsletter"}, {lapsedID, lapsed, "Ramón", "club", "es", "true"},
	})
	if err != nil {
		return err
	}
	err = json.NewEncoder(&events).Encode(map[string]any{
		"id": "lapsed-1-purchase", "source": invent.Source, "name": "purchase", "occurred_at": time.Now().Add(-lapsedSince).UTC().Format(time.RFC3339),
		"contact": map[string]string{"external_id": lapsedID}, "properties": map[string]any{"amount": 89.5, "items": 1, "sku": "jersey-sierra", "gift": false},
	})
	if err != nil {
		return err
	}
	// The purchase first: it waits for its customer.
	for _, file := range []struct {
		what, name string
		content    []byte
	}{{"events", "lapsed.jsonl", events.Bytes()}, {"contacts", "lapsed.csv", contacts.Bytes()}} {
		path := filepath.Join(d.dataDir, "people", file.name)
		if err := os.WriteFile(path, file.content, 0o600); err != nil {
			return err
		}
		if text, err := d.verb(ctx, "import", file.what, path, "--source", invent.Source, "--output", "json").Output(); err != nil {
			return fmt.Errorf("tertulia import %s: %w: %.200s", file.what, err, text)
		}
	}
	return nil
}

// countRuleMail counts what rules have written: also others lapse while the demo runs.
func (d *demo) countRuleMail(ctx context.Context) (all tally, err error) {
	for _, subject := range ruleSubjects {
		found, err := countMail(ctx, d.up.ready.Mailbox, url.Values{"q": {subject}})
		if err != nil {
			return tally{}, err
		}
		all.Count, all.MessageIDs = all.Count+found.Count, all.MessageIDs+found.MessageIDs
	}
	one, err := countMail(ctx, d.up.ready.Mailbox, url.Values{"to": {lapsed}})
	if err != nil {
		return tally{}, err
	}
	if one.Count != 1 || all.MessageIDs != all.Count {
		return tally{}, fmt.Errorf("the rule %s has written %d mails to one customer, and %d to all, of which %d differ: everybody is to get one",
			ruleName, one.Count, all.Count, all.MessageIDs)
	}
	return all, nil
}
