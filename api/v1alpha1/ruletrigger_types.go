package v1alpha1

// ScheduleTrigger begins entries by the calendar.
type ScheduleTrigger struct {
	// Cron is when, as in a CronJob: minute, hour, day of month, month and day of week, such as 0 9 * * MON. A clock that is set back
	// over a time does not repeat it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	Cron string `json:"cron"`
	// TimeZone whose calendar it is: an IANA zone, such as Europe/Madrid. Default: the tenant's.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self != 'Recipient'",message="a schedule has one calendar for everybody: write a zone, such as Europe/Madrid, and let a step wait until an hour of each contact's own"
	TimeZone string `json:"timeZone,omitempty"`
	// SegmentRef names the Segment each of whose members gets an entry. Default: one entry without a contact, which can notify but
	// write to nobody.
	// +optional
	SegmentRef *LocalReference `json:"segmentRef,omitempty"`
}

// DateTrigger begins an entry on a day that a contact has, such as a birthday.
type DateTrigger struct {
	// Attribute of the contact that holds the day, of type Date.
	Attribute FieldName `json:"attribute"`
	// OffsetDays is how many days later it begins; before the day when negative: -30 is thirty days ahead. Default: 0.
	// +optional
	// +kubebuilder:validation:Minimum=-3650
	// +kubebuilder:validation:Maximum=3650
	OffsetDays int32 `json:"offsetDays,omitempty"`
	// At is the time of that day where the contact lives, such as 09:00. Default: 09:00.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self != '24:00'",message="24:00 is the next day: write 00:00, and one more in offsetDays"
	At TimeOfDay `json:"at,omitempty"`
	// EveryYear begins on each anniversary too, and not only on the day itself. Default: false.
	// +optional
	EveryYear bool `json:"everyYear,omitempty"`
}

// RuleTrigger says what begins an entry: an event, a schedule or a date.
// +kubebuilder:validation:XValidation:rule="[has(self.event), has(self.schedule), has(self.date)].filter(given, given).size() == 1",message="a rule begins with one of event, schedule and date: write one, and another rule for what else begins it"
// +kubebuilder:validation:XValidation:rule="(has(self.event) && self.event in ['segment.entered', 'segment.left']) == has(self.segmentRef)",message="segmentRef says whose segment is entered or left: give it with event segment.entered and segment.left, and with nothing else"
// +kubebuilder:validation:XValidation:rule="!has(self.onDefinitionChange) || has(self.segmentRef)",message="onDefinitionChange speaks of a segment: remove it, or begin with segment.entered or segment.left"
// +kubebuilder:validation:XValidation:rule="!has(self.monitorRef) || has(self.event) && (self.event == 'mention.received' || self.event.startsWith('incident.'))",message="monitorRef narrows mention.received and incident events: remove it, or begin with one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.topic) || has(self.monitorRef)",message="topic is one of a monitor's: name the monitor in monitorRef, or remove topic"
// +kubebuilder:validation:XValidation:rule="!has(self.campaignRef) || has(self.event) && self.event in ['message.opened', 'message.clicked', 'message.bounced']",message="campaignRef narrows message events: remove it, or begin with message.opened, message.clicked or message.bounced"
// +kubebuilder:validation:XValidation:rule="!has(self.queueRef) || has(self.event) && self.event.startsWith('ticket.')",message="queueRef narrows ticket events: remove it, or begin with one of them, such as ticket.breached"
// +kubebuilder:validation:XValidation:rule="!has(self.quietFor) || has(self.event)",message="quietFor speaks of an EventType: name it in event, or remove quietFor"
type RuleTrigger struct {
	// Event is what happens: contact.created, identifier.added, contact.unsubscribed, segment.entered, segment.left, mention.received,
	// message.received, message.opened, message.clicked, message.bounced, conversation.opened, conversation.closed, ticket.opened,
	// ticket.assigned, ticket.answered, ticket.resolved, ticket.closed, ticket.breached, incident.opened, incident.updated,
	// incident.closed, or the name of an EventType, such as purchase.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z][a-z0-9_.-]*$')",message="must be the name of an event, such as segment.entered, or of an EventType, such as purchase"
	Event string `json:"event,omitempty"`
	// SegmentRef names the Segment that is entered or left.
	// +optional
	SegmentRef *LocalReference `json:"segmentRef,omitempty"`
	// OnDefinitionChange says what becomes of those who enter or leave because somebody edited the segment, and not because anything
	// about them changed. Ignore: no entry begins. Add: one does. Default: Ignore.
	// +optional
	OnDefinitionChange OnDefinitionChange `json:"onDefinitionChange,omitempty"`
	// MonitorRef names the Monitor that found the mention, or whose incident it is. Default: any.
	// +optional
	MonitorRef *LocalReference `json:"monitorRef,omitempty"`
	// Topic of that monitor. Default: any.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Topic string `json:"topic,omitempty"`
	// CampaignRef names the Campaign whose message was opened, clicked or bounced. Default: any.
	// +optional
	CampaignRef *LocalReference `json:"campaignRef,omitempty"`
	// QueueRef names the ServiceQueue whose ticket it is. Default: any.
	// +optional
	QueueRef *LocalReference `json:"queueRef,omitempty"`
	// QuietFor, of an EventType, is for how long the contact must have had no such event before, such as 90d: it makes a return of a
	// visit. Default: however short.
	// +optional
	QuietFor Duration `json:"quietFor,omitempty"`
	// Schedule begins entries by the calendar.
	// +optional
	Schedule *ScheduleTrigger `json:"schedule,omitempty"`
	// Date begins an entry on a day that a contact has.
	// +optional
	Date *DateTrigger `json:"date,omitempty"`
}
