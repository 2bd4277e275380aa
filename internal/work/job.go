package work

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/compose"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/dkim"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// job is a send as it is written to its recipients: what is stored, compiled.
type job struct {
	store.SendJob
	readAt   time.Time
	trouble  error // what keeps every message from being written: of the channel or the tenant, and no recipient's
	variants []variant
	sender   string // the envelope's sender
	domain   string // of the sender, in ASCII
	signer   *render.Signer
	outside  outsideOf
	dkim     *dkim.Signer // nil where the relay signs, or nobody
	dkimOf   dkimSettings // what it was made from
	now      func() time.Time
}

// dkimSettings are what a signer is made from.
type dkimSettings struct{ domain, selector, key string }

// variant is one version of the message.
type variant struct {
	template *render.Template
	digest   string           // of what it was compiled from
	messages *render.Messages // nil while no message can be written
	linked   bool             // its links have their numbers
}

// outsideOf is what messages are compiled with besides their template, to be compared.
type outsideOf struct {
	from, replyTo, publicURL, timeZone, displayName, fields string
	oneClick                                                bool
	tracking                                                store.Tracking
}

// newJob compiles a send. What known, an older reading of the same send, has compiled already is not compiled again.
func newJob(stored store.SendJob, known *job, now func() time.Time) (*job, error) {
	j := &job{SendJob: stored, readAt: now(), now: now}
	if known != nil && slices.Equal(known.LinkKey, stored.LinkKey) {
		j.signer = known.signer
	} else {
		j.signer = render.NewSigner(stored.LinkKey)
	}
	for i, t := range stored.Templates {
		if known != nil && i < len(known.variants) && known.Templates[i].Name == t.Name && known.variants[i].digest == t.Digest {
			j.variants = append(j.variants, known.variants[i])
			continue
		}
		compiled, err := compose.Template(t)
		if err != nil {
			return nil, err
		}
		j.variants = append(j.variants, variant{template: compiled, digest: t.Digest})
	}
	if err := j.compileMessages(known); err != nil {
		j.trouble = fmt.Errorf("no message can be written: %w", err)
	}
	return j, nil
}

// compileMessages prepares all that is the same for every recipient.
func (j *job) compileMessages(known *job) error {
	if j.Channel.Type == store.WebhookType {
		return j.preparePosts()
	}
	var err error
	if j.sender, j.domain, err = compose.Sender(j.Channel.Email.From); err != nil {
		return err
	}
	outside := compose.Outside(j.SendJob, j.domain, j.signer)
	outside.Opens, outside.Clicks = j.Tracking.Opens, j.Tracking.Clicks
	j.outside = outsideOf{
		from: outside.From, replyTo: outside.ReplyTo, publicURL: outside.PublicURL, timeZone: j.Tenant.TimeZone,
		displayName: j.Tenant.DisplayName, fields: strings.Join(outside.Fields, " "), oneClick: outside.OneClick, tracking: j.Tracking,
	}
	same := known != nil && known.outside == j.outside && known.signer == j.signer
	for i := range j.variants {
		if v := &j.variants[i]; v.messages == nil || !same {
			if v.messages, err = v.template.CompileMessages(outside); err != nil {
				return err
			}
			v.linked = false
		}
	}
	return nil
}

// prepareSigning makes the signer of a channel whose mail the workers sign. known is an older reading of the same send.
func (j *job) prepareSigning(secret credentials.Channel, known *job) {
	e := j.Channel.Email
	if e.DKIM != store.SelfDKIM || j.trouble != nil {
		return
	}
	j.dkimOf = dkimSettings{domain: e.DKIMDomain, selector: e.DKIMSelector, key: secret.DKIMPrivateKey}
	if known != nil && known.dkim != nil && known.dkimOf == j.dkimOf {
		j.dkim = known.dkim
		return
	}
	if secret.DKIMPrivateKey == "" {
		j.trouble = errors.New("no message can be signed: the channel's key has not arrived: the Secret of dkimSignature needs the key dkim-private-key")
		return
	}
	signer, err := dkim.New(e.DKIMDomain, e.DKIMSelector, secret.DKIMPrivateKey)
	if err != nil {
		j.trouble = fmt.Errorf("no message can be signed with the channel's key: %w", err)
		return
	}
	j.dkim = signer
}

// links is where the links of sends are kept.
type links interface {
	EnsureLinks(ctx context.Context, sendID int64, urls []string) (map[string]int64, error)
}

// number gives the links of messages that were compiled anew their numbers. Until then no message is written.
func (j *job) number(ctx context.Context, db links) error {
	for i := range j.variants {
		v := &j.variants[i]
		if v.messages == nil || v.linked {
			continue
		}
		urls := v.messages.Links()
		if len(urls) > 0 {
			ids, err := db.EnsureLinks(ctx, j.ID, urls)
			if err != nil {
				return err
			}
			v.messages.Number(ids)
		}
		v.linked = true
	}
	return nil
}

// write writes the message to one recipient. An error, a panic included, concerns this recipient alone: no contact's
// data may stop a send. A mail stands in the pages that it is given.
func (j *job) write(to *pages, r store.Recipient) (m deliver.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("write the message: %v", p)
		}
	}()
	if r.Variant < 0 || r.Variant >= len(j.variants) {
		return m, fmt.Errorf("the send has no variant %d", r.Variant)
	}
	if j.Channel.Type == store.WebhookType {
		return j.writePost(r)
	}
	message := j.variants[r.Variant].messages.For(r.Locale)
	// A little more than the last one had, so that most messages are written without growing.
	data, err := message.Append(to.room(message.Size()+256), render.Recipient{
		Address: r.Address, Seq: r.Seq, Contact: r.ContactID, Locale: r.Locale, TimeZone: r.TimeZone, Tags: r.Tags, Values: r.Attributes,
		Date: j.now(), ConfirmURL: j.confirmURL(r.ContactID), Untracked: r.Untracked,
	})
	if err == nil && j.dkim != nil {
		data, err = j.dkim.Sign(data)
	}
	if err != nil {
		return m, err
	}
	id := j.signer.MessageID(j.ID, r.Seq, "", j.domain)
	return deliver.Message{ID: id[1 : len(id)-1], From: j.envelopeSender(r.Seq), To: r.Address, Data: to.keep(data)}, nil
}
