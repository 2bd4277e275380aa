// Package automate is what rules do: what they listen to, which step follows which, when somebody waits for what, and what happens. It is
// pure. It is told what time it is and what the answers to its questions are, and it says what is to be done; others ask and do.
//
// A Rule is what a manifest says. Check finds all that is wrong with it, Compile makes a Plan of it, and Plan.Next takes one entry (somebody
// or something that is on its way through the rule) as far as it gets.
package automate

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// Rule is what a manifest says, with durations read. It is stored as JSON, so names of fields do not change.
type Rule struct {
	On   Trigger `json:"on"`
	When string  `json:"when,omitempty"` // a condition on what happened and on the contact; "": always
	// Key is a field of the trigger's subject, such as mention.thread: there is one active entry for each of its values. "": one for each
	// contact; where nobody is known, one for each event.
	Key     string  `json:"key,omitempty"`
	Reentry Reentry `json:"reentry,omitzero"`
	Exit    string  `json:"exit,omitempty"` // a condition that is asked whenever an entry wakes: where it holds, the entry is over
	// MaxPerHour is how many entries may begin in any hour; 0: as many as come. What comes above it waits.
	MaxPerHour int64  `json:"maxPerHour,omitempty"`
	OnEdit     OnEdit `json:"onEdit,omitempty"` // "": Finish
	Steps      []Step `json:"steps"`
}

// Reentry says whether somebody who has been in a rule may enter it again. While an entry is active there is never another of its key.
type Reentry struct {
	Mode  ReentryMode `json:"mode,omitempty"` // "": Never
	After Duration    `json:"after,omitempty"`
}

// ReentryMode is when somebody may enter again.
type ReentryMode string

// The modes of re-entry.
const (
	ReentryNever  ReentryMode = "Never"
	ReentryAfter  ReentryMode = "After" // when so much time has passed since the last entry began
	ReentryAlways ReentryMode = "Always"
)

// OnEdit says which version of a rule its active entries follow when it is edited.
type OnEdit string

// What becomes of active entries.
const (
	Finish OnEdit = "Finish" // they end on the version with which they began
	Move   OnEdit = "Move"   // they go on in the new one, where the name of their step is still there
)

// Trigger is what a rule listens to: exactly one of Event, Schedule and Date.
type Trigger struct {
	Event string `json:"event,omitempty"` // one of Events, or the name of an EventType
	// The following narrow an event down to some; which ones an event takes, Event.Narrows tells.
	Segment  string `json:"segment,omitempty"`
	OnEdits  bool   `json:"onEdits,omitempty"` // of segments: also who enters or leaves because the segment was edited or repaired
	Monitor  string `json:"monitor,omitempty"`
	Topic    string `json:"topic,omitempty"`
	Campaign string `json:"campaign,omitempty"`
	Queue    string `json:"queue,omitempty"` // of tickets
	// QuietFor takes only an event before which the contact had none of its name for so long: a return visit.
	QuietFor Duration `json:"quietFor,omitempty"`

	Schedule *ScheduleTrigger `json:"schedule,omitempty"`
	Date     *DateTrigger     `json:"date,omitempty"`
}

// ScheduleTrigger begins an entry for each member of a segment whenever a schedule comes, or one without a contact.
type ScheduleTrigger struct {
	Cron     string `json:"cron"` // five fields
	TimeZone string `json:"timeZone"`
	Segment  string `json:"segment,omitempty"`
}

// DateTrigger begins an entry for each contact on a day that one of their attributes tells.
type DateTrigger struct {
	Attribute  string `json:"attribute"`            // of type Date
	OffsetDays int    `json:"offsetDays,omitempty"` // after that day; negative: before it
	At         string `json:"at"`                   // a time of day such as 09:00, by the contact's clock
	EveryYear  bool   `json:"everyYear,omitempty"`  // on each anniversary too; of 29 February, in other years, on 1 March
}

// Step is a name, which is the step's identity, and exactly one verb.
type Step struct {
	Name string `json:"name"`
	// Next is the step that follows; "": the one behind this in the list, and behind the last one the end.
	Next string `json:"next,omitempty"`

	Send       *Send        `json:"send,omitempty"`
	Reply      *Reply       `json:"reply,omitempty"`
	Publish    *Publish     `json:"publish,omitempty"`
	Wait       *Wait        `json:"wait,omitempty"`
	If         *If          `json:"if,omitempty"`
	Split      []Branch     `json:"split,omitempty"`
	Tag        string       `json:"tag,omitempty"`
	Untag      string       `json:"untag,omitempty"`
	Set        []Assignment `json:"set,omitempty"`
	OpenTicket *OpenTicket  `json:"openTicket,omitempty"`
	Assign     *Assign      `json:"assign,omitempty"`
	Notify     *Notify      `json:"notify,omitempty"`
	Start      *Start       `json:"start,omitempty"`
	Exit       *Exit        `json:"exit,omitempty"`
}

// Send writes to the contact, as a campaign does: by the ledger, with consent, suppression and caps.
type Send struct {
	Template string `json:"template"`
	Channel  string `json:"channel"`
	Purpose  string `json:"purpose"`
	Priority string `json:"priority,omitempty"` // Bulk, Transactional; "": Bulk
}

// Reply answers what the rule began with, in its thread and on the network or in the mailbox from which it came.
type Reply struct {
	Template string `json:"template"` // whose text is written
}

// Publish writes to everybody, in an account of ours.
type Publish struct {
	Template string `json:"template"` // whose text is written
	Channel  string `json:"channel"`
}

// Wait lets time pass: For, Until, or until an Event comes, with For as the time after which it is not waited for any more.
type Wait struct {
	For   Duration `json:"for,omitempty"`
	Until *Moment  `json:"until,omitempty"`
	// Event of the same contact; of a ticket or a conversation, of that of the entry.
	Event string `json:"event,omitempty"`
	// When is a condition on the awaited event, which has its own name there, and on what the rule began with, which is called trigger.
	When    string `json:"when,omitempty"`
	Timeout string `json:"timeout,omitempty"` // the step after a time-out; "": the same as when the event came
}

// Moment is a point in time: At, the next TimeOfDay, or the day of an Attribute.
type Moment struct {
	At        string   `json:"at,omitempty"`        // a local date and time such as 2027-03-21T09:00:00
	TimeZone  string   `json:"timeZone,omitempty"`  // in which At and TimeOfDay are read; "": the contact's, or else the tenant's
	TimeOfDay string   `json:"timeOfDay,omitempty"` // such as 09:00: the next one that lies ahead; with Attribute, that of its day
	Weekdays  []string `json:"weekdays,omitempty"`  // such as Monday: on one of these days only
	// Attribute of type Date or Timestamp: the wait is until it. Where it lies in the past there is none; where it is not known, the entry
	// goes to the wait's time-out or else ends.
	Attribute  string `json:"attribute,omitempty"`
	OffsetDays int    `json:"offsetDays,omitempty"` // after the attribute's day; negative: before it
}

// If goes to Then where its condition holds, and to Else where it does not. "" is the step's Next.
type If struct {
	Condition string `json:"condition"`
	Then      string `json:"then,omitempty"`
	Else      string `json:"else,omitempty"`
}

// Branch is a way that is taken by chance, by the share of its weight in all of them.
type Branch struct {
	Weight int    `json:"weight"`
	Next   string `json:"next"`
}

// Assignment gives an attribute of the contact a value: one that is written out, or that of an expression.
type Assignment struct {
	Attribute  string `json:"attribute"`
	Value      string `json:"value,omitempty"`
	Expression string `json:"expression,omitempty"`
}

// OpenTicket has people look after what the rule began with. Where its conversation has a ticket of the queue that is not closed, it is that one.
type OpenTicket struct {
	Queue    string `json:"queue"`
	Priority string `json:"priority,omitempty"` // Low, Normal, High, Urgent; "": that of the queue
	Subject  string `json:"subject,omitempty"`  // "": what it is about by itself
}

// Assign gives the entry's ticket to somebody.
type Assign struct {
	To string `json:"to"` // an agent
}

// Notify sends a document about what happened to a MessageChannel of type Webhook, at least once.
type Notify struct {
	Channel  string `json:"channel"`
	Template string `json:"template,omitempty"` // whose text is told with it
}

// Start begins another rule with the same contact and the same event.
type Start struct {
	Rule string `json:"rule"`
}

// Exit ends the entry.
type Exit struct {
	Reason string `json:"reason,omitempty"`
}

// Verb is what a step does, by the name that manifests have for it; "" for none or several.
func (s Step) Verb() string {
	if verbs := s.verbs(); len(verbs) == 1 {
		return verbs[0]
	}
	return ""
}

func (s Step) verbs() (list []string) {
	for _, v := range []struct {
		name  string
		there bool
	}{
		{"send", s.Send != nil},
		{"reply", s.Reply != nil},
		{"publish", s.Publish != nil},
		{"wait", s.Wait != nil},
		{"if", s.If != nil},
		{"split", s.Split != nil},
		{"tag", s.Tag != ""},
		{"untag", s.Untag != ""},
		{"set", s.Set != nil},
		{"openTicket", s.OpenTicket != nil},
		{"assign", s.Assign != nil},
		{"notify", s.Notify != nil},
		{"start", s.Start != nil},
		{"exit", s.Exit != nil},
	} {
		if v.there {
			list = append(list, v.name)
		}
	}
	return list
}

// Duration is a length of time, which JSON holds as manifests write it: 90d, 1d12h, 30m.
type Duration time.Duration

// ParseDuration reads a duration as manifests write it.
func ParseDuration(text string) (Duration, error) {
	d, err := campaign.ParseDuration(text)
	return Duration(d), err
}

// String is d with the largest units that fit, whole seconds at the least.
func (d Duration) String() string {
	rest := time.Duration(d)
	if rest < time.Second {
		return "0s"
	}
	var b strings.Builder
	for _, unit := range []struct {
		letter string
		length time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if n := rest / unit.length; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10) + unit.letter)
			rest -= n * unit.length
		}
	}
	return b.String()
}

// MarshalJSON writes d as manifests do.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads what MarshalJSON writes.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("a duration is a text such as 90d: %w", err)
	}
	read, err := ParseDuration(text)
	*d = read
	return err
}
