package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/local/conversation"
)

const (
	serviceFolder = "examples/velo/service"
	complaintName = "complaint" // the folder and the rule
	queueName     = "social-care"
	agentName     = "ana"
	agentAnswer   = "Tienes toda la razón, y lo sentimos mucho: tu pedido sale hoy y el envío te lo devolvemos. Escríbenos aquí si algo falta."
)

// talk is a conversation as `tertulia inbox show --output json` tells it.
type talk struct {
	Number  int64
	Version int64
	State   string
	Tickets []struct {
		Number                            int64
		Queue, Priority, Status, Assignee string
	}
}

// answer merges a queue with the rule that fills it, and has a customer complain to the shop: they are told at once that it was read, and an
// agent answers them in the thread.
func (d *demo) answer(ctx context.Context) error {
	if err := d.merge(serviceFolder, complaintName); err != nil {
		return err
	}
	if err := d.awaitService(ctx); err != nil {
		return err
	}
	if !d.said.Complaint.IsZero() {
		d.show.say("• A customer complained in an earlier run: nobody is answered twice")
		return nil
	}
	d.show.begin("A customer writes to @velo.example on the network, in public and angry")
	d.said.Complaint = d.talk.Complain()
	if err := d.said.save(d.dataDir); err != nil {
		return err
	}
	var found talk
	err := await(ctx, func(ctx context.Context) (missing string, err error) {
		if found, missing, err = d.complaint(ctx); err != nil || missing != "" {
			return missing, err
		}
		if len(d.talk.Answers()) == 0 {
			return "the rule " + complaintName + " has not answered on the network", nil
		}
		return "", nil
	})
	if err != nil {
		return fmt.Errorf("wait for the ticket of the complaint: %w", err)
	}
	d.show.done("ticket %d of %s, %s, for %s; the rule has said that it was read", found.Tickets[0].Number, queueName, found.Tickets[0].Priority, agentName)
	if err := d.showVerb(ctx, "inbox", "--queue", queueName, "--limit", "1"); err != nil {
		return err
	}
	return d.answerBy(ctx, found)
}

// answerBy has the agent answer, and shows what came of it: one answer of a program and one of a person, both in the thread.
func (d *demo) answerBy(ctx context.Context, found talk) error {
	number := fmt.Sprint(found.Number)
	err := d.showVerb(ctx, "reply", number, "--seen", fmt.Sprint(found.Version), "--text", agentAnswer, "--agent", agentName)
	if err != nil {
		return err
	}
	d.show.begin("Sending it")
	err = await(ctx, func(ctx context.Context) (missing string, err error) {
		if len(d.talk.Answers()) < 2 {
			return "the answer of " + agentName + " is not on the network", nil
		}
		found, missing, err = d.complaint(ctx)
		if err == nil && missing == "" && found.Tickets[0].Status != "Pending" {
			missing = "its ticket is " + found.Tickets[0].Status
		}
		return missing, err
	})
	if err != nil {
		return fmt.Errorf("wait for the answer: %w", err)
	}
	answers := d.talk.Answers()
	if len(answers) != 2 || answers[1] != agentAnswer {
		return fmt.Errorf("the network has %d answers to the customer, want one of the rule and one of %s", len(answers), agentName)
	}
	if err := d.awaitBacklog(ctx); err != nil {
		return err
	}
	d.show.done("in the thread on the network: one answer of the rule, one of %s; the ticket waits for the customer", agentName)
	return d.showVerb(ctx, "inbox", "show", number)
}

// awaitBacklog waits until kubectl shows the ticket.
func (d *demo) awaitBacklog(ctx context.Context) error {
	err := await(ctx, func(ctx context.Context) (string, error) {
		var queue v1alpha1.ServiceQueue
		if err := d.velo.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: queueName}, &queue); err != nil {
			return "", err
		}
		if count(queue.Status.Backlog) == 0 {
			return "its backlog is 0", nil
		}
		return "", nil
	})
	if err != nil {
		return fmt.Errorf("wait until the status of %s shows the ticket: %w", queueName, err)
	}
	return nil
}

// awaitService waits until the queue and its rule are in force.
func (d *demo) awaitService(ctx context.Context) error {
	err := await(ctx, func(ctx context.Context) (string, error) {
		for name, object := range map[string]v1alpha1.Object{
			queueName: &v1alpha1.ServiceQueue{}, complaintName: &v1alpha1.AutomationRule{},
		} {
			err := d.velo.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, object)
			if client.IgnoreNotFound(err) != nil {
				return "", err
			}
			if err != nil {
				return name + " has not been applied", nil
			}
			if missing, err := notReady(object); err != nil || missing != "" {
				return missing, err
			}
		}
		return "", nil
	})
	if err != nil {
		return fmt.Errorf("wait until %s is in force: %w", filepath.Join(serviceFolder, complaintName), err)
	}
	return nil
}

// complaint finds the conversation with the customer, with its ticket.
func (d *demo) complaint(ctx context.Context) (found talk, missing string, err error) {
	text, err := d.verb(ctx, "inbox", "--queue", queueName, "--state", "open,waiting", "--output", "json").Output()
	if err != nil {
		return found, "", fmt.Errorf("tertulia inbox: %w", err)
	}
	var list struct{ Conversations []talk }
	if err := json.Unmarshal(text, &list); err != nil {
		return found, "", fmt.Errorf("read what tertulia inbox says: %w", err)
	}
	for _, c := range list.Conversations {
		shown, err := d.verb(ctx, "inbox", "show", fmt.Sprint(c.Number), "--output", "json").Output()
		if err != nil {
			return found, "", fmt.Errorf("tertulia inbox show %d: %w", c.Number, err)
		}
		if !strings.Contains(string(shown), conversation.Demand) {
			continue
		}
		if err := json.Unmarshal(shown, &found); err != nil {
			return found, "", fmt.Errorf("read what tertulia inbox show says: %w", err)
		}
		if len(found.Tickets) != 1 || found.Tickets[0].Assignee == "" {
			return found, "its ticket is nobody's yet", nil
		}
		return found, "", nil
	}
	return found, "the complaint has not become a ticket", nil
}
