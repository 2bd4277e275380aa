package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/monitor/influence"
	"github.com/tertulia-crm/tertulia/internal/store"
)

type influenceInput struct {
	MonitorPath
	Topic string `query:"topic" maxLength:"63" doc:"About which topic. Default: the brand's, where there is one topic of it."`
	Role  string `query:"role" enum:"Ambassador,Detractor,Leader" doc:"Only who is that. Default: everybody."`
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many at most."`
}

type influenceOutput struct {
	Body struct {
		Monitor  string           `json:"monitor" doc:"The Monitor's name."`
		Topic    string           `json:"topic" doc:"The topic's name."`
		RankedAt *time.Time       `json:"ranked_at,omitempty" doc:"Of when it is; absent before the first time."`
		Compared int              `json:"compared" doc:"How many people were compared."`
		Edges    int              `json:"edges" doc:"How many pairs of people there are of whom one took up the other."`
		Authors  []influencerBody `json:"authors" doc:"The most influential first, of the 10,000 that are kept."`
	}
}

type influencerBody struct {
	Place   int               `json:"place" doc:"1 is the most influential of all."`
	Network string            `json:"network" doc:"Where they write."`
	Author  mentionAuthorBody `json:"author" doc:"Who it is there."`
	Score   float64           `json:"score" doc:"From 0 to 1: the mean of the parts that are known, times damping."`
	Parts   partsBody         `json:"parts" doc:"What the score is made of: places among all who were compared, from 0 to 1. One that is absent is not known."`
	Roles   []string          `json:"roles" enum:"Ambassador,Detractor,Leader" doc:"Ambassador: influential, speaks well, and does so for months. Detractor: the mirror. Leader: people begin to write about it after talking with them."`

	Amplifiers int     `json:"amplifiers" doc:"How many people took them up within 180 days."`
	Core       int     `json:"core" doc:"The largest k for which they belong to a group in which everybody is linked with k others."`
	Brought    int     `json:"brought" doc:"How many people first wrote about it within three days after talking with them."`
	Posts      int64   `json:"posts" doc:"How much they wrote about it within 180 days."`
	Damping    float64 `json:"damping" doc:"Below 1 for an account that is new."`
	Ring       bool    `json:"ring" doc:"Whether they belong to a small group that takes up itself alone: what happens there hardly counts."`
	Staff      bool    `json:"staff" doc:"Whether it is an account of the monitor's own."`
}

type partsBody struct {
	PageRank   *float64 `json:"page_rank,omitempty" doc:"Of who is taken up by those who are taken up."`
	Amplifiers *float64 `json:"amplifiers,omitempty" doc:"Of how many took them up."`
	Core       *float64 `json:"core,omitempty" doc:"Of how tightly they are linked."`
	Followers  *float64 `json:"followers,omitempty" doc:"Of how many follow them, among those of whom that is known."`
	Share      *float64 `json:"share,omitempty" doc:"Of how much of the talk is theirs."`
}

func (s *Server) registerInfluence(api huma.API) {
	register(api, huma.Operation{
		OperationID: "list-influence", Method: http.MethodGet, Path: "/v1/monitors/{name}/influence", Tags: []string{"Listening"},
		Summary: "Tell who moves the talk about a topic",
		Description: "Of topics of the brand and of products: whose words others answer, spread and name. It is computed every night, and up to every " +
			"15 minutes when somebody took up another. Who is forgotten is not in it from that moment on.",
		Security: requires(scopeMentionsRead), Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusGatewayTimeout},
	}, listInfluence)
}

func listInfluence(ctx context.Context, in *influenceInput) (*influenceOutput, error) {
	found, err := tenantOf(ctx).db.Influence(ctx, store.InfluenceQuery{
		Monitor: in.Name, Topic: in.Topic, Role: influence.Role(in.Role), Limit: in.Limit,
	})
	if err != nil {
		return nil, monitorError(ctx, in.Name, err)
	}
	out := &influenceOutput{}
	out.Body.Monitor, out.Body.Topic, out.Body.RankedAt = found.Monitor, found.Topic, found.RankedAt
	out.Body.Compared, out.Body.Edges = found.Authors, found.Edges
	out.Body.Authors = make([]influencerBody, len(found.Top))
	for i := range found.Top {
		out.Body.Authors[i] = describeInfluencer(&found.Top[i])
	}
	return out, nil
}

func describeInfluencer(i *store.Influencer) influencerBody {
	body := influencerBody{
		Place: i.Place, Network: i.Network, Author: describeAuthor(i.MentionAuthor), Score: i.Score.Score, Parts: partsBody(i.Parts),
		Roles: []string{}, Amplifiers: i.Amplifiers, Core: i.Core, Brought: i.Brought, Posts: i.Posts, Damping: i.Damping, Ring: i.Ring, Staff: i.Staff,
	}
	for _, role := range i.Roles {
		body.Roles = append(body.Roles, string(role))
	}
	return body
}
