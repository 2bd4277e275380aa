package policy

import (
	"fmt"
	"time"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// Campaign is what rules see of a campaign, as the variable campaign.
type Campaign struct {
	Name          string
	SendKey       string
	Purpose       string
	Channel       string
	Priority      string // Bulk or Transactional
	Segments      []string
	Exclude       []string
	MaxRecipients int64
	Templates     []string
	// StartsAt is when the campaign begins, in the zone of its schedule, which is the tenant's where its recipients' clocks decide; of one
	// that recurs, the zero time.
	StartsAt time.Time
	Cron     string // when it recurs; "" for once
	Rolling  bool   // who enters the audience later is written to as well
}

// campaignSubject is the variable campaign in the language of segments. A campaign is judged whenever it or a policy is looked at, and not
// when time passes, so its rules know no clock; and who is written to is for segments to say.
var campaignSubject = expr.Subject{Name: "campaign", Alone: true, Fields: []expr.Field{
	{Name: "name", Type: crm.String},
	{Name: "sendKey", Type: crm.String},
	{Name: "purpose", Type: crm.String},
	{Name: "channel", Type: crm.String},
	{Name: "priority", Type: crm.String, Enum: []string{"Bulk", "Transactional"}},
	{Name: "segments", Type: crm.String, List: true},
	{Name: "exclude", Type: crm.String, List: true},
	{Name: "maxRecipients", Type: crm.Integer},
	{Name: "templates", Type: crm.String, List: true},
	{Name: "startsAt", Type: crm.Timestamp},
	{Name: "date", Type: crm.Date},
	{Name: "weekday", Type: crm.String, Enum: weekdays()},
	{Name: "time", Type: crm.String},
	{Name: "cron", Type: crm.String},
	{Name: "rolling", Type: crm.Boolean},
}}

func weekdays() (names []string) {
	for day := range 7 {
		names = append(names, time.Weekday(day).String())
	}
	return names
}

// facts are what the fields hold. Of a campaign that recurs it is not known when it begins.
func (c Campaign) facts() expr.Facts {
	facts := expr.Facts{
		"name": expr.Text(c.Name), "sendKey": expr.Text(c.SendKey), "purpose": expr.Text(c.Purpose), "channel": expr.Text(c.Channel),
		"priority": expr.Text(c.Priority), "segments": expr.Texts(c.Segments), "exclude": expr.Texts(c.Exclude),
		"maxRecipients": expr.Integer(c.MaxRecipients), "templates": expr.Texts(c.Templates), "cron": expr.Text(c.Cron), "rolling": expr.Boolean(c.Rolling),
	}
	if !c.StartsAt.IsZero() {
		facts["startsAt"], facts["date"] = expr.Instant(c.StartsAt), expr.Day(c.StartsAt)
		facts["weekday"], facts["time"] = expr.Text(c.StartsAt.Weekday().String()), expr.Text(c.StartsAt.Format("15:04"))
	}
	return facts
}

// CompiledRule is a rule that is ready to judge campaigns.
type CompiledRule struct {
	Rule
	condition *expr.Condition
}

// Compile checks a rule. Its error tells the line and column, and what is wrong there.
func (r Rule) Compile() (*CompiledRule, error) {
	condition, err := expr.CompileAbout(crm.Schema{}, campaignSubject, r.Expression)
	if err != nil {
		return nil, err
	}
	return &CompiledRule{Rule: r, condition: condition}, nil
}

// Judge tells why a campaign breaks the rule; "" where it satisfies it. A rule that cannot be answered is broken: it protects
// from what it cannot see.
func (r *CompiledRule) Judge(c Campaign) string {
	satisfied, err := r.condition.Holds(c.facts())
	switch {
	case err != nil:
		return r.unanswered(err)
	case satisfied:
		return ""
	}
	return r.Message
}

func (r Rule) unanswered(err error) string {
	return fmt.Sprintf("%s (The rule cannot be answered: %s.)", r.Message, err)
}
