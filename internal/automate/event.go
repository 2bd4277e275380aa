package automate

import (
	"slices"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// Event is a kind of thing that happens and that rules listen to.
type Event struct {
	Name string
	// Subject is what expressions may ask about it, under the subject's name. Without a name there is nothing to ask.
	Subject expr.Subject
	// Contact tells whether it is known whom it concerns.
	Contact Presence
	// Case tells what it brings that people look after.
	Case Case
	// Narrows are the fields of a trigger, by their names in manifests, that narrow it down.
	Narrows []string
	// Declared says that it is an EventType of the tenant.
	Declared bool
}

// Presence tells whether an event concerns a contact.
type Presence string

// The presences.
const (
	ContactAlways  Presence = "Always"
	ContactPerhaps Presence = "Perhaps" // one who is not linked to a contact yet may have caused it
	ContactNever   Presence = "Never"
)

// Case is what somebody wrote, the conversation in which it stands, and the ticket that it has become.
type Case struct {
	Answerable   bool // somebody wrote something: it can be answered, and a ticket can be opened about it
	Conversation bool // it stands in a conversation, which has the variable conversation
	Ticket       bool // it is a ticket's, which has the variable ticket
}

// The names of domain events.
const (
	ContactCreated      = "contact.created"
	IdentifierAdded     = "identifier.added"
	SegmentEntered      = "segment.entered"
	SegmentLeft         = "segment.left"
	MentionReceived     = "mention.received"
	MessageReceived     = "message.received"
	ConversationOpened  = "conversation.opened"
	ConversationClosed  = "conversation.closed"
	TicketOpened        = "ticket.opened"
	TicketAssigned      = "ticket.assigned"
	TicketAnswered      = "ticket.answered"
	TicketResolved      = "ticket.resolved"
	TicketClosed        = "ticket.closed"
	TicketBreached      = "ticket.breached"
	MessageOpened       = "message.opened"
	MessageClicked      = "message.clicked"
	MessageBounced      = "message.bounced"
	ContactUnsubscribed = "contact.unsubscribed"
	IncidentOpened      = "incident.opened"
	IncidentUpdated     = "incident.updated"
	IncidentClosed      = "incident.closed"
)

// The variables for the conversation and the ticket of an entry.
const (
	ConversationVariable = "conversation"
	TicketVariable       = "ticket"
)

// TriggerVariable is the name under which a condition on an awaited event has what the rule began with.
const TriggerVariable = "trigger"

// Events lists what happens in every tenant, by name.
func Events() []Event {
	return slices.Clone(events)
}

var events = []Event{
	{Name: ContactCreated, Contact: ContactAlways},
	{Name: ContactUnsubscribed, Contact: ContactAlways, Subject: consentSubject},
	{Name: ConversationClosed, Contact: ContactPerhaps, Subject: conversationSubject, Case: talked},
	{Name: ConversationOpened, Contact: ContactPerhaps, Subject: conversationSubject, Case: talked},
	{Name: IdentifierAdded, Contact: ContactAlways, Subject: identifierSubject},
	{Name: IncidentClosed, Contact: ContactNever, Subject: incidentSubject, Narrows: []string{"monitorRef", "topic"}},
	{Name: IncidentOpened, Contact: ContactNever, Subject: incidentSubject, Narrows: []string{"monitorRef", "topic"}},
	{Name: IncidentUpdated, Contact: ContactNever, Subject: incidentSubject, Narrows: []string{"monitorRef", "topic"}},
	{Name: MentionReceived, Contact: ContactPerhaps, Subject: mentionSubject, Case: written, Narrows: []string{"monitorRef", "topic"}},
	{Name: MessageBounced, Contact: ContactAlways, Subject: messageSubject(), Narrows: []string{"campaignRef"}},
	{Name: MessageClicked, Contact: ContactAlways, Subject: messageSubject(expr.Field{Name: "link", Type: crm.String}), Narrows: []string{"campaignRef"}},
	{Name: MessageOpened, Contact: ContactAlways, Subject: messageSubject(), Narrows: []string{"campaignRef"}},
	{Name: MessageReceived, Contact: ContactPerhaps, Subject: receivedSubject, Case: talked},
	{Name: SegmentEntered, Contact: ContactAlways, Subject: segmentSubject, Narrows: []string{"segmentRef", "onDefinitionChange"}},
	{Name: SegmentLeft, Contact: ContactAlways, Subject: segmentSubject, Narrows: []string{"segmentRef", "onDefinitionChange"}},
	ticketEvent(TicketAnswered),
	ticketEvent(TicketAssigned),
	ticketEvent(TicketBreached),
	ticketEvent(TicketClosed),
	ticketEvent(TicketOpened),
	ticketEvent(TicketResolved),
}

// What events bring that people look after.
var (
	written = Case{Answerable: true}
	talked  = Case{Answerable: true, Conversation: true}
)

func ticketEvent(name string) Event {
	return Event{
		Name: name, Contact: ContactPerhaps, Subject: ticketSubject, Case: Case{Answerable: true, Conversation: true, Ticket: true},
		Narrows: []string{"queueRef"},
	}
}

// FindEvent finds a domain event, or the event of a type that a tenant declares. Of one name, the domain event counts.
func FindEvent(schema crm.Schema, name string) (Event, bool) {
	if i := slices.IndexFunc(events, func(e Event) bool { return e.Name == name }); i >= 0 {
		return events[i], true
	}
	declared, found := schema.Event(name)
	if !found {
		return Event{}, false
	}
	return Event{Name: name, Subject: expr.EventSubject(declared), Contact: ContactPerhaps, Narrows: []string{"quietFor"}, Declared: true}, true
}

// What events tell. Facts are named by the same paths: "network", "author.followers".
var (
	identifierSubject = expr.Subject{Name: "identifier", Fields: []expr.Field{
		{Name: "type", Type: crm.String},
		{Name: "verified", Type: crm.Boolean},
	}}
	segmentSubject = expr.Subject{Name: "segment", Fields: []expr.Field{
		{Name: "name", Type: crm.String},
		{Name: "reason", Type: crm.String, Enum: []string{"Definition", "Data", "Time", "Repair"}},
	}}
	consentSubject = expr.Subject{Name: "consent", Fields: []expr.Field{
		{Name: "purpose", Type: crm.String},
		{Name: "source", Type: crm.String},
	}}
	incidentSubject = expr.Subject{Name: "incident", Fields: []expr.Field{
		{Name: "monitor", Type: crm.String},
		{Name: "topic", Type: crm.String},
		{Name: "role", Type: crm.String, Enum: []string{"Brand", "Product", "Competitor"}},
		{Name: "rule", Type: crm.String, Enum: []string{"Burst", "Sustained"}},
		{Name: "peak", Type: crm.Integer},     // negative mentions in its worst hour
		{Name: "usual", Type: crm.Decimal},    // of that hour
		{Name: "mentions", Type: crm.Integer}, // negative ones, of all its sources
	}}
	mentionSubject = expr.Subject{Name: "mention", Fields: []expr.Field{
		{Name: "network", Type: crm.String},
		{Name: "source", Type: crm.String}, // the SocialSource that brought it first
		{Name: "kind", Type: crm.String, Enum: []string{"Post", "Reply", "Repost", "Quote", "Review", "Message", "Article"}},
		{Name: "visibility", Type: crm.String, Enum: []string{"Public", "Unlisted", "Private"}},
		{Name: "language", Type: crm.String},
		{Name: "label", Type: crm.String, Enum: []string{"negative", "neutral", "positive"}},
		{Name: "sentiment", Type: crm.Decimal}, // from -1 to 1
		{Name: "confidence", Type: crm.Decimal},
		{Name: "ironic", Type: crm.Boolean},
		{Name: "likes", Type: crm.Integer},
		{Name: "reposts", Type: crm.Integer},
		{Name: "replies", Type: crm.Integer},
		{Name: "rating", Type: crm.Decimal}, // stars of a review, as it has them
		{Name: "tags", Type: crm.String, List: true},
		{Name: "topics", Type: crm.String, List: true}, // monitor/topic
		{Name: "text", Type: crm.String, Free: true},
		{Name: "thread", Type: crm.String, Personal: true},
		{Name: "author", Fields: []expr.Field{
			{Name: "followers", Type: crm.Integer},
			{Name: "bot", Type: crm.Boolean},
			{Name: "registered_at", Type: crm.Timestamp},
			{Name: "handle", Type: crm.String, Personal: true},
			{Name: "influence", Type: crm.Decimal}, // where a monitor ranks them
		}},
	}}
)

// What people look after. A number tells entries apart, and no condition asks for it: it is that of one.
var (
	receivedSubject = expr.Subject{Name: "message", Fields: []expr.Field{
		{Name: "network", Type: crm.String},
		{Name: "source", Type: crm.String}, // the SocialSource that brought it
		{Name: "kind", Type: crm.String, Enum: []string{"Post", "Reply", "Repost", "Quote", "Review", "Message", "Article"}},
		{Name: "visibility", Type: crm.String, Enum: []string{"Public", "Unlisted", "Private"}},
		{Name: "language", Type: crm.String},
		{Name: "label", Type: crm.String, Enum: []string{"negative", "neutral", "positive"}},
		{Name: "sentiment", Type: crm.Decimal}, // from -1 to 1
		{Name: "subject", Type: crm.String, Free: true},
		{Name: "text", Type: crm.String, Free: true},
	}}
	conversationSubject = expr.Subject{Name: ConversationVariable, Fields: []expr.Field{
		{Name: "number", Type: crm.Integer, Personal: true},
		{Name: "network", Type: crm.String},
		{Name: "status", Type: crm.String, Enum: []string{"Open", "Waiting", "Snoozed", "Closed"}},
		{Name: "messages", Type: crm.Integer},        // of both sides
		{Name: "waiting_since", Type: crm.Timestamp}, // since when somebody waits for our answer; not known while nobody does
	}}
	ticketSubject = expr.Subject{Name: TicketVariable, Fields: []expr.Field{
		{Name: "number", Type: crm.Integer, Personal: true},
		{Name: "queue", Type: crm.String},
		{Name: "priority", Type: crm.String, Enum: []string{"Low", "Normal", "High", "Urgent"}},
		{Name: "status", Type: crm.String, Enum: []string{"New", "Open", "Pending", "Solved", "Closed"}},
		{Name: "assignee", Type: crm.String}, // not known while it is nobody's
		{Name: "opened_at", Type: crm.Timestamp},
		{Name: "answered", Type: crm.Boolean}, // at least once
		{Name: "resolved", Type: crm.Boolean}, // and not reopened
		{Name: "breached", Type: crm.Boolean}, // it missed a target
	}}
)

func messageSubject(more ...expr.Field) expr.Subject {
	return expr.Subject{Name: "message", Fields: append([]expr.Field{
		{Name: "campaign", Type: crm.String}, // of a rule: rule/<rule>/<step>
		{Name: "send_key", Type: crm.String},
	}, more...)}
}
