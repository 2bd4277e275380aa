package overview

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// Look is how a screen is written.
type Look struct {
	// Width in columns; 0 means 100.
	Width int
	// Colour marks what is wrong, for terminals.
	Colour bool
}

// The number of lines after which a list is cut, so that a tenant stays one screen.
const (
	mostWaiting  = 8
	mostProblems = 8
	mostFinished = 3
	mostNames    = 3
	narrowest    = 60
	indent       = 2
)

// screen collects the lines of one tenant.
type screen struct {
	strings.Builder
	look Look
	now  time.Time
}

// Screen writes one screen for each tenant.
func Screen(w io.Writer, o Overview, look Look) error {
	if look.Width == 0 {
		look.Width = 100
	}
	look.Width = max(look.Width, narrowest)
	s := &screen{look: look, now: o.At}
	for i, t := range o.Tenants {
		if i > 0 {
			s.line("")
		}
		s.head(t, len(o.Problems) == 0 && t.Well)
		s.runs(o, t)
		s.sending(t)
		s.finished(t)
		s.waiting(t)
		s.wrong(append(append([]Problem(nil), o.Problems...), t.Problems...), t)
		s.unseen(append(append([]string(nil), o.Unseen...), t.Unseen...))
	}
	_, err := io.WriteString(w, s.String())
	return err
}

func (s *screen) line(format string, arguments ...any) {
	line := strings.TrimRight(fmt.Sprintf(format, arguments...), " ")
	s.WriteString(line + "\n")
}

func (s *screen) head(t Tenant, well bool) {
	left := printable(fmt.Sprintf("%s · %s", t.DisplayName, t.ID))
	verdict, colour := "all well", green
	switch {
	case !well:
		verdict, colour = "something is wrong", red
	case t.Suspended:
		verdict, colour = "suspended", yellow
	}
	left = cut(left, s.look.Width-len(verdict)-2)
	gap := s.look.Width - columns(left) - len(verdict)
	s.line("%s%s%s", s.paint(bold, left), strings.Repeat(" ", gap), s.paint(colour, verdict))
	s.line("%s", cut(printable(fmt.Sprintf("namespace %s · %s", t.Namespace, t.URL)), s.look.Width))
}

// title begins a part of the screen.
func (s *screen) title(text string) { s.line("\n%s", s.paint(bold, text)) }

func (s *screen) runs(o Overview, t Tenant) {
	s.title("Runs")
	s.process("operator", o.Operator, "no Deployment of it is to be seen")
	s.process("workers", t.Workers, "not run by the operator")
	s.process("servers", t.Servers, "not run by the operator")
	database := "none yet"
	if t.Database != "" {
		database = fmt.Sprintf("%s, schema %d", printable(t.Database), t.SchemaVersion)
	}
	s.line("  %-10s%s", "database", cut(database, s.look.Width-12))
	var kinds []string
	for _, k := range t.Objects {
		kinds = append(kinds, fmt.Sprintf("%s %d/%d", k.Kind, k.Ready, k.Total))
	}
	s.wrapped(indent, "objects   ", strings.Join(kinds, " · "))
}

func (s *screen) process(name string, p *Process, absent string) {
	if p == nil {
		s.line("  %-10s%s", name, absent)
		return
	}
	text := fmt.Sprintf("%d of %d ready", p.Ready, p.Desired)
	if len(p.Versions) > 0 {
		text += ", " + printable(strings.Join(p.Versions, " and "))
	}
	if p.Namespace != "" && name == "operator" {
		text += ", in namespace " + p.Namespace
	}
	text = cut(text, s.look.Width-12)
	if p.Ready < p.Desired {
		text = s.paint(yellow, text)
	}
	s.line("  %-10s%s", name, text)
}

func (s *screen) sending(t Tenant) {
	if len(t.Sending) == 0 {
		return
	}
	s.title("Sending")
	for _, c := range t.Sending {
		s.line("  %s", cut(printable(c.Campaign), s.look.Width-indent))
		counts := fmt.Sprintf("%s of %s", thousands(c.Planned-c.Pending), thousands(c.Planned))
		if c.Rate > 0 {
			counts += fmt.Sprintf(", %s/s, %s left", rate(c.Rate), brief(c.Left))
		}
		s.line("  %s %3.0f %%  %s", bar(c.Done(), min(30, s.look.Width/4)), 100*c.Done(), counts)
		s.wrapped(indent, "", fmt.Sprintf("sent %s · skipped %s · failed %s · ambiguous %s · pending %s",
			thousands(c.Sent), thousands(c.Skipped), thousands(c.Failed), thousands(c.Ambiguous), thousands(c.Pending)))
	}
}

// finished tells of the campaigns that ended last. Older ones are what kubectl is for.
func (s *screen) finished(t Tenant) {
	if len(t.Finished) == 0 {
		return
	}
	s.title("Sent last")
	for _, c := range t.Finished[:min(len(t.Finished), mostFinished)] {
		s.wrapped(indent, "", printable(fmt.Sprintf("%s: sent %s of %s · skipped %s · failed %s · ambiguous %s, %s", c.Campaign,
			thousands(c.Sent), thousands(c.Planned), thousands(c.Skipped), thousands(c.Failed), thousands(c.Ambiguous),
			c.At.In(crm.ZoneOrUTC(t.TimeZone)).Format(dateTime))))
	}
}

// dateTime is how a moment is written.
const dateTime = "Mon 2006-01-02 15:04 MST"

func (s *screen) waiting(t Tenant) {
	if len(t.Waiting) == 0 {
		return
	}
	s.title("Waits")
	for i, w := range t.Waiting {
		if i == mostWaiting {
			s.line("  … and %d more: kubectl get crm -n %s", len(t.Waiting)-i, t.Namespace)
			return
		}
		what := w.What
		if w.Until != nil {
			what += " for " + w.Until.In(crm.ZoneOrUTC(t.TimeZone)).Format(dateTime)
			if left := w.Until.Sub(s.now); left > 0 {
				what += ", in " + brief(left)
			}
		}
		s.wrapped(indent, "", printable(fmt.Sprintf("%s %s: %s", w.Kind, w.Name, what)))
	}
}

func (s *screen) wrong(problems []Problem, t Tenant) {
	if len(problems) > 0 {
		s.title("Wrong, and what to do")
	}
	for i, p := range problems {
		if i == mostProblems {
			s.line("  … and %d more: kubectl get crm -n %s", len(problems)-i, t.Namespace)
			break
		}
		s.problem(p, red)
	}
	if t.Consequences > 0 {
		s.line("  %s", plural(t.Consequences, "other object only waits for this.", "other objects only wait for this."))
	}
	if len(t.Hints) > 0 {
		s.title("Worth knowing")
	}
	for _, p := range t.Hints {
		s.problem(p, yellow)
	}
}

func (s *screen) problem(p Problem, colour string) {
	names := p.Names
	if len(names) > mostNames {
		names = append(append([]string(nil), names[:mostNames]...), fmt.Sprintf("%d more", len(p.Names)-mostNames))
	}
	s.line("  %s", s.paint(colour, cut(printable(fmt.Sprintf("%s %s: %s", p.Kind, strings.Join(names, ", "), p.Reason)), s.look.Width-indent)))
	s.wrapped(2*indent, "", printable(p.Message))
	s.wrapped(2*indent, "→ ", printable(p.Do))
}

func (s *screen) unseen(what []string) {
	if len(what) > 0 {
		s.line("")
		s.wrapped(0, "", "You may not see, so nothing is said of: "+printable(strings.Join(what, ", "))+".")
	}
}
