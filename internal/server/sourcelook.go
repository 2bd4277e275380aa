package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/store"
)

type sourcesOutput struct {
	Body struct {
		Sources []sourceBody `json:"sources" doc:"Those in force, by name."`
	}
}

// sourceBody is how a source stands.
type sourceBody struct {
	Name        string     `json:"name" doc:"The SocialSource's name."`
	Type        string     `json:"type" doc:"What is listened to: Feed, Mastodon, Bluesky, Mailbox, Webhook."`
	State       string     `json:"state" enum:"Listening,Waiting,Failing,Suspended" doc:"Waiting: it has not been read yet, or was asked for patience. Failing: it cannot be read."`
	Reason      string     `json:"reason,omitempty" doc:"Why it cannot be read, in one word."`
	Message     string     `json:"message,omitempty" doc:"The same in words, and what to do where a person has to."`
	Since       *time.Time `json:"since,omitempty" doc:"Since when it cannot be read."`
	Languages   []string   `json:"languages,omitempty" doc:"Whose posts are kept; absent for all."`
	Brought     int64      `json:"brought" doc:"How many mentions it ever brought: those too that are forgotten by now, or that another source had brought before."`
	LastBrought *time.Time `json:"last_brought_at,omitempty" doc:"When the last of them came."`
	ReadAt      *time.Time `json:"read_at,omitempty" doc:"When it was last read without trouble."`
	Rejected    int64      `json:"rejected" doc:"Posts that could not be read or kept."`
	Gaps        int64      `json:"gaps" doc:"How many times something was missed."`
	LastGap     *gapBody   `json:"last_gap,omitempty" doc:"The last of them."`
	MovedTo     string     `json:"moved_to,omitempty" doc:"Where what is read has moved to for ever: its manifest should name it. A query is not shown, for keys stand in such; … stands for it."`
}

type gapBody struct {
	From   *time.Time `json:"from,omitempty" doc:"Since when; absent where that is not known."`
	To     time.Time  `json:"to" doc:"Until when."`
	Reason string     `json:"reason" doc:"Why nothing can be known of that time any more."`
}

func describeSource(s store.SourceOverview) sourceBody {
	body := sourceBody{
		Name: s.Name, Type: s.Type, State: string(s.Condition), Reason: string(s.Reason), Message: s.Message, Since: s.Since, Languages: s.Languages,
		Brought: s.Brought, LastBrought: s.LastBrought, ReadAt: s.ReadAt, Rejected: s.Rejected, Gaps: s.Gaps, MovedTo: s.Moved,
	}
	if g := s.LastGap; g != nil {
		body.LastGap = &gapBody{To: g.To, Reason: g.Reason}
		if !g.From.IsZero() {
			body.LastGap.From = &g.From
		}
	}
	return body
}

func (s *Server) registerSources(api huma.API) {
	register(api, huma.Operation{
		OperationID: "list-sources", Method: http.MethodGet, Path: "/v1/sources", Tags: []string{"Listening"},
		Summary: "List what is listened to, and how that goes", Security: requires(scopeMonitorsRead),
	}, listSources)
}

func listSources(ctx context.Context, _ *struct{}) (*sourcesOutput, error) {
	list, err := tenantOf(ctx).db.Sources(ctx)
	if err != nil {
		return nil, monitorError(ctx, "", err)
	}
	out := &sourcesOutput{}
	out.Body.Sources = make([]sourceBody, len(list))
	for i, s := range list {
		out.Body.Sources[i] = describeSource(s)
	}
	return out, nil
}
