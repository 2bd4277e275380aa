package automate

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// The bounds of a rule.
const (
	maxSteps       = 100
	maxBranches    = 10
	maxWeight      = 1000
	maxAssignments = 20
	maxTag         = 100 // characters
	maxOffsetDays  = 3650

	minDuration = Duration(time.Second)
	maxDuration = Duration(3650 * 24 * time.Hour)
	// minLoop is how long a wait takes at least that keeps a loop from turning at once.
	minLoop = Duration(time.Minute)
)

// stepName is what the names of steps match: they stand in the names of sends.
var stepName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// location is where in a rule something stands.
type location struct{ step, field string }

// checker goes through a rule, compiles what can be compiled and gathers what is wrong.
type checker struct {
	known   Known
	plan    *Plan
	issues  []Issue
	contact Presence
	unknown bool   // it is not known what the trigger's event tells
	cases   []Case // by step: what there is on every way to it
}

func newChecker(rule Rule, known Known) *checker {
	return &checker{known: known, plan: &Plan{
		Rule: rule, schema: known.Schema, places: map[string]int{}, when: -1, exit: -1, values: map[assigned]*expr.Value{}, types: map[string]crm.ValueType{},
	}}
}

func (c *checker) wrong(at location, format string, args ...any) {
	c.issues = append(c.issues, Issue{Step: at.step, Field: at.field, Message: fmt.Sprintf(format, args...)})
}

// rule checks all of it.
func (c *checker) rule() {
	r := &c.plan.Rule
	c.trigger()
	if r.When != "" {
		c.plan.when = c.expression(location{"", "when"}, subjectsOf(c.plan.Event, Case{}), r.When, false)
	}
	if r.Exit != "" {
		c.plan.exit = c.expression(location{"", "exit"}, subjectsOf(c.plan.Event, r.everCase()), r.Exit, false)
	}
	c.key()
	c.reentry()
	if r.MaxPerHour < 0 {
		c.wrong(location{"", "maxPerHour"}, "%d entries are none: write 1 or more, or leave it out for no bound", r.MaxPerHour)
	}
	if r.OnEdit != "" && r.OnEdit != Finish && r.OnEdit != Move {
		c.wrong(location{"", "onEdit"}, "%q is unknown: write Finish or Move", r.OnEdit)
	}
	if !c.names() {
		return // places would be those of other steps
	}
	before := len(c.issues)
	c.cases = c.plan.certain()
	for i := range r.Steps {
		c.step(i)
	}
	c.starts()
	if len(c.issues) == before {
		c.ways()
	}
}

// names checks those of steps, and gives them their places.
func (c *checker) names() bool {
	steps := c.plan.Rule.Steps
	switch {
	case len(steps) == 0:
		c.wrong(location{"", "steps"}, "a rule has at least one step")
		return false
	case len(steps) > maxSteps:
		c.wrong(location{"", "steps"}, "there are %d steps, and at most %d are allowed: let a step start another rule", len(steps), maxSteps)
		return false
	}
	before := len(c.issues)
	for i, s := range steps {
		c.plan.asked = append(c.plan.asked, -1)
		if !stepName.MatchString(s.Name) {
			c.wrong(location{s.Name, "name"}, "step %d needs a name of lower-case letters, digits and -, such as wait-a-day, of at most 63", i+1)
			continue
		}
		if at, taken := c.plan.places[s.Name]; taken {
			c.wrong(location{s.Name, "name"}, "steps %d and %d have one name: give each its own, by which entries find it again", at+1, i+1)
			continue
		}
		c.plan.places[s.Name] = i
	}
	return len(c.issues) == before
}

func (c *checker) stepNames() []string { return slices.Sorted(maps.Keys(c.plan.places)) }

// to checks the name of a step to which another leads.
func (c *checker) to(at location, name string) {
	if _, found := c.plan.places[name]; name != "" && !found {
		c.wrong(at, "there is no step %q%s", name, didYouMean(name, c.stepNames()))
	}
}

// didYouMean is the end of a message about an unknown name: the nearest valid one, or all where they are few.
func didYouMean(name string, valid []string) string {
	if near := crm.DidYouMean(name, valid); near != "" {
		return near
	}
	if len(valid) == 0 || len(valid) > 12 {
		return ""
	}
	return ": there is " + strings.Join(slices.Sorted(slices.Values(valid)), ", ")
}

// object checks a reference to another object.
func (c *checker) object(at location, kind Kind, name string, there []string) {
	switch {
	case name == "":
		c.wrong(at, "name a %s", kind)
	case there != nil && !slices.Contains(there, name):
		c.issues = append(c.issues, Issue{
			Step: at.step, Field: at.field, Message: fmt.Sprintf("there is no %s %q%s", kind, name, crm.DidYouMean(name, there)), Missing: kind, Name: name,
		})
	}
}

// channel checks a reference to a channel of one of some types.
func (c *checker) channel(at location, name string, types ...string) {
	if c.known.Channels == nil || name == "" {
		c.object(at, ChannelKind, name, nil)
		return
	}
	c.object(at, ChannelKind, name, sortedKeys(c.known.Channels))
	if is, found := c.known.Channels[name]; found && !slices.Contains(types, is) {
		c.wrong(at, "MessageChannel %q is of type %s, and this step needs one of type %s", name, is, strings.Join(types, " or "))
	}
}

func (c *checker) duration(at location, d Duration) {
	switch {
	case d < minDuration:
		c.wrong(at, "%s is too short: write at least %s", d, minDuration)
	case d > maxDuration:
		c.wrong(at, "%s is too long: at most %s are allowed", d, maxDuration)
	}
}

func (c *checker) offset(at location, days int) {
	if days < -maxOffsetDays || days > maxOffsetDays {
		c.wrong(at, "%d days are too many: at most %d are allowed, before or after", days, maxOffsetDays)
	}
}

// timeOfDay checks one at which something begins.
func (c *checker) timeOfDay(at location, text string) {
	switch minutes, err := campaign.ParseTimeOfDay(text); {
	case err != nil:
		c.wrong(at, "%s", err)
	case minutes == 24*60:
		c.wrong(at, "a day ends at 24:00: write 00:00 of the next one")
	}
}

func (c *checker) zone(at location, name string) {
	if name == "" {
		return
	}
	if _, err := crm.ParseZone(name); err != nil {
		c.wrong(at, "%s", err)
	}
}

// reentry checks when somebody may enter again.
func (c *checker) reentry() {
	at := location{"", "reentry"}
	switch r := c.plan.Rule.Reentry; {
	case r.Mode == ReentryAfter:
		c.duration(location{"", "reentry.after"}, r.After)
	case r.Mode != "" && r.Mode != ReentryNever && r.Mode != ReentryAlways:
		c.wrong(at, "%q is unknown: write Never, After or Always", r.Mode)
	case r.After != 0:
		c.wrong(location{"", "reentry.after"}, "it is for the mode After: write mode: After, or remove it")
	}
}
