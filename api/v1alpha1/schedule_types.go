package v1alpha1

// RecipientZone as a time zone means each recipient's own.
const RecipientZone = "Recipient"

// LocalTime is a date and a time as a clock shows them, such as 2027-03-21T09:00:00.
// +kubebuilder:validation:MaxLength=19
// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?$')",message="must be a local date and time without an offset, such as 2027-03-21T09:00:00; the zone is said by timeZone"
type LocalTime string

// TimeOfDay is a time as a clock shows it, such as 09:00. 24:00 ends a day.
// +kubebuilder:validation:MaxLength=5
// +kubebuilder:validation:XValidation:rule="self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$') || self == '24:00'",message="must be a time of day with two digits each, such as 09:00"
type TimeOfDay string

// Weekday is a day of the week.
// +kubebuilder:validation:Enum=Monday;Tuesday;Wednesday;Thursday;Friday;Saturday;Sunday
type Weekday string

// HoursWindow is a span of time on some days of the week.
type HoursWindow struct {
	// Days on which the window begins. Default: all.
	// +optional
	// +kubebuilder:validation:MaxItems=7
	// +listType=set
	Days []Weekday `json:"days,omitempty"`
	// From is when it begins, such as 09:00.
	// +kubebuilder:validation:XValidation:rule="self != '24:00'",message="a window cannot begin at 24:00: write 00:00, and the day after in days"
	From TimeOfDay `json:"from"`
	// To is when it ends, such as 20:00; that minute is no part of it. A window that does not end after it begins ends on the
	// next day.
	To TimeOfDay `json:"to"`
}

// SendHours are the times of the week in which messages are begun.
type SendHours struct {
	// TimeZone in which the windows are read: an IANA zone, such as Europe/Madrid, or Recipient for each recipient's own.
	// Default: the schedule's.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`
	// Open lists the windows. Who is in one of them may be written to; the others wait for the next.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=14
	// +listType=atomic
	Open []HoursWindow `json:"open"`
}

// Schedule says when a campaign is sent.
// +kubebuilder:validation:XValidation:rule="has(self.at) != has(self.cron)",message="give either at, for a campaign that is sent once, or cron, for one that recurs"
type Schedule struct {
	// At is the local date and time in the schedule's time zone, such as 2027-03-21T09:00:00. A time that a clock change
	// skips is taken an hour later; one that happens twice, the first time.
	// +optional
	At LocalTime `json:"at,omitempty"`
	// Cron is when a campaign that recurs is sent, as in a CronJob: minute, hour, day of month, month and day of week, such as
	// 0 9 * * MON. Each time that it names is an occurrence, with an audience of its own: who was written to by one may be
	// written to by the next. An occurrence begins only when the one before it has ended. An edit applies from the next
	// occurrence. A clock that is set back over a time does not repeat it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	Cron string `json:"cron,omitempty"`
	// TimeZone is an IANA zone, such as Europe/Madrid, or Recipient: then each recipient is written to when it is that time
	// where they live, and those of whom no zone is known when it is in the tenant's. Default: the tenant's.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`
	// StartingDeadline is how late the send, or an occurrence of it, may begin, such as 6h or 2d; later it is Expired and sends
	// nothing, so that a cluster that was down does not write at the wrong moment. Default: 6h.
	// +optional
	StartingDeadline Duration `json:"startingDeadline,omitempty"`
	// EndsAt is the local date and time, in the schedule's zone (the tenant's where timeZone is Recipient), after which nothing
	// is begun: no occurrence, and no message. Who is still pending then is skipped (Ended), or failed where the receiver had
	// put the message off. Default: no end; a message that is put off fails after three days.
	// +optional
	EndsAt LocalTime `json:"endsAt,omitempty"`
	// Hours are those in which messages are begun. A recipient outside of them waits for the next ones. Default: all.
	// +optional
	Hours *SendHours `json:"hours,omitempty"`
}
