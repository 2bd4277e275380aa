package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// MentionFilters choose mentions, in lists and in streams. The API's library reads the fields of exported types alone where they are embedded.
type MentionFilters struct {
	Text      string `query:"q" maxLength:"300" doc:"Words that are all in the text, in whatever form of Spanish or English; \"in a row\", OR, -without."`
	Source    string `query:"source" maxLength:"253" doc:"Those that a SocialSource brought."`
	Monitor   string `query:"monitor" maxLength:"253" doc:"Those about one of a Monitor's topics."`
	Topic     string `query:"topic" maxLength:"63" doc:"Those about one topic of the monitor."`
	Sentiment string `query:"sentiment" enum:"negative,neutral,positive" doc:"Those that are meant so."`
	Language  string `query:"language" maxLength:"8" doc:"Those in a language, such as es."`
	Kind      string `query:"kind" enum:"Post,Reply,Repost,Quote,Review,Message,Article" doc:"Those of one kind."`
	Network   string `query:"network" maxLength:"300" doc:"Those of one network's instance, such as bluesky or mastodon:social.example."`
	Author    string `query:"author" maxLength:"36" doc:"By an author, named by id."`
	Thread    string `query:"thread" maxLength:"36" doc:"Of the conversation that a mention is of, named by its id."`
}

// wrong says why the filters cannot be used together; "" when they can.
func (f *MentionFilters) wrong() string {
	if f.Topic != "" && f.Monitor == "" {
		return "topic: is one of a monitor: give monitor too"
	}
	return ""
}

// query is the filter as the store reads it.
func (f *MentionFilters) query() store.MentionQuery {
	return store.MentionQuery{
		Text: f.Text, Source: f.Source, Monitor: f.Monitor, Topic: f.Topic, Label: sentiment.Label(f.Sentiment), Language: f.Language,
		Kind: listen.Kind(f.Kind), Network: f.Network, Author: f.Author, Thread: f.Thread,
	}
}

type mentionsInput struct {
	MentionFilters
	From  time.Time `query:"from" doc:"Written from then on." example:"2026-11-22T00:00:00Z"`
	To    time.Time `query:"to" doc:"Written before then."`
	Limit int       `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most."`
	After string    `query:"after" maxLength:"80" doc:"next of the page before."`
}

type mentionsOutput struct {
	Body struct {
		Mentions []mentionBody `json:"mentions" doc:"The newest first, by when they were written."`
		Next     string        `json:"next,omitempty" doc:"What to ask for as after, for those that follow; absent on the last page."`
	}
}

// mentionBody is what somebody wrote, with what is understood of it.
type mentionBody struct {
	ID         string                 `json:"id" format:"uuid" doc:"The mention's id."`
	Network    string                 `json:"network" doc:"The instance on which native_id is unique."`
	NativeID   string                 `json:"native_id" doc:"Its id there."`
	Kind       string                 `json:"kind" enum:"Post,Reply,Repost,Quote,Review,Message,Article" doc:"What it is to others."`
	URL        string                 `json:"url,omitempty" doc:"Where people read it."`
	Author     *mentionAuthorBody     `json:"author,omitempty" doc:"Who wrote it; absent for somebody whom the network does not name."`
	Title      string                 `json:"title,omitempty" doc:"Of articles, reviews and mails."`
	Text       string                 `json:"text" doc:"What it says: plain text, as a stranger wrote it."`
	Language   string                 `json:"language,omitempty" doc:"What it is written in; und where that is not known."`
	Visibility string                 `json:"visibility" enum:"Public,Unlisted,Private" doc:"Who may read it on its network."`
	Sentiment  sentimentBody          `json:"sentiment" doc:"How it speaks."`
	Topics     []mentionTopicBody     `json:"topics" doc:"What it is about."`
	Sources    []string               `json:"sources" doc:"The SocialSources that brought it."`
	Tags       []string               `json:"tags,omitempty" doc:"Hashtags, without #."`
	Links      []string               `json:"links,omitempty" doc:"Addresses that it links to."`
	Media      []mentionMediaBody     `json:"media,omitempty" doc:"Pictures, videos and sounds, as links."`
	Rating     *mentionRatingBody     `json:"rating,omitempty" doc:"The stars of a review."`
	Engagement *mentionEngagementBody `json:"engagement,omitempty" doc:"What others did with it, as the network told last; absent where it does not say."`
	Parent     string                 `json:"parent,omitempty" doc:"The network's id of the post that it answers."`
	Thread     string                 `json:"thread,omitempty" doc:"The network's id of the post that began the conversation."`
	Subject    string                 `json:"subject,omitempty" doc:"The network's id of the post that it repeats or quotes."`
	CreatedAt  time.Time              `json:"created_at" doc:"When it was written."`
	EditedAt   *time.Time             `json:"edited_at,omitempty" doc:"When it was last edited."`
	ReceivedAt time.Time              `json:"received_at" doc:"When it came in."`
}

type mentionAuthorBody struct {
	ID        string `json:"id" format:"uuid" doc:"The author's id here. An author is no contact."`
	NativeID  string `json:"native_id,omitempty" doc:"The account's id on its network."`
	Handle    string `json:"handle,omitempty" doc:"As people write it, without @."`
	Name      string `json:"name,omitempty" doc:"As the account shows it."`
	URL       string `json:"url,omitempty" doc:"The account's page."`
	Followers *int64 `json:"followers,omitempty" doc:"How many follow it; absent where the network does not say."`
	Bot       bool   `json:"bot,omitempty" doc:"Whether it says that it is a program."`
}

type sentimentBody struct {
	Label      string              `json:"label" enum:"negative,neutral,positive" doc:"The verdict in a word."`
	Polarity   float64             `json:"polarity" doc:"From -1, the worst, to 1, the best."`
	Confidence float64             `json:"confidence" doc:"About how often such a verdict is right, from 0 to 1."`
	Engine     string              `json:"engine" doc:"What judged it; person where a person did."`
	Words      []sentimentWordBody `json:"words,omitempty" doc:"What decided, the weightiest first."`
	Ironic     bool                `json:"ironic,omitempty" doc:"Whether something marks it as meaning the opposite."`
}

type sentimentWordBody struct {
	Word    string   `json:"word" doc:"As the lexicon reads it."`
	Weight  float64  `json:"weight" doc:"What it added in the end."`
	Because []string `json:"because,omitempty" doc:"The rules that changed it."`
}

type mentionTopicBody struct {
	Monitor string   `json:"monitor" doc:"The Monitor's name."`
	Topic   string   `json:"topic" doc:"The topic's."`
	Terms   []string `json:"terms" doc:"Which terms were found."`
}

type mentionMediaBody struct {
	Type        string `json:"type" enum:"Image,Video,Audio,Other" doc:"What it is."`
	URL         string `json:"url" doc:"Where it is. It is not copied."`
	Description string `json:"description,omitempty" doc:"In the author's words."`
}

type mentionRatingBody struct {
	Value float64 `json:"value" doc:"How many stars."`
	Best  float64 `json:"best" doc:"Of how many."`
}

type mentionEngagementBody struct {
	Likes   int64 `json:"likes" doc:"Who liked it, starred it or marked it as a favourite."`
	Reposts int64 `json:"reposts" doc:"Who showed it to others."`
	Replies int64 `json:"replies" doc:"Answers."`
	Views   int64 `json:"views" doc:"Who saw it; 0 where the network does not count that."`
}

func describeMention(m store.Mention) mentionBody {
	body := mentionBody{
		ID: m.PublicID, Network: m.Network, NativeID: m.NativeID, Kind: string(m.Kind), URL: m.URL, Title: m.Title, Text: m.Text, Language: m.Language,
		Visibility: string(m.Visibility), Sources: append([]string{}, m.Sources...), Tags: m.Tags, Links: m.Links, Parent: m.Parent, Thread: m.Thread,
		Subject: m.Subject, CreatedAt: m.CreatedAt, EditedAt: m.EditedAt, ReceivedAt: m.ReceivedAt, Topics: make([]mentionTopicBody, len(m.Topics)),
		Sentiment: sentimentBody{Label: string(m.Label), Polarity: digits(m.Polarity), Confidence: digits(m.Confidence), Engine: m.Engine, Ironic: m.Ironic},
	}
	for i, t := range m.Topics {
		body.Topics[i] = mentionTopicBody{Monitor: t.Monitor, Topic: t.Name, Terms: append([]string{}, t.Terms...)}
	}
	for _, w := range m.Words {
		body.Sentiment.Words = append(body.Sentiment.Words, sentimentWordBody{Word: w.Text, Weight: w.Weight, Because: w.Because})
	}
	for _, x := range m.Media {
		body.Media = append(body.Media, mentionMediaBody{Type: string(x.Type), URL: x.URL, Description: x.Description})
	}
	if m.Author != nil {
		author := describeAuthor(*m.Author)
		body.Author = &author
	}
	if m.Rating != nil {
		body.Rating = &mentionRatingBody{Value: m.Rating.Value, Best: m.Rating.Best}
	}
	if e := m.Engagement; e != nil {
		body.Engagement = &mentionEngagementBody{Likes: e.Likes, Reposts: e.Reposts, Replies: e.Replies, Views: e.Views}
	}
	return body
}

// digits keeps as many as a verdict means something by.
func digits(x float64) float64 { return math.Round(1000*x) / 1000 }

func describeAuthor(a store.MentionAuthor) mentionAuthorBody {
	return mentionAuthorBody{ID: a.PublicID, NativeID: a.NativeID, Handle: a.Handle, Name: a.Name, URL: a.URL, Followers: a.Followers, Bot: a.Bot}
}

func describeMentions(list []store.Mention) []mentionBody {
	bodies := make([]mentionBody, len(list))
	for i, m := range list {
		bodies[i] = describeMention(m)
	}
	return bodies
}

func (s *Server) registerMentions(api huma.API) {
	read := requires(scopeMentionsRead)
	register(api, huma.Operation{
		OperationID: "list-mentions", Method: http.MethodGet, Path: "/v1/mentions", Tags: []string{"Listening"},
		Summary: "Search what people wrote", Security: read,
		Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusGatewayTimeout},
	}, listMentions)
	register(api, huma.Operation{
		OperationID: "get-mention", Method: http.MethodGet, Path: "/v1/mentions/{id}", Tags: []string{"Listening"},
		Summary: "Tell of a mention, its editions, its conversation and what people said of how it was judged", Security: read,
		Errors: []int{http.StatusNotFound},
	}, getMention)
	register(api, huma.Operation{
		OperationID: "correct-sentiment", Method: http.MethodPost, Path: "/v1/mentions/{id}/sentiment", Tags: []string{"Listening"},
		Summary:     "Say how a mention is really meant",
		Description: "It counts so from then on, in what monitors counted too. An edit of the post is judged anew.",
		Security:    requires(scopeMentionsWrite), Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}, correctSentiment)
}

// wrong is that of the filters, and whether the times can hold anything.
func (in *mentionsInput) wrong() string {
	if !in.From.IsZero() && !in.To.IsZero() && !in.From.Before(in.To) {
		return "to: is not after from: nothing is written in between"
	}
	return in.MentionFilters.wrong()
}

func listMentions(ctx context.Context, in *mentionsInput) (*mentionsOutput, error) {
	if wrong := in.wrong(); wrong != "" {
		return nil, huma.Error422UnprocessableEntity(wrong)
	}
	query := in.query()
	query.From, query.To, query.Cursor, query.Limit = in.From, in.To, in.After, in.Limit
	page, err := tenantOf(ctx).db.Mentions(ctx, query)
	if err != nil {
		return nil, mentionError(ctx, err)
	}
	out := &mentionsOutput{}
	out.Body.Mentions, out.Body.Next = describeMentions(page.Mentions), page.Next
	return out, nil
}

type mentionInput struct {
	ID string `path:"id" format:"uuid" doc:"The mention's id."`
}

type mentionOutput struct {
	Body struct {
		Mention     mentionBody         `json:"mention" doc:"The mention."`
		Named       []mentionAuthorBody `json:"named" doc:"Accounts that it names."`
		Revisions   []revisionBody      `json:"revisions" doc:"Editions that do not count any more, the oldest first."`
		Thread      []mentionBody       `json:"thread" doc:"The rest of the conversation, as far as it came in, the oldest first."`
		Corrections []correctionBody    `json:"corrections" doc:"What people said of how it was judged, the last first."`
	}
}

type revisionBody struct {
	At       time.Time `json:"at" doc:"When it was edited to this; of the first edition, when it came in."`
	Title    string    `json:"title,omitempty" doc:"Its title."`
	Text     string    `json:"text" doc:"Its text."`
	Language string    `json:"language,omitempty" doc:"Its language."`
	Label    string    `json:"label" enum:"negative,neutral,positive" doc:"How it was judged."`
}

type correctionBody struct {
	At     time.Time `json:"at" doc:"When it was said."`
	Label  string    `json:"label" enum:"negative,neutral,positive" doc:"How the mention is meant."`
	Was    string    `json:"was" enum:"negative,neutral,positive" doc:"How it was judged until then."`
	Engine string    `json:"was_engine" doc:"By what."`
	By     string    `json:"by" doc:"Who said so."`
	Token  string    `json:"token" doc:"The name of the API token."`
	Reason string    `json:"reason,omitempty" doc:"Why."`
}

func describeCorrection(c store.SentimentCorrection) correctionBody {
	return correctionBody{At: c.At, Label: string(c.Label), Was: string(c.Was), Engine: c.WasEngine, By: c.By, Token: c.Token, Reason: c.Reason}
}

func getMention(ctx context.Context, in *mentionInput) (*mentionOutput, error) {
	db := tenantOf(ctx).db
	detail, err := db.Mention(ctx, in.ID)
	if err != nil {
		return nil, mentionError(ctx, err)
	}
	corrections, err := db.Corrections(ctx, in.ID)
	if err != nil {
		return nil, mentionError(ctx, err)
	}
	out := &mentionOutput{}
	b := &out.Body
	b.Mention, b.Thread = describeMention(detail.Mention), describeMentions(detail.Thread)
	b.Named, b.Revisions, b.Corrections = []mentionAuthorBody{}, []revisionBody{}, []correctionBody{}
	for _, a := range detail.Named {
		b.Named = append(b.Named, describeAuthor(a))
	}
	for _, r := range detail.Revisions {
		at := r.ReceivedAt
		if r.EditedAt != nil {
			at = *r.EditedAt
		}
		b.Revisions = append(b.Revisions, revisionBody{At: at, Title: r.Title, Text: r.Text, Language: r.Language, Label: string(r.Label)})
	}
	for _, c := range corrections {
		b.Corrections = append(b.Corrections, describeCorrection(c))
	}
	return out, nil
}

type correctInput struct {
	ID   string `path:"id" format:"uuid" doc:"The mention's id."`
	Body struct {
		Label  string `json:"label" enum:"negative,neutral,positive" doc:"How it is meant."`
		By     string `json:"by" minLength:"1" maxLength:"100" doc:"Who says so; recorded beside the token's name." example:"ana"`
		Reason string `json:"reason,omitempty" maxLength:"500" doc:"Why; recorded."`
	}
}

type correctOutput struct{ Body correctionBody }

func correctSentiment(ctx context.Context, in *correctInput) (*correctOutput, error) {
	decider := store.Decider{Token: tokenName(ctx), By: in.Body.By, Reason: in.Body.Reason}
	c, err := tenantOf(ctx).db.CorrectSentiment(ctx, in.ID, sentiment.Label(in.Body.Label), decider)
	if err != nil {
		return nil, mentionError(ctx, err)
	}
	return &correctOutput{Body: describeCorrection(c)}, nil
}

// What the client is told.
const (
	detailNoMention = "There is no such mention. What was deleted is forgotten."
	detailTooLong   = "It took too long and was given up: ask for less time, or for words that are rarer. Nothing was changed."
)

// detailMissing tells what a question about mentions names and is not there.
func detailMissing(err error) string {
	var missing *store.MissingError
	if !errors.As(err, &missing) {
		return detailNoMention
	}
	switch missing.What {
	case "source":
		return fmt.Sprintf("There is no source %q: GET /v1/sources lists those that there are.", missing.Name)
	case "monitor", "topic":
		return fmt.Sprintf("There is no %s %q in force: GET /v1/monitors lists them with their topics.", missing.What, missing.Name)
	case "author":
		return fmt.Sprintf("There is no author %q: take the id that a mention gives.", missing.Name)
	}
	return detailNoMention
}

// mentionError tells why mentions could not be looked at.
func mentionError(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return huma.Error404NotFound(detailMissing(err))
	case errors.Is(err, store.ErrBadCursor):
		return huma.Error422UnprocessableEntity("after: is not the next of a page")
	case errors.Is(err, store.ErrTooLong):
		return huma.Error504GatewayTimeout(detailTooLong)
	}
	return apiError(ctx, err)
}

// streamFilter reads the filters of a stream, which are those of the list.
func streamFilter(values url.Values, filters []*huma.Param) (store.MentionQuery, string) {
	for name := range values {
		if !slices.ContainsFunc(filters, func(p *huma.Param) bool { return p.Name == name }) {
			return store.MentionQuery{}, name + ": is no filter of this stream"
		}
	}
	for _, p := range filters {
		value := values.Get(p.Name)
		switch allowed := p.Schema.Enum; {
		case value == "":
		case p.Schema.MaxLength != nil && utf8.RuneCountInString(value) > *p.Schema.MaxLength: // as the API's library counts
			return store.MentionQuery{}, fmt.Sprintf("%s: is longer than %d characters: shorten it", p.Name, *p.Schema.MaxLength)
		case len(allowed) > 0 && !slices.Contains(allowed, any(value)):
			words := make([]string, len(allowed))
			for i, word := range allowed {
				words[i], _ = word.(string)
			}
			return store.MentionQuery{}, p.Name + ": is one of " + strings.Join(words, ", ")
		}
	}
	f := MentionFilters{
		Text: values.Get("q"), Source: values.Get("source"), Monitor: values.Get("monitor"), Topic: values.Get("topic"), Sentiment: values.Get("sentiment"),
		Language: values.Get("language"), Kind: values.Get("kind"), Network: values.Get("network"), Author: values.Get("author"), Thread: values.Get("thread"),
	}
	return f.query(), f.wrong()
}
