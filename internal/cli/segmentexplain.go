package cli

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// segmentExplanation is a segment as the API explains it.
type segmentExplanation struct {
	Segment   segmentInfo   `json:"segment"`
	Match     string        `json:"match"`
	Trouble   string        `json:"trouble,omitempty"`
	Predicate string        `json:"predicate"`
	Arguments []string      `json:"arguments"`
	Everyone  statementInfo `json:"everyone"`
	Changed   statementInfo `json:"changed"`
	Cost      struct {
		Expression int      `json:"expression,omitempty"`
		Limit      int      `json:"limit"`
		Seconds    *float64 `json:"build_seconds,omitempty"`
		Members    *int64   `json:"members,omitempty"`
	} `json:"cost"`
	Dependencies *dependenciesInfo `json:"dependencies,omitempty"`
	UsedBy       segmentUsers      `json:"used_by"`
	Crossings    []crossingInfo    `json:"crossings"`
}

type statementInfo struct {
	SQL  string  `json:"sql"`
	Plan string  `json:"plan"`
	Cost float64 `json:"cost"`
	Rows float64 `json:"rows"`
}

type dependenciesInfo struct {
	Attributes  []string     `json:"attributes,omitempty"`
	Fields      []string     `json:"fields,omitempty"`
	Tags        []string     `json:"tags,omitempty"`
	Purposes    []string     `json:"purposes,omitempty"`
	Identifiers []string     `json:"identifiers,omitempty"`
	Segments    []string     `json:"segments,omitempty"`
	Events      []windowInfo `json:"events,omitempty"`
	Messages    []windowInfo `json:"messages,omitempty"`
	Ages        []struct {
		Field  string `json:"field"`
		Offset string `json:"offset"`
	} `json:"ages,omitempty"`
	Calendar []struct {
		Function string  `json:"function"`
		Field    string  `json:"field"`
		Steps    []int64 `json:"steps,omitempty"`
	} `json:"calendar,omitempty"`
	Instants []time.Time `json:"instants,omitempty"`
}

type windowInfo struct {
	Name     string `json:"name"`
	Campaign string `json:"campaign,omitempty"`
	Within   string `json:"within,omitempty"`
	Before   string `json:"before,omitempty"`
	Compared string `json:"compared,omitempty"`
}

func (w windowInfo) String() string {
	text := w.Name
	if w.Campaign != "" {
		text += " of campaign " + w.Campaign
	}
	for _, part := range [][2]string{{" within ", w.Within}, {" before ", w.Before}, {", compared with ", w.Compared}} {
		if part[1] != "" {
			text += part[0] + part[1]
		}
	}
	return text
}

type crossingInfo struct {
	Of         string     `json:"of"`
	Name       string     `json:"name"`
	After      string     `json:"after"`
	Steps      []int64    `json:"steps,omitempty"`
	SweptUntil time.Time  `json:"swept_until"`
	At         *time.Time `json:"at,omitempty"`
	Within     string     `json:"looked_within,omitempty"`
	Unknown    bool       `json:"unknown,omitempty"`
}

func newSegmentExplain() *cobra.Command {
	var v segmentVerb
	return v.command(&cobra.Command{
		Use: "explain NAME", Short: "Show a segment's SQL, plans, dependencies, next boundary of time and cost",
		Long: "Nothing is run. Plans are PostgreSQL's: for everyone, when the membership is built, and for those about whom something changed.\n" +
			"The SQL has a placeholder for each argument; the plan for everyone is made for these arguments and shows them.",
		Args: cobra.ExactArgs(1), Example: "  tertulia segment explain lapsed-club -n velo",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		var e segmentExplanation
		if err := client.call(cmd.Context(), http.MethodGet, segmentPath(args[0], "explain"), nil, &e); err != nil {
			return fmt.Errorf("explain segment %q: %w", args[0], err)
		}
		if v.output == outputJSON {
			return printJSON(cmd.OutOrStdout(), e)
		}
		tellExplanation(cmd.OutOrStdout(), e)
		return nil
	})
}

func tellExplanation(w io.Writer, e segmentExplanation) {
	s := e.Segment
	fmt.Fprintf(w, "Segment %s: %s", s.Name, s.State)
	if s.Members != nil {
		fmt.Fprintf(w, ", %d members", *s.Members)
	}
	fmt.Fprintf(w, "\n\n%s\n", indent(e.Match))
	if e.Trouble != "" {
		fmt.Fprintf(w, "\nThe expression could not come into force today: %s\nThe membership follows the definition of before.\n", e.Trouble)
	}
	tellCost(w, e)
	tellDependencies(w, e)
	fmt.Fprintln(w, "\nTime")
	for _, c := range e.Crossings {
		fmt.Fprintf(w, "  %s\n", c)
	}
	if len(e.Crossings) == 0 {
		fmt.Fprintln(w, "  Its passing changes nothing.")
	}
	fmt.Fprintf(w, "\nSQL, over c, a row of contact\n%s\n\nArguments\n", indent(e.Predicate))
	for i, a := range e.Arguments {
		fmt.Fprintf(w, "  $%d = %q\n", i+1, a)
	}
	for _, statement := range []struct {
		title string
		statementInfo
	}{{"Everyone, when it is built", e.Everyone}, {"Those about whom something changed", e.Changed}} {
		fmt.Fprintf(w, "\n%s\n%s\n\n%s\n", statement.title, indent(statement.SQL), indent(statement.Plan))
	}
}

func tellCost(w io.Writer, e segmentExplanation) {
	fmt.Fprintln(w, "\nCost")
	if e.Cost.Expression > 0 {
		fmt.Fprintf(w, "  expression     %d of %d, %d %%\n", e.Cost.Expression, e.Cost.Limit, 100*e.Cost.Expression/e.Cost.Limit)
	}
	fmt.Fprintf(w, "  last build     %s, %s ago\n", secondsText(e.Cost.Seconds), agoText(e.Segment.Build.At))
	fmt.Fprintf(w, "  planner        %.0f for everyone, of whom it expects %.0f to belong; %.0f for those who changed\n",
		e.Everyone.Cost, e.Everyone.Rows, e.Changed.Cost)
	fmt.Fprintf(w, "  waiting        %d changes, the oldest for %s\n", e.Segment.Waiting, lagText(e.Segment.Lag))
	fmt.Fprintf(w, "  verified       %s; %d repaired\n", verifiedText(e.Segment), e.Segment.Verification.Repaired)
}

func tellDependencies(w io.Writer, e segmentExplanation) {
	fmt.Fprintln(w, "\nDepends on")
	line := func(name string, values []string) {
		if len(values) > 0 {
			fmt.Fprintf(w, "  %-14s %s\n", name, strings.Join(values, ", "))
		}
	}
	if d := e.Dependencies; d == nil {
		fmt.Fprintln(w, "  anything: an older release has saved it, and it is built every few minutes")
	} else {
		line("attributes", d.Attributes)
		line("fields", d.Fields)
		line("tags", d.Tags)
		line("consent", d.Purposes)
		line("identifiers", d.Identifiers)
		line("segments", d.Segments)
		for _, event := range d.Events {
			line("event", []string{event.String()})
		}
		for _, message := range d.Messages {
			line("message", []string{message.String()})
		}
	}
	if len(e.UsedBy.Segments)+len(e.UsedBy.Campaigns) > 0 {
		fmt.Fprintln(w, "\nNeeded by")
		line("segments", e.UsedBy.Segments)
		line("campaigns", e.UsedBy.Campaigns)
	}
}

// String tells when somebody is the next to cross a boundary.
func (c crossingInfo) String() string {
	var when string
	switch {
	case c.Unknown:
		when = "looking took too long"
	case c.At != nil && (c.Of == "age" || c.Of == "anniversary"):
		when = "at each contact's midnight, where the tenant is at " + moment(*c.At)
	case c.At != nil:
		when = "next at " + moment(*c.At)
	case c.Within != "":
		when = "nobody within " + c.Within
	default:
		when = "nobody is on the way"
	}
	what := c.Of + " " + c.Name
	switch {
	case c.Of == "age" || c.Of == "anniversary":
		what = c.Of + " of " + c.Name
		if len(c.Steps) > 0 {
			what += " of " + strings.Trim(fmt.Sprint(c.Steps), "[]")
		}
	case strings.HasPrefix(c.After, "-"):
		what += ", " + c.After[1:] + " before it"
	case c.After != "0s":
		what += ", " + c.After + " after it"
	}
	return what + ": " + when
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}
