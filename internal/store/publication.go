package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/publication"
)

// betweenPosts is how much later the post in the next language leaves, so that they follow one another in timelines.
const betweenPosts = 2 * time.Second

// imageRest is for how long a picture is kept that no campaign declares any more.
const imageRest = 24 * time.Hour

// keepImages keeps the pictures that a campaign declares, and forgets those that none does. One that is there already is locked: nobody forgets
// it before this transaction ends.
func keepImages(ctx context.Context, tx pgx.Tx, c SendConfig) error {
	if c.Publication == nil {
		return nil
	}
	for _, digest := range c.Publication.Digests() {
		data, ok := c.Images[digest]
		if !ok {
			return fmt.Errorf("keep picture %s: its bytes are missing", digest)
		}
		_, err := tx.Exec(ctx, `
			insert into publication_image (digest, data) values ($1, $2) on conflict (digest) do update set used_at = now()`, digest, data)
		if err != nil {
			return fmt.Errorf("keep picture %s: %w", digest, err)
		}
	}
	_, err := tx.Exec(ctx, `
		delete from publication_image i where i.used_at < now() - $1::interval
			and not exists (select from send s where s.publication -> 'images' @> jsonb_build_array(jsonb_build_object('digest', i.digest)))`, imageRest)
	if err != nil {
		return fmt.Errorf("forget pictures that nobody declares: %w", err)
	}
	return nil
}

// LoadPublicationImages reads pictures by their digests. It returns ErrNotFound where one is missing.
func (db *DB) LoadPublicationImages(ctx context.Context, digests []string) (map[string][]byte, error) {
	images := make(map[string][]byte, len(digests))
	for _, digest := range digests {
		var data []byte
		err := db.Pool.QueryRow(ctx, "select data from publication_image where digest = $1", digest).Scan(&data)
		if errors.Is(err, pgx.ErrNoRows) {
			err = ErrNotFound
		}
		if err != nil {
			return nil, fmt.Errorf("read picture %s: %w", digest, err)
		}
		images[digest] = data
	}
	return images, nil
}

// PublicationJob is what is published next of a campaign, and where.
type PublicationJob struct {
	SendKey    string
	Occurrence string
	Plan       publication.Plan
	// Variant is the place of the one whose turn it is, and Template its.
	Variant     int
	Template    Template
	Channel     string
	ChannelType string
	Takes       post.Takes // by the channel's server; zero where nobody has asked it
	DisplayName string     // the tenant's
}

// LoadPublicationJob reads what a publication needs to be published. It returns ErrNotFound where the send is none, or its channel or its template is
// not in force.
func (db *DB) LoadPublicationJob(ctx context.Context, sendID int64) (PublicationJob, error) {
	var job PublicationJob
	var variants []SendVariant
	var begun int
	var takes *post.Takes
	err := db.Pool.QueryRow(ctx, `
		select s.send_key, s.occurrence, s.publication, s.variants, ch.name, ch.type, ch.takes, tenant.display_name,
			(select count(*) from send b where b.send_key = s.send_key and b.id < s.id and b.frozen_at is not null)
		from send s cross join tenant join channel ch on ch.name = s.channel and ch.dormant_since is null
		where s.id = $1 and s.publication is not null`, sendID).Scan(
		&job.SendKey, &job.Occurrence, &job.Plan, &variants, &job.Channel, &job.ChannelType, &takes, &job.DisplayName, &begun)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err == nil {
		job.Takes = valueOf(takes)
		job.Variant = publication.Turn(begun, len(variants))
		job.Template, err = db.LoadTemplate(ctx, variants[job.Variant].Template)
	}
	if err != nil {
		return PublicationJob{}, fmt.Errorf("read what publication %d needs: %w", sendID, err)
	}
	return job, nil
}

// PublishSend writes the posts of a Freezing publication into the ledger and into the outbox, through which they leave, in one transaction. It is safe
// to repeat: a send that is no longer Freezing is left alone, and so is one that was stopped, put off or declared anew since its posts were written.
func (db *DB) PublishSend(ctx context.Context, s OpenSend, job PublicationJob, posts []publication.Post, now time.Time) (campaign.State, error) {
	next := s.State
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		facts, err := lockPublishing(ctx, tx, s.ID, job)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		facts.Audience, facts.MaxRecipients, facts.Open = int64(len(posts)), int64(len(posts)), int64(len(posts))
		if to := campaign.Next(campaign.Freezing, facts, now); to != campaign.Sending {
			return nil
		}
		if err := insertPublication(ctx, tx, s.ID, job, posts); err != nil {
			return err
		}
		if err := enqueuePublication(ctx, tx, s.ID, job, posts); err != nil {
			return err
		}
		next = campaign.Sending
		return recordFreeze(ctx, tx, s, facts, next)
	})
	if err != nil {
		return s.State, fmt.Errorf("publish send %q: %w", s.SendKey, err)
	}
	return next, nil
}

// lockPublishing locks a publication that is Freezing and reads when it may begin. It returns ErrNotFound for one in another state, and where
// something else is declared by now than what was read, or the template says something else.
func lockPublishing(ctx context.Context, tx pgx.Tx, sendID int64, job PublicationJob) (campaign.Facts, error) {
	facts := campaign.Facts{Counted: true}
	var ends *time.Time
	var plan publication.Plan
	var variants []SendVariant
	var channel string
	err := tx.QueryRow(ctx, `
		select s.starts_at, s.deadline, s.ends_at, not `+sendUnstopped+`, s.publication, s.variants, s.channel
		from send s cross join tenant where s.id = $1 and s.state = 'Freezing' and s.publication is not null for update of s`, sendID).
		Scan(&facts.StartsAt, &facts.Deadline, &ends, &facts.Stopped, &plan, &variants, &channel)
	if errors.Is(err, pgx.ErrNoRows) {
		return facts, ErrNotFound
	}
	if err != nil {
		return facts, err
	}
	facts.EndsAt = valueOf(ends)
	if !plan.Equal(&job.Plan) || channel != job.Channel || job.Variant >= len(variants) || variants[job.Variant].Template != job.Template.Name {
		return facts, ErrNotFound
	}
	var same bool
	err = tx.QueryRow(ctx, "select exists (select from template where name = $1 and digest = $2)", job.Template.Name, job.Template.Digest).Scan(&same)
	if err == nil && !same {
		err = ErrNotFound
	}
	return facts, err
}

// insertPublication writes the ledger's rows of a publication: one for each of its posts, whose step is the locale.
func insertPublication(ctx context.Context, tx pgx.Tx, sendID int64, job PublicationJob, posts []publication.Post) error {
	locales := make([]string, len(posts))
	for i, p := range posts {
		locales[i] = p.Locale
	}
	_, err := tx.Exec(ctx, `
		with row as (
			insert into ledger (send_id, seq, step, variant, state)
			select $1, n, locale, $3, 'pending' from unnest($4::text[]) with ordinality l (locale, n) returning seq
		), chunk as (
			insert into send_chunk (send_id, chunk, first_seq, last_seq, next_at) select $1, $2, min(seq), max(seq), now() from row
		)
		insert into send_tally (send_id, chunk, outcome, n) select $1, $2, 'planned', count(*) from row`,
		sendID, publicationChunk, job.Variant, locales)
	if err != nil {
		return fmt.Errorf("write the posts into the ledger: %w", err)
	}
	return nil
}

// enqueuePublication has the posts leave, from now on by the clock of the database, which is the outbox's.
func enqueuePublication(ctx context.Context, tx pgx.Tx, sendID int64, job PublicationJob, posts []publication.Post) error {
	var now time.Time
	if err := tx.QueryRow(ctx, "select now()").Scan(&now); err != nil {
		return fmt.Errorf("ask what time it is: %w", err)
	}
	list := make([]outgoing, len(posts))
	for i, p := range posts {
		document := &PostDocument{Language: p.Locale, Visibility: job.Plan.Visibility}
		for _, part := range p.Parts {
			written := PostPart{Text: part.Text}
			for _, image := range part.Images {
				written.Images = append(written.Images, PostImage{Digest: image.Digest, Alt: image.Alt})
			}
			document.Parts = append(document.Parts, written)
		}
		list[i] = outgoing{
			kind: PublicationKind, channel: job.Channel, send: sendID, body: PostBody{Post: document},
			dedup: publicationDedup(job.SendKey, job.Occurrence, p.Locale), at: now.Add(time.Duration(i) * betweenPosts),
		}
	}
	return enqueueOutbox(ctx, tx, now, list)
}
