package inbound

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// MailgunTolerance is how far a signature of Mailgun's may be from the clock: it tries for eight hours to be heard.
const MailgunTolerance = 12 * time.Hour

// ErrSignature means that a provider did not sign what was posted, or not lately.
var ErrSignature = errors.New("the signature does not hold")

// mailgun is what Mailgun posts, as far as we read it.
type mailgun struct {
	Signature struct {
		Timestamp string `json:"timestamp"`
		Token     string `json:"token"`
		Signature string `json:"signature"`
	} `json:"signature"`
	Event mailgunEvent `json:"event-data"`
}

type mailgunEvent struct {
	ID        string  `json:"id"`
	Event     string  `json:"event"`
	Severity  string  `json:"severity"` // permanent, temporary
	Reason    string  `json:"reason"`
	Recipient string  `json:"recipient"`
	Timestamp float64 `json:"timestamp"`
	Status    struct {
		Code     int    `json:"code"`
		Enhanced string `json:"enhanced-code"`
		Message  string `json:"message"`
	} `json:"delivery-status"`
	Envelope struct {
		Sender string `json:"sender"`
	} `json:"envelope"`
	Message struct {
		Headers struct {
			MessageID string `json:"message-id"`
		} `json:"headers"`
	} `json:"message"`
}

// Mailgun is a report of Mailgun's whose signature holds.
type Mailgun struct {
	// Token is what it signed, beside the time. It did not sign the rest: a token that comes with something else than the
	// first time is played again.
	Token string
	// SignedAt is the time that it signed: no longer than MailgunTolerance after it is the signature good.
	SignedAt time.Time
	event    mailgun
}

// OpenMailgun checks the signature of what Mailgun posted. It gives ErrReport or ErrSignature.
func OpenMailgun(hookKey string, body []byte, now time.Time) (Mailgun, error) {
	var m mailgun
	if err := json.Unmarshal(body, &m); err != nil {
		return Mailgun{}, fmt.Errorf("%w: %s", ErrReport, jsonTrouble(err))
	}
	s := m.Signature
	given, err := hex.DecodeString(s.Signature)
	if err != nil || hookKey == "" || len(s.Token) == 0 || len(s.Token) > maxHookID {
		return Mailgun{}, ErrSignature
	}
	seconds, err := strconv.ParseInt(s.Timestamp, 10, 64)
	if err != nil {
		return Mailgun{}, ErrSignature
	}
	mac := hmac.New(sha256.New, []byte(hookKey))
	mac.Write([]byte(s.Timestamp + s.Token))
	if !hmac.Equal(given, mac.Sum(nil)) {
		return Mailgun{}, ErrSignature
	}
	signed := time.Unix(seconds, 0)
	if off := now.Sub(signed); off > MailgunTolerance || off < -MailgunTolerance {
		return Mailgun{}, fmt.Errorf("%w: it was made more than %s ago, or hence", ErrSignature, MailgunTolerance)
	}
	return Mailgun{Token: s.Token, SignedAt: signed, event: m}, nil
}

// Reports are what follows from it; none from an event that tells nothing about an address.
func (m Mailgun) Reports(key []byte) ([]Report, error) {
	e := &m.event.Event
	if e.ID == "" || len(e.ID) > maxHookID {
		return nil, fmt.Errorf("%w: event-data.id is missing, or longer than %d bytes", ErrReport, maxHookID)
	}
	r := Report{ID: clean(e.ID), Notice: Notice{Kind: e.kind()}}
	if r.Notice.Kind == "" {
		return nil, nil
	}
	e.say(&r.Notice)
	r.Notice.Reference = referTo(key, e.Envelope.Sender, e.Message.Headers.MessageID)
	if err := r.concern(e.Recipient); err != nil {
		return nil, err
	}
	return []Report{r}, nil
}

// kind is "" for an event that tells nothing about an address.
func (e *mailgunEvent) kind() Kind {
	switch {
	case e.Event == "complained" || e.Event == "failed" && e.Reason == "suppress-complaint":
		return Complaint
	case e.Event != "failed" || e.Reason == "suppress-unsubscribe":
		return ""
	case e.Severity != "permanent":
		return Delay // it goes on trying
	}
	return Bounce
}

// say fills in what the event says.
func (e *mailgunEvent) say(n *Notice) {
	const latest = 1 << 34 // seconds: within what a database takes for a time
	if e.Timestamp > 0 && e.Timestamp < latest {
		whole, part := math.Modf(e.Timestamp)
		n.At = time.Unix(int64(whole), int64(part*1e9))
	}
	if n.Kind == Complaint {
		return
	}
	n.Status, n.Diagnostic = enhanced.FindString(e.Status.Enhanced), cut(e.Status.Message, maxDiagnostic)
	if n.Kind != Bounce {
		return
	}
	// Of a message that it tried for too long, it says "old". Codes of the 4xx are what was said last.
	permanent := e.Reason != "old" && (e.Status.Code < 400 || e.Status.Code >= 500)
	n.Class = providerClass(permanent, n.Status, n.Diagnostic)
	if e.Reason == "suppress-bounce" {
		n.Class = Hard
	}
}
