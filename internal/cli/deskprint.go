package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rivo/uniseg"
)

// deskPrinter shows conversations and tickets to an agent.
type deskPrinter struct {
	out    io.Writer
	screen screen
	now    func() time.Time // whose location is the reader's
}

func newDeskPrinter(out io.Writer) *deskPrinter {
	return &deskPrinter{out: out, screen: screenOf(out), now: time.Now}
}

// span is a length of time in the two units that matter.
func span(d time.Duration) string {
	d = max(d, -d)
	minutes := int64(d / time.Minute)
	switch {
	case minutes < 1:
		return "now"
	case minutes < 60:
		return fmt.Sprintf("%d min", minutes)
	case minutes < 24*60:
		return join2(minutes/60, "h", minutes%60, "min")
	}
	return join2(minutes/(24*60), "d", minutes/60%24, "h")
}

func join2(a int64, unit string, b int64, lesser string) string {
	if b == 0 {
		return fmt.Sprintf("%d %s", a, unit)
	}
	return fmt.Sprintf("%d %s %d %s", a, unit, b, lesser)
}

// clock is a moment as short as it is clear: today only the hour, within a week the day.
func (p *deskPrinter) clock(at time.Time) string {
	now := p.now()
	at = at.In(now.Location())
	switch {
	case at.Year() == now.Year() && at.YearDay() == now.YearDay():
		return at.Format("15:04")
	case at.Sub(now).Abs() < 6*24*time.Hour:
		return at.Format("Mon 15:04")
	}
	return at.Format("2006-01-02 15:04")
}

// due is how long there is to keep a promise, in the hours of the team, and until when.
func (p *deskPrinter) due(t *ticketTarget) string {
	if t == nil {
		return "-"
	}
	work := time.Duration(t.WorkSeconds) * time.Second
	if t.Overdue {
		if length := span(work); length != "now" {
			return length + " late"
		}
		return "now late"
	}
	return "in " + span(work) + " (" + p.clock(t.Due) + ")"
}

// dueColour marks what is late, and what soon will be.
func dueColour(t *ticketTarget) string {
	switch {
	case t == nil:
		return ""
	case t.Overdue:
		return "31"
	case t.WorkSeconds < int64(30*time.Minute/time.Second):
		return "33"
	}
	return ""
}

// cell is a part of a line, perhaps in a colour.
type cell struct{ text, colour string }

// table prints lines whose columns stand below one another, however wide letters are. The last column is cut to the terminal, or to cells where
// there is none.
func (p *deskPrinter) table(header []string, lines [][]cell, cells int) {
	all := make([][]cell, 0, len(lines)+1)
	heads := make([]cell, len(header))
	for i, name := range header {
		heads[i] = cell{text: name}
	}
	all = append(append(all, heads), lines...)
	widths := make([]int, len(header))
	for _, line := range all {
		for i, c := range line {
			widths[i] = max(widths[i], uniseg.StringWidth(c.text))
		}
	}
	last, before := len(header)-1, 0
	for _, w := range widths[:last] {
		before += w + columnGap
	}
	if p.screen.width > 0 {
		cells = max(leastText, p.screen.width-before)
	}
	for _, line := range all {
		var b strings.Builder
		for i, c := range line[:last] {
			b.WriteString(p.screen.paint(c.colour, c.text) + strings.Repeat(" ", widths[i]-uniseg.StringWidth(c.text)+columnGap))
		}
		b.WriteString(p.screen.paint(line[last].colour, plainLine(line[last].text, cells)))
		fmt.Fprintln(p.out, strings.TrimRight(b.String(), " "))
	}
}

const (
	columnGap = 3
	// saidCells is how much of what somebody said a line of a list has, where no terminal sets the width.
	saidCells = 80
)

// inbox shows who waits.
func (p *deskPrinter) inbox(list []conversationInfo) {
	if len(list) == 0 {
		fmt.Fprintln(p.out, "nobody waits: no such conversations")
		return
	}
	lines := make([][]cell, len(list))
	var waiting, late, nobodys int
	var first *ticketTarget
	var firstOf int64
	for i := range list {
		c := &list[i]
		ticket, target := c.next()
		if c.WaitingSince != nil {
			waiting++
		}
		if ticket == nil || ticket.Assignee == "" {
			nobodys++
		}
		if target != nil && target.Overdue {
			late++
		} else if target != nil && (first == nil || target.Due.Before(first.Due)) {
			first, firstOf = target, c.Number
		}
		lines[i] = p.inboxLine(c, ticket, target)
	}
	summary := fmt.Sprintf("%d of these %d wait for us, %d late, %d nobody's", waiting, len(list), late, nobodys)
	if first != nil {
		summary += fmt.Sprintf("; next is %d, due %s", firstOf, p.due(first))
	}
	fmt.Fprintln(p.out, summary)
	fmt.Fprintln(p.out)
	p.table([]string{"NUMBER", "WAITS", "DUE", "PRIORITY", "WHOSE", "QUEUE", "WITH", "SAYS"}, lines, saidCells)
}

func (p *deskPrinter) inboxLine(c *conversationInfo, ticket *ticketInfo, target *ticketTarget) []cell {
	waits := strings.ToLower(c.State)
	switch {
	case c.SnoozedUntil != nil:
		waits = "until " + p.clock(*c.SnoozedUntil)
	case c.WaitingSince != nil:
		waits = span(p.now().Sub(*c.WaitingSince))
	}
	priority, whose, queue := "-", "-", "-"
	if ticket != nil {
		priority, whose, queue = ticket.Priority, nonEmpty(ticket.Assignee, "-"), nonEmpty(ticket.Queue, "-")
	}
	if c.Claim != nil {
		whose = c.Claim.Agent + " answers"
	}
	says := ""
	if c.Last != nil {
		says = c.Last.brief()
	}
	if c.Subject != "" {
		says = c.Subject + " — " + says
	}
	return []cell{
		{text: fmt.Sprint(c.Number)},
		{text: waits},
		{p.due(target), dueColour(target)},
		{priority, priorityColour(priority)},
		{text: plainLine(whose, nameCells)},
		{text: plainLine(queue, nameCells)},
		{text: plainLine(c.with(), nameCells)},
		{text: says},
	}
}

func priorityColour(priority string) string {
	if priority == "Urgent" {
		return "31"
	}
	return ""
}

// with is whom a conversation is with.
func (c *conversationInfo) with() string {
	if name := c.With.words(); name != "-" {
		return name
	}
	return "somebody"
}

// brief is a message in a few words, for a list.
func (m *talkMessage) brief() string {
	switch {
	case m.Forgotten:
		return "(deleted by its author)"
	case m.Kind == "Out" && (m.State == "Failed" || m.State == "Ambiguous"):
		return "(our answer: " + m.State + ") " + m.Text
	case m.Kind == "Out":
		return "(we) " + m.Text
	}
	return m.Text
}
