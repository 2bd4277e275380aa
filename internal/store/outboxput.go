package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// outgoing is something that is to leave.
type outgoing struct {
	kind, channel, dedup string
	message, send        int64 // whose it is; 0: nobody's
	rule, entry          int64 // 0: no rule's
	step                 string
	body                 any
	at                   time.Time // when it may leave; the zero time: now
}

// PostBody is the body of an answer, and of a publication that is no campaign's.
type PostBody struct {
	// Template is whose text is written when it leaves; else Text is the text, or Post the post as it is.
	Template string        `json:"template,omitempty"`
	Text     string        `json:"text,omitempty"`
	Post     *PostDocument `json:"post,omitempty"`
	// Subject is that of an answer by mail; "": that of what it answers.
	Subject string `json:"subject,omitempty"`
	// Auto says that nobody has read what is answered: a rule wrote it.
	Auto bool `json:"auto,omitempty"`
	// Mention is what is answered.
	Mention int64 `json:"mention,omitempty"`
}

// PostDocument is a post, or a thread, ready to leave.
type PostDocument struct {
	Parts      []PostPart `json:"parts"`
	Language   string     `json:"language,omitempty"`   // BCP 47
	Visibility string     `json:"visibility,omitempty"` // as package post has it
	Warning    string     `json:"warning,omitempty"`
}

// PostPart is one post of a thread.
type PostPart struct {
	Text   string      `json:"text"`
	Images []PostImage `json:"images,omitempty"`
}

// PostImage is a picture, by what its bytes hash to, with what it shows in words.
type PostImage struct {
	Digest string `json:"digest"`
	Alt    string `json:"alt,omitempty"`
}

// Digests are those of the images.
func (d *PostDocument) Digests() (all []string) {
	for _, part := range d.Parts {
		for _, image := range part.Images {
			all = append(all, image.Digest)
		}
	}
	return all
}

// WrittenPost is what is handed over of an answer or a publication, the same at every try.
type WrittenPost struct {
	PostDocument
	// ID is under which it goes where we choose it: a Message-ID without its angle brackets, or the id of a webhook.
	ID      string `json:"id,omitempty"`
	Subject string `json:"subject,omitempty"` // of a mail
	// Answers is the native id of what is answered, with its visibility as the source tells it.
	Answers    string `json:"answers,omitempty"`
	AnswersFor string `json:"answersFor,omitempty"`
}

// Text is what people read of it.
func (w *WrittenPost) Text() string {
	texts := make([]string, len(w.Parts))
	for i, part := range w.Parts {
		texts[i] = part.Text
	}
	return strings.Join(texts, "\n\n")
}

// ReadWritten reads what was handed over before.
func (p Posting) ReadWritten() (w WrittenPost, err error) {
	if err := json.Unmarshal(p.Written, &w); err != nil {
		return WrittenPost{}, fmt.Errorf("read what posting %d said: %w", p.ID, err)
	}
	return w, nil
}

// ReadPost reads the body of an answer or a publication.
func (p Posting) ReadPost() (b PostBody, err error) {
	if err := json.Unmarshal(p.Body, &b); err != nil {
		return PostBody{}, fmt.Errorf("read posting %d: %w", p.ID, err)
	}
	return b, nil
}

// enqueueOutbox has things leave once the transaction is committed. What is there already is passed over.
func enqueueOutbox(ctx context.Context, tx pgx.Tx, now time.Time, list []outgoing) error {
	kinds, channels, dedups, steps := make([]string, len(list)), make([]string, len(list)), make([]string, len(list)), make([]string, len(list))
	rules, entries := make([]int64, len(list)), make([]int64, len(list))
	messages, sends := make([]int64, len(list)), make([]int64, len(list))
	bodies, times := make([]string, len(list)), make([]time.Time, len(list))
	for i, o := range list {
		kinds[i], channels[i], dedups[i], steps[i], rules[i], entries[i] = o.kind, o.channel, o.dedup, o.step, o.rule, o.entry
		messages[i], sends[i], bodies[i], times[i] = o.message, o.send, string(mustJSON(o.body)), o.at
		if o.at.IsZero() {
			times[i] = now
		}
	}
	_, err := tx.Exec(ctx, `
		insert into outbox (kind, channel, dedup, rule_id, entry_id, step, message_id, send_id, body, made_at, not_before, due_at)
		select o.kind, o.channel, o.dedup, nullif(o.rule, 0), nullif(o.entry, 0), nullif(o.step, ''), nullif(o.message, 0), nullif(o.send, 0),
			o.body::jsonb, $11, o.at, o.at
		from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[], $9::text[], $10::timestamptz[])
			o (kind, channel, dedup, rule, entry, step, message, send, body, at)
		on conflict (dedup) do nothing`, kinds, channels, dedups, rules, entries, steps, messages, sends, bodies, times, now)
	if err != nil {
		return fmt.Errorf("put into the outbox: %w", err)
	}
	return nil
}
