package work

import (
	"context"
	"errors"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/compose"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/publication"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/tracing"
)

// publishLocked writes the posts of a publication into the ledger and the outbox, through which they leave. What its network would refuse by now is
// not begun: the send waits for its author until its deadline.
func (l *campaignLoop) publishLocked(ctx context.Context, s store.OpenSend) (err error) {
	ctx, span := tracing.Start(tracing.Under(ctx, s.Traceparent), "publish", tracing.Tenant(l.id), tracing.Campaign(s.Campaign))
	defer func() { endSpan(span, err) }()
	if s.State != campaign.Freezing {
		if err := l.move(ctx, s, campaign.Freezing, ""); err != nil {
			return err
		}
		s.State, s.Message = campaign.Freezing, ""
	}
	step, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	job, posts, err := l.writePosts(step, s.ID)
	var flaw compose.FlawError
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil // its channel or its template is gone: the next look finds it stopped
	case errors.As(err, &flaw):
		if s.Message == string(flaw)+"." {
			return nil
		}
		return l.move(ctx, s, campaign.Freezing, string(flaw)+".")
	case err != nil:
		return err
	}
	next, err := l.db.PublishSend(step, s, job, posts, l.o.Now())
	if err != nil {
		return err
	}
	logr.FromContextOrDiscard(ctx).Info("publication judged", "campaign", s.Campaign, "sendKey", s.SendKey, "state", next)
	return nil
}

// writePosts writes the posts of a publication as they are to leave.
func (l *campaignLoop) writePosts(ctx context.Context, sendID int64) (store.PublicationJob, []publication.Post, error) {
	job, err := l.db.LoadPublicationJob(ctx, sendID)
	if err != nil {
		return job, nil, err
	}
	posts, err := compose.Posts(&job.Plan, job.Template, job.DisplayName)
	if err != nil {
		return job, nil, err
	}
	images, err := l.db.LoadPublicationImages(ctx, job.Plan.Digests())
	if err != nil {
		return job, nil, err
	}
	return job, posts, compose.CheckPosts(job.ChannelType, job.Takes, &job.Plan, posts, images)
}
