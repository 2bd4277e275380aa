package work

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/compose"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/dkim"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// mail answers by mail, each to the address that wrote and to nobody else. Nobody can be asked afterwards whether a mail arrived: what was handed over
// without an answer is ambiguous, as in the ledger.
func (d *desk) mail(ctx context.Context, settings store.Channel, list []store.Posting) []store.Posted {
	used, err := d.channel.useConnections(settings)
	if err != nil {
		d.channel.report(ctx, nil, err)
		return unoffered(list, err.Error())
	}
	defer d.channel.doneWith(used)
	signer, err := d.mailSigner(settings.Email, used.secret.DKIMPrivateKey)
	if err != nil {
		d.channel.report(ctx, nil, err)
		return unoffered(list, err.Error())
	}
	settled := make([]store.Posted, 0, len(list))
	var messages []deliver.Message
	var posted []store.Posting
	for _, p := range list {
		m, written, err := d.writeMail(ctx, settings.Email, signer, p)
		if err != nil {
			settled = append(settled, unwritten(p, err))
			continue
		}
		if p, err = d.commit(ctx, p, written, false); err != nil {
			settled = append(settled, untried(p, ""))
			continue
		}
		messages, posted = append(messages, m), append(posted, p)
	}
	if len(messages) == 0 {
		d.channel.circuit.untold()
		return settled
	}
	health.Wait(ctx, watchedElsewhere)
	results, err := used.Deliver(ctx, messages)
	health.Wait(ctx, 0)
	d.report(ctx, results, err)
	for i, p := range posted {
		r := deliver.Result{Outcome: deliver.Unknown}
		if i < len(results) {
			r = results[i]
		}
		s := planMailed(p, r)
		s.Native = messages[i].ID
		settled = append(settled, s)
	}
	return settled
}

// mailSigner signs for channels whose mail the workers sign; nil where the relay does, or nobody.
func (d *desk) mailSigner(e store.EmailSettings, key string) (*dkim.Signer, error) {
	if e.DKIM != store.SelfDKIM {
		return nil, nil
	}
	if key == "" {
		return nil, errors.New("no message can be signed: the channel's key has not arrived: the Secret of dkimSignature needs the key dkim-private-key")
	}
	return dkim.New(e.DKIMDomain, e.DKIMSelector, key)
}

// writeMail writes an answer by mail.
func (d *desk) writeMail(
	ctx context.Context, e store.EmailSettings, signer *dkim.Signer, p store.Posting,
) (m deliver.Message, w store.WrittenPost, err error) {
	if p.Kind != store.ReplyKind {
		return m, w, unpostable("a channel of type Email publishes nothing")
	}
	body, err := p.ReadPost()
	if err != nil {
		return m, w, unpostable(err.Error())
	}
	w, f, err := d.write(ctx, p)
	if err != nil {
		return m, w, err
	}
	to, err := addressOf(f, body.Auto)
	if err != nil {
		return m, w, err
	}
	sender, domain, err := compose.Sender(e.From)
	if err != nil {
		return m, w, err
	}
	w.ID = replyMessageID(d.id, p.DedupID, domain)
	if m, err = composeReply(e, f, &w, body.Auto, to, d.o.Now()); err != nil {
		return m, w, unpostable(err.Error())
	}
	m.From = sender
	if signer != nil {
		m.Data, err = signer.Sign(m.Data)
	}
	return m, w, err
}

// addressOf is where an answer goes: to who wrote. It asks for no consent, because it is what they asked for; and an address that is suppressed may
// be answered by somebody who has read what it wrote. A program has no such need.
func addressOf(f store.ReplyFacts, automatic bool) (string, error) {
	address := f.Address
	if address == "" {
		var err error
		if address, err = crm.NormalizeEmail(f.Author); err != nil {
			return "", unpostable("what it answers has no address to which a mail could go")
		}
	}
	if automatic && f.Suppressed {
		return "", unpostable("the address is suppressed, and a rule's answer is no reason to write to it: somebody may answer it by hand")
	}
	return address, nil
}

// replyMessageID is the Message-ID of an answer, without its angle brackets: the same at every try.
func replyMessageID(tenant, dedup, domain string) string {
	sum := sha256.Sum256([]byte(tenant + "\x00" + dedup))
	return "reply." + hex.EncodeToString(sum[:16]) + "@" + domain
}

// composeReply writes the mail (RFC 5322, 3.6.4; RFC 3834 for what a program wrote).
func composeReply(e store.EmailSettings, f store.ReplyFacts, w *store.WrittenPost, automatic bool, to string, now time.Time) (deliver.Message, error) {
	w.Subject = replySubject(cmp.Or(w.Subject, f.Title))
	envelope := render.Envelope{
		From: e.From, ReplyTo: e.ReplyTo, To: to, MessageID: "<" + w.ID + ">", Date: now, InReplyTo: f.NativeID,
		References: []string{f.Thread, f.Parent, f.NativeID}, AutoReplied: automatic,
	}
	data, err := render.Compose(envelope, render.Rendered{Subject: w.Subject, Text: w.Text() + "\n"})
	return deliver.Message{ID: w.ID, To: to, Data: data}, err
}

// replySubject is the subject of an answer: Re: once, before what it answers.
func replySubject(subject string) string {
	for subject = strings.TrimSpace(subject); len(subject) >= 3 && strings.EqualFold(subject[:3], "re:"); {
		subject = strings.TrimSpace(subject[3:])
	}
	return strings.TrimSpace("Re: " + subject)
}
