package work

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/bluesky"
	"github.com/tertulia-crm/tertulia/internal/listen/mastodon"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// publish publishes one post or thread of an account, or finds out what became of it.
func (d *desk) publish(ctx context.Context, settings store.Channel, p store.Posting) store.Posted {
	publisher, err := d.open(settings)
	if err != nil {
		d.channel.report(ctx, nil, err)
		return untried(p, err.Error())
	}
	i, written, err := d.intent(ctx, settings, p)
	if err != nil {
		d.channel.circuit.untold()
		return unwritten(p, err)
	}
	if p.Look {
		r, err := d.find(ctx, publisher, i)
		return planFound(p, r, err)
	}
	if p, err = d.commit(ctx, p, written, true); err != nil {
		d.channel.circuit.untold()
		return untried(p, "")
	}
	i.At, i.Tried = p.IntentAt, p.TriedAt
	r, err := d.handOver(ctx, publisher, i)
	return planPublished(p, r, err)
}

// handOver publishes. When the worker is told to stop, or has lost the posting, it ends what the network cannot have, and what has come further when
// the time for stopping is over: it is looked for then.
func (d *desk) handOver(ctx context.Context, publisher post.Publisher, i *post.Intent) (post.Result, error) {
	health.Wait(ctx, watchedElsewhere)
	defer health.Wait(ctx, 0)
	ended := make(chan struct{})
	defer close(ended)
	defer context.AfterFunc(ctx, func() {
		select {
		case <-ended:
		case <-time.After(d.o.Grace / 2):
			_ = publisher.Close()
		}
	})()
	r, err := publisher.Publish(ctx, i)
	if ctx.Err() == nil {
		d.channel.report(ctx, []deliver.Result{r.Result}, err)
	} else {
		d.channel.circuit.untold()
		d.account.close() // it may be closed already
	}
	return r, err
}

// find looks for a post.
func (d *desk) find(ctx context.Context, publisher post.Publisher, i *post.Intent) (post.Result, error) {
	health.Wait(ctx, watchedElsewhere)
	defer health.Wait(ctx, 0)
	var unknown error // whose a post is
	i.Taken = func(id string) bool {
		taken, err := d.isTaken(ctx, i.ID, id)
		unknown = errors.Join(unknown, err)
		return taken
	}
	r, err := publisher.Find(ctx, i)
	if unknown != nil {
		d.channel.circuit.untold()
		return post.Settle(deliver.Unknown, "", i.Posted), fmt.Errorf("look whose a post is: %w", unknown)
	}
	switch {
	case ctx.Err() != nil:
		d.channel.circuit.untold()
	case err != nil:
		d.channel.report(ctx, nil, err)
	default:
		d.channel.report(ctx, []deliver.Result{{Outcome: deliver.Accepted}}, nil)
	}
	return r, err
}

// commit commits that a posting is about to be handed over. After an error nothing was, and nothing is.
func (d *desk) commit(ctx context.Context, p store.Posting, written store.WrittenPost, findable bool) (store.Posting, error) {
	ctx, cancel := health.Step(ctx, d.o.StatementLimit)
	defer cancel()
	return d.rules.IntendPosting(ctx, p, written, findable)
}

// intent is a posting as a publisher takes it.
func (d *desk) intent(ctx context.Context, settings store.Channel, p store.Posting) (*post.Intent, store.WrittenPost, error) {
	w, f, err := d.write(ctx, p)
	if err != nil {
		return nil, w, err
	}
	if f.Network != "" && f.Network != networkOf(settings) {
		return nil, w, unpostable("what it answers was read on " + f.Network + ", and the channel posts on " + networkOf(settings) +
			": name a channel of that server in spec.replyChannelRef of the source")
	}
	if settings.Type == store.BlueskyType && w.AnswersFor == string(listen.Private) {
		return nil, w, unpostable("what it answers is not public, and everybody sees what is posted on this network")
	}
	i := &post.Intent{ID: p.DedupID, At: p.IntentAt, Tried: p.TriedAt, Posted: referencesOf(p.Parts), Post: post.Post{
		Language: w.Language, Visibility: post.Visibility(w.Visibility), Warning: w.Warning,
	}}
	if w.Answers != "" {
		i.Post.ReplyTo = &post.Target{ID: w.Answers, Visibility: targetVisibility(w.AnswersFor)}
	}
	ctx, cancel := health.Step(ctx, d.o.StatementLimit)
	defer cancel()
	images, err := d.images(ctx, &w.PostDocument)
	if err != nil {
		return nil, w, err
	}
	for _, part := range w.Parts {
		written := post.Part{Text: part.Text}
		for _, image := range part.Images {
			written.Images = append(written.Images, post.Image{Data: images[image.Digest], Alt: image.Alt})
		}
		i.Post.Parts = append(i.Post.Parts, written)
	}
	return i, w, nil
}

// networkOf is the network on which a channel's posts have their ids, as sources name it. An id of another server is that of another post here.
func networkOf(c store.Channel) string {
	if c.Type == store.BlueskyType {
		return bluesky.Network
	}
	return mastodon.NetworkOf(c.Social.Server)
}

func (d *desk) isTaken(ctx context.Context, dedup, id string) (bool, error) {
	ctx, cancel := health.Step(ctx, d.o.StatementLimit)
	defer cancel()
	return d.db.IsPosted(ctx, d.name, id, dedup)
}

// targetVisibility is who sees what is answered. Of what is not for everybody the source does not say whom it is for: nobody else than who is named
// sees the answer.
func targetVisibility(of string) post.Visibility {
	switch listen.Visibility(of) {
	case listen.Private:
		return post.Direct
	case listen.Unlisted:
		return post.Unlisted
	}
	return post.Public
}

// images are the bytes of a post's pictures, by digest.
func (d *desk) images(ctx context.Context, document *store.PostDocument) (map[string][]byte, error) {
	digests := document.Digests()
	if len(digests) == 0 {
		return nil, nil
	}
	images, err := d.db.LoadPublicationImages(ctx, digests)
	if errors.Is(err, store.ErrNotFound) {
		return nil, unpostable("an image of it is not there any more")
	}
	if err != nil {
		return nil, fmt.Errorf("read the images of a post: %w", err)
	}
	return images, nil
}
