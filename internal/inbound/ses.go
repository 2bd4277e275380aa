package inbound

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// maxSESRecipients is how many recipients of a notification count; a message of ours has one.
const maxSESRecipients = 50

// ses is what SES writes into a notification, as far as we read it.
type ses struct {
	NotificationType string `json:"notificationType"`
	EventType        string `json:"eventType"` // the same, where events are published by a configuration set
	Mail             struct {
		Source  string `json:"source"`
		Headers []struct {
			Name  string `json:"name"`
			Value string `json:"value"`
		} `json:"headers"`
	} `json:"mail"`
	Bounce struct {
		Type       string         `json:"bounceType"` // Permanent, Transient, Undetermined
		SubType    string         `json:"bounceSubType"`
		Recipients []sesRecipient `json:"bouncedRecipients"`
		Timestamp  string         `json:"timestamp"`
	} `json:"bounce"`
	Complaint struct {
		Feedback   string         `json:"complaintFeedbackType"`
		Recipients []sesRecipient `json:"complainedRecipients"`
		Timestamp  string         `json:"timestamp"`
	} `json:"complaint"`
	Delay struct {
		Recipients []sesRecipient `json:"delayedRecipients"`
		Timestamp  string         `json:"timestamp"`
	} `json:"deliveryDelay"`
}

type sesRecipient struct {
	Address    string `json:"emailAddress"`
	Status     string `json:"status"`
	Diagnostic string `json:"diagnosticCode"`
}

// SESReports are what follows from a notification of SES whose signature holds; none from one that tells nothing about an
// address, such as that the topic was set up.
func (s SNS) SESReports(key []byte) []Report {
	var e ses
	if json.Unmarshal([]byte(s.Message), &e) != nil {
		return nil
	}
	kind := e.NotificationType
	if kind == "" {
		kind = e.EventType
	}
	reference := referTo(key, e.Mail.Source, e.messageID())
	var recipients []sesRecipient
	var say func(sesRecipient) Notice
	switch kind {
	case "Bounce":
		recipients = e.Bounce.Recipients
		say = e.bounced
	case "Complaint":
		recipients = e.Complaint.Recipients
		feedback := strings.ToLower(cut(e.Complaint.Feedback, maxHeader))
		if feedback == "not-spam" {
			return nil
		}
		say = func(sesRecipient) Notice {
			return Notice{Kind: Complaint, Feedback: feedback, At: timeOf(e.Complaint.Timestamp)}
		}
	case "DeliveryDelay":
		recipients = e.Delay.Recipients
		say = func(r sesRecipient) Notice {
			return Notice{Kind: Delay, Status: enhanced.FindString(r.Status), Diagnostic: r.diagnostic(), At: timeOf(e.Delay.Timestamp)}
		}
	default:
		return nil
	}
	if reference.Known() && len(recipients) != 1 { // of ours there is one, whether it is named or not
		recipients = append(recipients, sesRecipient{})[:1]
	}
	var reports []Report
	for i, recipient := range recipients[:min(len(recipients), maxSESRecipients)] {
		r := Report{ID: fmt.Sprintf("%s/%d", clean(s.MessageID), i), Notice: say(recipient)}
		r.Notice.Reference = reference
		if r.concern(recipient.Address) == nil {
			reports = append(reports, r)
		}
	}
	return reports
}

func (e *ses) bounced(r sesRecipient) Notice {
	n := Notice{Kind: Bounce, Status: enhanced.FindString(r.Status), Diagnostic: r.diagnostic(), At: timeOf(e.Bounce.Timestamp)}
	n.Class = providerClass(e.Bounce.Type == "Permanent", n.Status, n.Diagnostic)
	switch e.Bounce.SubType {
	case "NoEmail", "Suppressed", "OnAccountSuppressionList": // it was not even tried, for what is known of the address
		if e.Bounce.Type == "Permanent" {
			n.Class = Hard
		}
	}
	return n
}

func (r sesRecipient) diagnostic() string {
	if _, told, ok := strings.Cut(r.Diagnostic, ";"); ok {
		return cut(told, maxDiagnostic)
	}
	return cut(r.Diagnostic, maxDiagnostic)
}

// messageID is the one that we gave the message; SES gives it another one on its way. "" where notifications come without
// the header.
func (e *ses) messageID() string {
	for _, h := range e.Mail.Headers {
		if strings.EqualFold(h.Name, "Message-Id") {
			return h.Value
		}
	}
	return ""
}

// timeOf is the zero time where a text is none.
func timeOf(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at
}
