package work

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/inbound"
	"github.com/tertulia-crm/tertulia/internal/inbound/imap"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// mailboxLimit is how long a mailbox may be read at a time. What it did not suffice for comes the next time.
	mailboxLimit = 5 * time.Minute
	// returnedKept is how long what people and servers said is kept; that it came is kept.
	returnedKept = 90 * 24 * time.Hour
)

// envelopeSender is where reports about a row's message go.
func (j *job) envelopeSender(seq int64) string {
	base := j.Channel.Email.Returns.Address
	if base == "" {
		return j.sender
	}
	address, err := inbound.ReturnAddress(j.LinkKey, base, inbound.Reference{Send: j.ID, Seq: seq})
	if err != nil { // the operator has checked it
		return j.sender
	}
	return address
}

// returnsLoop reads the mailboxes into which bounces, complaints and answers come.
type returnsLoop struct {
	*tenant
	told map[string]string // by channel: the trouble that the log knows of
}

func newReturnsLoop(t *tenant) *returnsLoop {
	return &returnsLoop{tenant: t, told: map[string]string{}}
}

// round reads every mailbox that no other worker reads. One that cannot be read does not keep the others waiting.
func (l *returnsLoop) round(ctx context.Context) error {
	mailboxes, err := l.mailboxes(ctx)
	if err != nil {
		return err
	}
	var failed error
	for _, m := range mailboxes {
		_, err := l.db.WithMailboxLock(ctx, m.Channel, l.o.Lease/3, func(ctx context.Context) error { return l.read(ctx, m) })
		var trouble *imap.Trouble
		if errors.As(err, &trouble) {
			err = nil
		}
		l.tell(ctx, m.Channel, trouble)
		failed = errors.Join(failed, err)
	}
	return failed
}

func (l *returnsLoop) mailboxes(ctx context.Context) ([]store.ReturnMailbox, error) {
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	if err := l.db.ForgetReturned(ctx, returnedKept); err != nil {
		return nil, err
	}
	return l.db.ReturnMailboxes(ctx)
}

// read takes what is new in a mailbox.
func (l *returnsLoop) read(ctx context.Context, m store.ReturnMailbox) error {
	ctx, cancel := health.Step(ctx, mailboxLimit)
	defer cancel()
	key, err := l.db.LinkKey(ctx)
	if err != nil {
		return err
	}
	after, err := l.db.LoadCursor(ctx, m.Channel)
	if err != nil {
		return err
	}
	secret := l.channelCredentials(m.Channel)
	o := imap.Options{
		Host: m.Host, Port: m.Port, TLS: imap.TLSMode(m.TLS), Mailbox: m.Mailbox, Username: secret.InboxUsername, Password: secret.InboxPassword,
		TLSConfig: l.o.MailboxTLS,
	}
	return imap.Take(ctx, o, after, func(ctx context.Context, messages []imap.Message, read inbound.Cursor) error {
		return l.take(ctx, m.Channel, key, messages, read)
	})
}

// take writes down what a batch of messages says. A mailbox may hold other mail: only what refers to a message of ours is
// kept.
func (l *returnsLoop) take(ctx context.Context, channel string, key []byte, messages []imap.Message, read inbound.Cursor) error {
	var list []store.Returned
	for _, m := range messages {
		notice, err := inbound.Read(key, nil, bytes.NewReader(m.Raw))
		if err != nil || !notice.Reference.Known() {
			continue
		}
		id := cmp.Or(notice.MessageID, fmt.Sprintf("%d/%d", read.Validity, m.UID))
		list = append(list, store.Returned{Source: "imap", SourceID: id, Notice: notice})
	}
	ctx, cancel := context.WithTimeout(ctx, l.o.StatementLimit)
	defer cancel()
	taken, err := l.db.TakeReturned(ctx, channel, list, &read)
	for _, r := range taken {
		l.o.Metrics.Returned.WithLabelValues(l.id, channel, string(r.Notice.Kind)).Inc()
	}
	return err
}

// tell tells the log once of a trouble and once that it is over, and the channel's author as long as it lasts.
func (l *returnsLoop) tell(ctx context.Context, channel string, trouble *imap.Trouble) {
	words := ""
	if trouble != nil {
		words = trouble.Error()
	}
	if l.told[channel] == words {
		return
	}
	log := logr.FromContextOrDiscard(ctx).WithValues("channel", channel)
	step, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	if err := l.db.SetReturnsTrouble(step, channel, words); err != nil {
		log.Info("cannot note the trouble of a mailbox", "error", store.Brief(err).Error())
		return
	}
	if words != "" {
		log.Info("the mailbox of returns cannot be read", "trouble", words)
	} else {
		log.Info("the mailbox of returns is read again")
	}
	l.told[channel] = words
}
