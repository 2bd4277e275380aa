package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// ConversationPath names a conversation.
type ConversationPath struct {
	ID string `path:"id" maxLength:"36" pattern:"^([1-9][0-9]{0,17}|[0-9a-fA-F-]{36})$" doc:"The id or the number of it, or of a ticket of it."`
}

type inboxInput struct {
	State    []string `query:"state" enum:"Open,Waiting,Snoozed,Closed" doc:"Those that stand so. Default: Open, in which somebody waits for us."`
	Queue    string   `query:"queue" maxLength:"253" doc:"Those with a ticket of this ServiceQueue."`
	Assignee string   `query:"assignee" maxLength:"100" doc:"Those with a ticket of this agent or team; me: of the agent of the token's name."`
	Nobody   bool     `query:"unassigned" doc:"Those that are nobody's."`
	Source   string   `query:"source" maxLength:"253" doc:"Those that a SocialSource brought."`
	Network  string   `query:"network" maxLength:"300" doc:"Those of one network's instance, such as bluesky or mastodon:social.example."`
	Contact  string   `query:"contact" format:"uuid" doc:"Those with this contact."`
	Limit    int      `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most."`
	After    string   `query:"after" maxLength:"80" doc:"next of the page before."`
}

type inboxOutput struct {
	Body struct {
		Conversations []conversationBody `json:"conversations" doc:"Those first in which somebody waits for us, the longest first; then the others, the latest first."`
		Next          string             `json:"next,omitempty" doc:"What to ask for as after, for those that follow; absent on the last page."`
	}
}

type conversationOutput struct{ Body conversationDetails }

// conversationBody is a conversation and how it stands.
type conversationBody struct {
	ID           string             `json:"id" format:"uuid" doc:"The conversation's id."`
	Number       int64              `json:"number" doc:"A short name of it. Conversations and tickets are counted together."`
	State        string             `json:"state" enum:"Open,Waiting,Snoozed,Closed" doc:"Open: it is our turn. Waiting: it is theirs. Snoozed: it is put away."`
	Version      int64              `json:"version" doc:"It rises with each message of either side. Who answers tells which one they have read."`
	Network      string             `json:"network" doc:"The network's instance."`
	Source       string             `json:"source,omitempty" doc:"The SocialSource that brought it."`
	ReplyChannel string             `json:"reply_channel,omitempty" doc:"The MessageChannel over which an answer leaves; absent where none is set."`
	Subject      string             `json:"subject,omitempty" doc:"What it is about, of mails."`
	With         *mentionAuthorBody `json:"with,omitempty" doc:"Whom it is with; absent for somebody whom the network does not name."`
	Contact      string             `json:"contact,omitempty" format:"uuid" doc:"The contact's id, where it is known who they are."`
	WaitingSince *time.Time         `json:"waiting_since,omitempty" doc:"Since when they wait for an answer; absent while nobody does."`
	SnoozedUntil *time.Time         `json:"snoozed_until,omitempty" doc:"Until when it is put away."`
	ClosedAt     *time.Time         `json:"closed_at,omitempty" doc:"When it was closed."`
	BeganAt      time.Time          `json:"began_at" doc:"When it began."`
	LastInbound  *time.Time         `json:"last_inbound,omitempty" doc:"When they wrote last."`
	LastOutbound *time.Time         `json:"last_outbound,omitempty" doc:"When we wrote last."`
	Messages     int64              `json:"messages" doc:"How many there are, of both sides."`
	Last         *messageBody       `json:"last,omitempty" doc:"The last message, its text cut to 300 characters."`
	Claim        *claimBody         `json:"claim,omitempty" doc:"Who is answering it now; absent while nobody says so."`
	Tickets      []ticketBody       `json:"tickets" doc:"Its tickets that are not closed."`
	Follows      int64              `json:"follows,omitempty" doc:"The number of the conversation that ended before this one began."`
}

type conversationDetails struct {
	conversationBody
	Thread []messageBody `json:"thread" doc:"Messages of both sides and notes, the oldest first, at most the last 200 of each."`
	Whole  bool          `json:"whole" doc:"Whether the thread is all of them."`
}

// messageBody is a message of one side, or a note.
type messageBody struct {
	ID        string             `json:"id" format:"uuid" doc:"The message's id."`
	Kind      string             `json:"kind" enum:"In,Out,Note" doc:"In: theirs. Out: ours. Note: for ourselves; it never leaves."`
	Version   int64              `json:"version,omitempty" doc:"The version of the conversation that it made; absent of notes."`
	Text      string             `json:"text,omitempty" doc:"What it says: plain text. Absent of what its author has deleted."`
	Template  string             `json:"template,omitempty" doc:"The MessageTemplate by which it is written when it leaves, of ours."`
	Forgotten bool               `json:"forgotten,omitempty" doc:"Whether its author has deleted it."`
	At        time.Time          `json:"at" doc:"When it was written."`
	Author    *mentionAuthorBody `json:"author,omitempty" doc:"Who wrote it, of theirs."`
	Agent     string             `json:"agent,omitempty" doc:"Who wrote it, of ours."`
	Rule      string             `json:"rule,omitempty" doc:"The AutomationRule that wrote it, of ours."`
	Mention   string             `json:"mention,omitempty" format:"uuid" doc:"GET /v1/mentions/{id} tells more of it, of theirs."`
	URL       string             `json:"url,omitempty" doc:"Where people read it."`
	State     string             `json:"state,omitempty" enum:"Queued,Sent,Failed,Ambiguous" doc:"What became of ours. Ambiguous: nobody knows whether it arrived, and a person decides."`
	SentAt    *time.Time         `json:"sent_at,omitempty" doc:"When it left."`
	Reason    string             `json:"reason,omitempty" doc:"Why it failed or is ambiguous, in the network's words."`
}

type claimBody struct {
	Agent string    `json:"agent" doc:"Who is answering."`
	Until time.Time `json:"until" doc:"Then it counts no more, unless they renew it."`
}

func (s *Server) registerConversations(api huma.API) {
	operation := func(id, method, path, summary, description, scope string, errs ...int) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Tags: []string{"Conversations"}, Summary: summary, Description: description,
			Security: requires(scope), Errors: errs,
		}
	}
	const one = "/v1/conversations/{id}"
	missing, bad, slow := http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusGatewayTimeout
	register(api, operation("list-conversations", http.MethodGet, "/v1/conversations", "List conversations, those first who wait for us, the longest first", "",
		scopeConversationsRead, missing, bad, slow), listConversations)
	register(api, operation("get-conversation", http.MethodGet, one, "Tell of a conversation: what both sides wrote, notes, tickets, and who is answering",
		"", scopeConversationsRead, missing, slow), getConversation)
	s.registerAnswers(api, operation, one)
}

func listConversations(ctx context.Context, in *inboxInput) (*inboxOutput, error) {
	query := store.InboxQuery{
		Queue: in.Queue, Assignee: orMe(in.Assignee, tokenName(ctx)), Unassigned: in.Nobody, Source: in.Source, Network: in.Network, Contact: in.Contact,
		Cursor: in.After, Limit: in.Limit,
	}
	if in.Nobody && in.Assignee != "" {
		return nil, huma.Error422UnprocessableEntity("unassigned: cannot be asked for together with assignee: leave one of them out")
	}
	for _, state := range in.State {
		query.States = append(query.States, service.ConversationState(state))
	}
	page, err := tenantOf(ctx).db.Inbox(ctx, query, time.Now())
	if err != nil {
		return nil, conversationError(ctx, err)
	}
	out := &inboxOutput{}
	out.Body.Conversations, out.Body.Next = make([]conversationBody, len(page.Conversations)), page.Next
	for i, c := range page.Conversations {
		out.Body.Conversations[i] = describeConversation(c, time.Now())
	}
	return out, nil
}

func getConversation(ctx context.Context, in *ConversationPath) (*conversationOutput, error) {
	body, err := lookAtConversation(ctx, in.ID)
	if err != nil {
		return nil, conversationError(ctx, err)
	}
	return &conversationOutput{Body: body}, nil
}

// lookAtConversation is all that is told of a conversation.
func lookAtConversation(ctx context.Context, id string) (conversationDetails, error) {
	found, err := tenantOf(ctx).db.Conversation(ctx, id, time.Now())
	if err != nil {
		return conversationDetails{}, err
	}
	return conversationDetails{
		conversationBody: describeConversation(found.LookedConversation, time.Now()), Thread: describeThread(found.Thread), Whole: found.Whole,
	}, nil
}

func describeConversation(c store.LookedConversation, now time.Time) conversationBody {
	body := conversationBody{
		ID: c.PublicID, Number: c.Number, State: string(c.State), Version: c.Desk.Version, Network: c.Network, Source: c.Source, ReplyChannel: c.ReplyChannel,
		Subject: c.Subject, Contact: c.Contact, WaitingSince: momentOf(c.WaitingSince), SnoozedUntil: momentOf(c.SnoozedUntil), ClosedAt: momentOf(c.ClosedAt),
		BeganAt: c.BeganAt, LastInbound: momentOf(c.LastInbound), LastOutbound: momentOf(c.LastOutbound), Messages: c.Messages, Follows: c.Follows,
		Tickets: describeTickets(c.Tickets),
	}
	if c.With != nil {
		with := describeAuthor(*c.With)
		body.With = &with
	}
	if c.Last != nil {
		last := describeMessage(*c.Last)
		body.Last = &last
	}
	if c.Desk.Claim.Holds(now) {
		body.Claim = &claimBody{Agent: c.Desk.Claim.Agent, Until: c.Desk.Claim.Until}
	}
	return body
}

func describeThread(list []store.LookedMessage) []messageBody {
	bodies := make([]messageBody, len(list))
	for i, m := range list {
		bodies[i] = describeMessage(m)
	}
	return bodies
}

func describeMessage(m store.LookedMessage) messageBody {
	body := messageBody{
		ID: m.PublicID, Kind: string(m.Kind), Version: m.Version, Text: m.Text, Template: m.Template, Forgotten: m.Forgotten, At: m.At, Agent: m.Agent,
		Rule: m.Rule, Mention: m.Mention, URL: m.URL, State: m.State, SentAt: momentOf(m.SentAt), Reason: m.Reason,
	}
	if m.Author != nil {
		author := describeAuthor(*m.Author)
		body.Author = &author
	}
	return body
}

// momentOf is nil for a time that never was.
func momentOf(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}
