package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TicketPriority is how urgent a ticket is.
// +kubebuilder:validation:Enum=Low;Normal;High;Urgent
type TicketPriority string

// The priorities of tickets, the least urgent first.
const (
	LowTicket    TicketPriority = "Low"
	NormalTicket TicketPriority = "Normal"
	HighTicket   TicketPriority = "High"
	UrgentTicket TicketPriority = "Urgent"
)

// RoutingMode is how it is found out whose ticket a new one is.
// +kubebuilder:validation:Enum=Manual;RoundRobin;Load
type RoutingMode string

// The modes of routing.
const (
	RouteByHand     RoutingMode = "Manual"
	RouteRoundRobin RoutingMode = "RoundRobin"
	RouteByLoad     RoutingMode = "Load"
)

// TargetKind is what is promised to a customer.
// +kubebuilder:validation:Enum=FirstResponse;NextResponse;Resolution
type TargetKind string

// The kinds of targets.
const (
	FirstResponseTarget TargetKind = "FirstResponse"
	NextResponseTarget  TargetKind = "NextResponse"
	ResolutionTarget    TargetKind = "Resolution"
)

// AgentName is the name that somebody who answers has in the organisation, or that of a team. It is no customer's.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9._]*[a-z0-9])?$')",message="must be lower-case letters, digits, dots, hyphens and underscores, such as care-lead: the name of somebody's API token"
type AgentName string

// QueueAgent is somebody who may be given tickets.
type QueueAgent struct {
	// Name of the agent: that of the API token by which they answer.
	Name AgentName `json:"name"`
	// Capacity is how many tickets the agent may have that are not solved. Default: the routing's capacity.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Capacity int32 `json:"capacity,omitempty"`
}

// QueueRouting says whose ticket a new one is.
// +kubebuilder:validation:XValidation:rule="(has(self.mode) && self.mode in ['RoundRobin', 'Load']) == has(self.agents)",message="tickets are given to agents: with mode: RoundRobin or Load name them in agents; with Manual each takes what they want, and agents are not named"
// +kubebuilder:validation:XValidation:rule="has(self.agents) || !has(self.capacity) && !has(self.stickyFor)",message="capacity and stickyFor speak of agents who are given tickets: name them in agents, or remove both"
type QueueRouting struct {
	// Mode is how it is found out whose ticket a new one is. Manual: agents take what they want. RoundRobin: they take turns. Load: who
	// has fewest open tickets. Default: Manual.
	// +optional
	Mode RoutingMode `json:"mode,omitempty"`
	// Agents who are given tickets.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=200
	// +listType=map
	// +listMapKey=name
	Agents []QueueAgent `json:"agents,omitempty"`
	// Capacity is how many tickets each agent may have that are not solved; what comes when all have as many waits in the queue. Default:
	// as many as come.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Capacity int32 `json:"capacity,omitempty"`
	// StickyFor is how long after an agent last answered a customer the customer's tickets go to that agent first, such as 30d. Default:
	// they do not.
	// +optional
	StickyFor Duration `json:"stickyFor,omitempty"`
}

// Holiday is a day off: 2027-03-25, or 12-25 for every year.
// +kubebuilder:validation:MaxLength=10
// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{4}-)?(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$')",message="must be a day such as 2027-03-25, or 12-25 for every year"
type Holiday string

// QueueHours are when a team works.
type QueueHours struct {
	// TimeZone in which they are read: an IANA zone, such as Europe/Madrid. Default: the tenant's.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self != 'Recipient'",message="a team works by one clock: write a zone, such as Europe/Madrid"
	TimeZone string `json:"timeZone,omitempty"`
	// Open are the spans of the week in which the team works. Default: around the clock.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=14
	// +listType=atomic
	Open []HoursWindow `json:"open,omitempty"`
	// Holidays on which it does not work, from midnight to midnight. Default: none.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=200
	// +listType=set
	Holidays []Holiday `json:"holidays,omitempty"`
}

// QueueTarget is what is promised for tickets of a priority, in the hours in which the team works: of a team that works eight hours a
// day, 8h is one of its days and 1d are three.
// +kubebuilder:validation:XValidation:rule="has(self.firstResponse) || has(self.nextResponse) || has(self.resolution)",message="a target promises something: give firstResponse, nextResponse or resolution"
type QueueTarget struct {
	// Priority of the tickets.
	Priority TicketPriority `json:"priority"`
	// FirstResponse is until when somebody answers the first time, such as 1h.
	// +optional
	FirstResponse Duration `json:"firstResponse,omitempty"`
	// NextResponse is until when somebody answers again, whenever the customer has written again.
	// +optional
	NextResponse Duration `json:"nextResponse,omitempty"`
	// Resolution is until when it is solved. The time in which the customer is waited for does not count.
	// +optional
	Resolution Duration `json:"resolution,omitempty"`
}

// QueueEscalation is done where a target is about to be missed, or has been: once for a ticket; where its target is NextResponse, once
// for each time that the customer waits.
// +kubebuilder:validation:XValidation:rule="has(self.raise) || has(self.assign) || has(self.route) && self.route || has(self.notify)",message="a step of an escalation does something: give raise, assign, route or notify"
// +kubebuilder:validation:XValidation:rule="!has(self.assign) || !has(self.route) || !self.route",message="assign names whose the ticket becomes, and route looks for somebody: give one of them"
type QueueEscalation struct {
	// Name of the step within its queue. It is the step's identity: what was done under it is not done again.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be lower-case letters, digits and hyphens, such as to-the-lead"
	Name string `json:"name"`
	// Target that it is about.
	Target TargetKind `json:"target"`
	// After is the share of the target, in percent, after which it is done: 80 is before the target is missed, 100 at that moment,
	// 150 later.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	After int32 `json:"after"`
	// Raise is the priority that the ticket has at least from then on. Default: as it is.
	// +optional
	Raise TicketPriority `json:"raise,omitempty"`
	// Assign names the agent or the team whose ticket it is from then on. Default: as it is.
	// +optional
	Assign AgentName `json:"assign,omitempty"`
	// Route looks for another agent, as for a new ticket. Default: false.
	// +optional
	Route bool `json:"route,omitempty"`
	// Notify tells a program of it.
	// +optional
	Notify *QueueNotice `json:"notify,omitempty"`
}

// QueueNotice tells a program, at least once, with an id that stays the same.
type QueueNotice struct {
	// ChannelRef names the MessageChannel, of type Webhook.
	ChannelRef LocalReference `json:"channelRef"`
}

// ServiceQueueSpec says which conversations become tickets, who answers them, and by when.
type ServiceQueueSpec struct {
	// Description tells people in words what the queue is for.
	// +optional
	// +kubebuilder:validation:MaxLength=500
	Description string `json:"description,omitempty"`
	// Tickets is a condition in CEL on a message to us and its conversation: where it holds, the conversation becomes a ticket of this
	// queue, unless it is one already. It is asked as in AutomationRules that begin with message.received, such as
	// message.sentiment < -0.3 || message.network == "mail". It must not single out a person. Default: none becomes a ticket by itself,
	// but rules may open some.
	// +optional
	Tickets RuleExpression `json:"tickets,omitempty"`
	// Priority that its tickets have at first. Default: Normal.
	// +optional
	Priority TicketPriority `json:"priority,omitempty"`
	// Routing says whose ticket a new one is. Default: agents take what they want.
	// +optional
	Routing *QueueRouting `json:"routing,omitempty"`
	// Hours are when the team works, in which targets are counted. Default: around the clock.
	// +optional
	Hours *QueueHours `json:"hours,omitempty"`
	// Targets are what is promised, by priority. Default: nothing is.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	// +listType=map
	// +listMapKey=priority
	Targets []QueueTarget `json:"targets,omitempty"`
	// WarnAt is the share of a target, in percent, after which it is told that it is about to be missed. Default: it is not told.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=99
	WarnAt int32 `json:"warnAt,omitempty"`
	// Escalations are done where targets are about to be missed, or have been.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	// +listType=map
	// +listMapKey=name
	Escalations []QueueEscalation `json:"escalations,omitempty"`
	// ReopenWithin is how long after it was solved a ticket is reopened by what the customer writes, up to 366d. Later that is a new
	// one. Default: 4d.
	// +optional
	ReopenWithin Duration `json:"reopenWithin,omitempty"`
	// Suspend makes no tickets, gives none to agents and escalates none. Agents go on answering those that there are. Default: false.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// ServiceQueueStatus counts the tickets that are not solved.
type ServiceQueueStatus struct {
	Status `json:",inline"`
	// Agents is how many are given tickets.
	// +optional
	Agents *int32 `json:"agents,omitempty"`
	// Backlog is how many tickets are not solved.
	// +optional
	Backlog *int64 `json:"backlog,omitempty"`
	// Unassigned is how many of them are nobody's.
	// +optional
	Unassigned *int64 `json:"unassigned,omitempty"`
	// Breached is how many of them have missed a target.
	// +optional
	Breached *int64 `json:"breached,omitempty"`
}

// ServiceQueue is a team that answers: which conversations become its tickets, who is given them, and by when they are answered.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=servicequeues,shortName=sq,categories=crm
// +kubebuilder:printcolumn:name="Backlog",type=integer,JSONPath=`.status.backlog`
// +kubebuilder:printcolumn:name="Unassigned",type=integer,JSONPath=`.status.unassigned`
// +kubebuilder:printcolumn:name="Breached",type=integer,JSONPath=`.status.breached`
// +kubebuilder:printcolumn:name="Agents",type=integer,JSONPath=`.status.agents`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Healthy",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Healthy")].status`
// +kubebuilder:printcolumn:name="Description",type=string,JSONPath=`.spec.description`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ServiceQueue struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec ServiceQueueSpec `json:"spec"`
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status ServiceQueueStatus `json:"status,omitempty"`
}

// ServiceQueueList is a list of queues.
// +kubebuilder:object:root=true
type ServiceQueueList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ServiceQueue `json:"items"`
}

// CommonStatus implements Object.
func (q *ServiceQueue) CommonStatus() *Status { return &q.Status.Status }

// IsSuspended implements Object.
func (q *ServiceQueue) IsSuspended() bool { return q.Spec.Suspend }
