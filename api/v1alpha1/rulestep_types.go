package v1alpha1

// StepName is the name of a step, by which other steps lead to it and by which an entry stays where it is when the rule is edited.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=40
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be lower-case letters, digits and hyphens, such as thank-them"
type StepName string

// RuleExpression is a condition in CEL about the contact and about what began the entry.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=4096
type RuleExpression string

// TagName is a tag that a contact carries.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=100
type TagName string

// SendStep writes a mail to the contact, once for each entry.
type SendStep struct {
	// TemplateRef names the MessageTemplate.
	TemplateRef LocalReference `json:"templateRef"`
	// ChannelRef names the MessageChannel, of type Email.
	ChannelRef LocalReference `json:"channelRef"`
	// Purpose is what the contact must have consented to, such as newsletter. Who has not is left out, and the entry goes on.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z][a-z0-9_-]*$')",message="must be lower-case letters, digits, hyphens and underscores, such as newsletter"
	Purpose string `json:"purpose"`
	// Priority says who goes first over the channel. Bulk: its mails take turns with those of campaigns. Transactional: a mail that
	// somebody waits for; it overtakes those that are Bulk. Default: Bulk.
	// +optional
	Priority Priority `json:"priority,omitempty"`
}

// ReplyStep answers what somebody wrote, once for each entry: in the thread and on the network, or in the mailbox, that it came from, over
// the channel that its SocialSource names in replyChannelRef.
type ReplyStep struct {
	// TemplateRef names the MessageTemplate whose text is the answer.
	TemplateRef LocalReference `json:"templateRef"`
}

// PublishStep publishes a post of ours, once for each entry.
type PublishStep struct {
	// TemplateRef names the MessageTemplate whose text is published.
	TemplateRef LocalReference `json:"templateRef"`
	// ChannelRef names the MessageChannel, of type Mastodon or Bluesky.
	ChannelRef LocalReference `json:"channelRef"`
}

// OpenTicketStep makes a ticket of the conversation that the entry is about. Where the queue has one of it that is not closed, that is it.
type OpenTicketStep struct {
	// QueueRef names the ServiceQueue.
	QueueRef LocalReference `json:"queueRef"`
	// Priority of the ticket. Default: the queue's.
	// +optional
	Priority TicketPriority `json:"priority,omitempty"`
	// Subject tells agents in a line what it is about. Default: that of the message, where it has one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	Subject string `json:"subject,omitempty"`
}

// AssignStep gives the ticket that the entry is about to an agent or a team.
type AssignStep struct {
	// To names the agent or the team.
	To AgentName `json:"to"`
}

// Moment is a point in time: at, the next timeOfDay, or the day of an attribute.
// +kubebuilder:validation:XValidation:rule="has(self.at) ? !has(self.timeOfDay) && !has(self.attribute) : has(self.timeOfDay) || has(self.attribute)",message="a moment is at, or a timeOfDay, or an attribute with the timeOfDay of its day: write one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.weekdays) || !has(self.at)",message="weekdays narrow a timeOfDay or an attribute's day: remove them beside at"
// +kubebuilder:validation:XValidation:rule="!has(self.offsetDays) || has(self.attribute)",message="offsetDays is counted from the day of an attribute: name it in attribute, or remove offsetDays"
type Moment struct {
	// At is a local date and time, such as 2027-01-06T10:00:00. One that has passed is now.
	// +optional
	At LocalTime `json:"at,omitempty"`
	// TimeOfDay is the next such time that lies ahead, such as 09:00; with attribute, that of its day. Default there: the beginning of
	// the day, and the very moment of a Timestamp.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self != '24:00'",message="24:00 is 00:00 of the next day: write 00:00"
	TimeOfDay TimeOfDay `json:"timeOfDay,omitempty"`
	// Weekdays on which that may be: the first of them that comes. Default: all.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=7
	// +listType=set
	Weekdays []Weekday `json:"weekdays,omitempty"`
	// Attribute of the contact that holds the day or the moment, of type Date or Timestamp. One that has passed is now; who has none goes
	// to the step that onTimeout names, and without it the entry ends.
	// +optional
	Attribute FieldName `json:"attribute,omitempty"`
	// OffsetDays is how many days later it is; before when negative: -7 is a week ahead of it. Default: 0.
	// +optional
	// +kubebuilder:validation:Minimum=-3650
	// +kubebuilder:validation:Maximum=3650
	OffsetDays int32 `json:"offsetDays,omitempty"`
	// TimeZone in which at and timeOfDay are read: an IANA zone, such as Europe/Madrid, or Recipient for each contact's own. Default:
	// Recipient; who has none is in the tenant's.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`
}

// WaitStep has the entry wait: for a time, until a moment, or for an event.
// +kubebuilder:validation:XValidation:rule="has(self.__for__) != has(self.until)",message="a wait ends after a time or at a moment: give for or until, and for an event also for, as its time-out"
// +kubebuilder:validation:XValidation:rule="!has(self.event) || has(self.__for__)",message="an event may never come: say in for how long it is waited for"
// +kubebuilder:validation:XValidation:rule="has(self.event) || !has(self.when)",message="when is a condition on the event that is waited for: name it in event, or remove when"
// +kubebuilder:validation:XValidation:rule="!has(self.onTimeout) || has(self.event) || has(self.until) && has(self.until.attribute)",message="onTimeout is where to go on when the event has not come, or nobody knows the attribute: name one of them, or remove onTimeout"
type WaitStep struct {
	// For is how long, such as 2d; of an event, how long at most.
	// +optional
	For Duration `json:"for,omitempty"`
	// Until is the moment at which the entry goes on.
	// +optional
	Until *Moment `json:"until,omitempty"`
	// Event is what is waited for, such as purchase: named as in spec.trigger, and only where it is about this contact; of a ticket or a
	// conversation, such as ticket.answered, only where it is that of the entry.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z][a-z0-9_.-]*$')",message="must be the name of an event, such as message.clicked, or of an EventType, such as purchase"
	Event string `json:"event,omitempty"`
	// When says in CEL whether an event is the one that is waited for, such as event.amount > 50.0. What began the entry is called
	// trigger there. Default: any of that name.
	// +optional
	When RuleExpression `json:"when,omitempty"`
	// OnTimeout names the step to go on with where the event has not come in time, or the attribute is not known. Default: of an
	// event, as next; of an attribute, the entry ends.
	// +optional
	OnTimeout StepName `json:"onTimeout,omitempty"`
}

// SplitBranch is one of several ways to go on.
type SplitBranch struct {
	// Weight is the branch's share of the entries relative to the others. Which way an entry takes is decided by the rule, the step
	// and the entry alone, so that it is the same at every try.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Weight int32 `json:"weight"`
	// Next names the step to go on with.
	Next StepName `json:"next"`
}

// AttributeValue is what becomes of an attribute of the contact.
// +kubebuilder:validation:XValidation:rule="has(self.value) != has(self.expression)",message="give either value, as it is written, or expression, in CEL"
type AttributeValue struct {
	// Attribute of the contact.
	Attribute FieldName `json:"attribute"`
	// Value that it gets, as a file for an import would write it: club, 12.50, true, 2027-03-21. In quotation marks where YAML would
	// read it as a number.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1000
	Value string `json:"value,omitempty"`
	// Expression in CEL whose value it gets, such as now.
	// +optional
	Expression RuleExpression `json:"expression,omitempty"`
}

// NotifyStep tells a program, at least once, with an id that stays the same.
type NotifyStep struct {
	// ChannelRef names the MessageChannel, of type Webhook.
	ChannelRef LocalReference `json:"channelRef"`
	// TemplateRef names the MessageTemplate whose text is told with what happened. Default: what happened alone.
	// +optional
	TemplateRef *LocalReference `json:"templateRef,omitempty"`
}

// StartStep begins an entry of another rule, for the same contact.
type StartStep struct {
	// RuleRef names the AutomationRule.
	RuleRef LocalReference `json:"ruleRef"`
}

// ExitStep ends the entry.
type ExitStep struct {
	// Reason is kept with the entry, for people. Default: none.
	// +optional
	// +kubebuilder:validation:MaxLength=200
	Reason string `json:"reason,omitempty"`
}

// RuleStep does one thing: it has a name and exactly one of send, reply, publish, wait, if, split, tag, untag, set, openTicket, assign, notify, start and exit.
// +kubebuilder:validation:XValidation:rule="[has(self.send), has(self.reply), has(self.publish), has(self.wait), has(self.__if__), has(self.split), has(self.tag), has(self.untag), has(self.set), has(self.openTicket), has(self.assign), has(self.notify), has(self.start), has(self.exit)].filter(given, given).size() == 1",message="a step does one thing: give exactly one of send, reply, publish, wait, if, split, tag, untag, set, openTicket, assign, notify, start and exit, and write a step of its own for each other"
// +kubebuilder:validation:XValidation:rule="has(self.__if__) == (has(self.then) || has(self.__else__))",message="if, then and else belong together: say in then or else, or in both, which step comes next"
// +kubebuilder:validation:XValidation:rule="!has(self.next) || !has(self.split) && !has(self.exit)",message="a split's branches say what is next, and after an exit there is nothing: remove next"
type RuleStep struct {
	// Name of the step.
	Name StepName `json:"name"`
	// Next names the step that follows; after an if, where then or else is left out. Default: the one below; after the last one the
	// entry ends.
	// +optional
	Next StepName `json:"next,omitempty"`
	// Send writes a mail to the contact.
	// +optional
	Send *SendStep `json:"send,omitempty"`
	// Reply answers what somebody wrote, where they wrote it.
	// +optional
	Reply *ReplyStep `json:"reply,omitempty"`
	// Publish publishes a post.
	// +optional
	Publish *PublishStep `json:"publish,omitempty"`
	// Wait has the entry wait.
	// +optional
	Wait *WaitStep `json:"wait,omitempty"`
	// If is a condition in CEL that decides between then and else.
	// +optional
	If RuleExpression `json:"if,omitempty"`
	// Then names the step to go on with where the condition holds. Default: as next.
	// +optional
	Then StepName `json:"then,omitempty"`
	// Else names the step to go on with where it does not hold, or cannot be told. Default: as next.
	// +optional
	Else StepName `json:"else,omitempty"`
	// Split sends entries different ways, by weights.
	// +optional
	// +kubebuilder:validation:MinItems=2
	// +kubebuilder:validation:MaxItems=10
	// +listType=atomic
	Split []SplitBranch `json:"split,omitempty"`
	// Tag is put on the contact.
	// +optional
	Tag TagName `json:"tag,omitempty"`
	// Untag is the tag that is taken from the contact.
	// +optional
	Untag TagName `json:"untag,omitempty"`
	// Set gives attributes of the contact values.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	// +listType=map
	// +listMapKey=attribute
	Set []AttributeValue `json:"set,omitempty"`
	// OpenTicket makes a ticket of the conversation.
	// +optional
	OpenTicket *OpenTicketStep `json:"openTicket,omitempty"`
	// Assign gives the ticket to an agent or a team.
	// +optional
	Assign *AssignStep `json:"assign,omitempty"`
	// Notify tells a program over a webhook.
	// +optional
	Notify *NotifyStep `json:"notify,omitempty"`
	// Start begins an entry of another rule for the same contact.
	// +optional
	Start *StartStep `json:"start,omitempty"`
	// Exit ends the entry: {} does.
	// +optional
	Exit *ExitStep `json:"exit,omitempty"`
}
