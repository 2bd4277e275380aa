package cli

import (
	"fmt"
	"strings"
	"time"
)

// conversation shows all of one.
func (p *deskPrinter) conversation(c conversationInfo) {
	fmt.Fprintf(p.out, "Conversation %d with %s on %s: %s\n", c.Number, plainLine(c.with(), 0), plainLine(c.Network, 0), p.stands(&c))
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(p.out, "  %-9s %s\n", name, text)
		}
	}
	row("subject", plainLine(c.Subject, textCells))
	row("contact", c.Contact)
	if c.Follows != 0 {
		row("follows", fmt.Sprintf("%d, which had ended", c.Follows))
	}
	for i := range c.Tickets {
		row("ticket", p.ticketLine(&c.Tickets[i]))
	}
	if c.Claim != nil {
		row("answering", plainLine(c.Claim.Agent, 0)+", until "+p.clock(c.Claim.Until))
	}
	if c.ReplyChannel == "" {
		row("answers", "cannot leave: "+noReplyChannel(c.Source))
	}
	if c.Whole != nil && !*c.Whole {
		fmt.Fprintln(p.out, "\n(what is older is left out)")
	}
	for i := range c.Thread {
		p.message(&c.Thread[i])
	}
	if c.State != "Closed" && c.ReplyChannel != "" {
		fmt.Fprintf(p.out, "\nVersion %[2]d. To answer: tertulia reply %[1]d, or with a text: tertulia reply %[1]d --seen %[2]d --text '…'\n",
			c.Number, c.Version)
	}
}

func noReplyChannel(source string) string {
	if source == "" {
		return "its source is gone"
	}
	return "SocialSource " + plainLine(source, 0) + " has no spec.replyChannelRef"
}

// stands tells whose turn it is, and since when.
func (p *deskPrinter) stands(c *conversationInfo) string {
	switch {
	case c.ClosedAt != nil:
		return "closed on " + p.clock(*c.ClosedAt)
	case c.SnoozedUntil != nil:
		return "put away until " + p.clock(*c.SnoozedUntil)
	case c.WaitingSince != nil:
		return "waits for us since " + p.clock(*c.WaitingSince) + ", " + span(p.now().Sub(*c.WaitingSince))
	case c.State == "Waiting":
		return "it is their turn"
	}
	return "it is our turn"
}

// ticketLine is a ticket in one line.
func (p *deskPrinter) ticketLine(t *ticketInfo) string {
	line := fmt.Sprintf("%d in %s: %s, %s, %s", t.Number, nonEmpty(plainLine(t.Queue, 0), "a queue that was deleted"), t.Status, t.Priority,
		nonEmpty(plainLine(t.Assignee, 0), "nobody's"))
	for i := range t.Targets {
		target := &t.Targets[i]
		line += "; " + targetWords(target.Target) + " " + p.screen.paint(dueColour(target), p.due(target))
	}
	if t.Breached {
		line += "; a target was missed"
	}
	return line
}

// targetWords are what is promised, in words.
func targetWords(target string) string {
	switch target {
	case "FirstResponse":
		return "first answer"
	case "NextResponse":
		return "next answer"
	case "Resolution":
		return "solution"
	}
	return target
}

// message shows a message of a thread, with what became of it.
func (p *deskPrinter) message(m *talkMessage) {
	fmt.Fprintf(p.out, "\n%s  %s\n", p.clock(m.At), p.screen.paint("1", m.whose()))
	switch {
	case m.Forgotten:
		fmt.Fprintln(p.out, "  (deleted by its author)")
	case m.Text == "" && m.Template != "":
		fmt.Fprintf(p.out, "  (template %s)\n", plainLine(m.Template, 0))
	default:
		fmt.Fprint(p.out, plainText(m.Text, "  "))
	}
	if m.Reason != "" {
		fmt.Fprintf(p.out, "  %s\n", p.screen.paint("31", plainLine(m.Reason, textCells)))
	}
	switch m.State {
	case "Ambiguous":
		fmt.Fprintf(p.out, "  Nobody knows whether it arrived: look there, and say so with tertulia inbox settle … %s\n", plainLine(m.ID, 0))
	case "Failed":
		fmt.Fprintf(p.out, "  It did not arrive. To have it leave again: tertulia inbox settle … %s --again\n", plainLine(m.ID, 0))
	}
}

// whose is who wrote a message, in words.
func (m *talkMessage) whose() string {
	by := plainLine(m.Agent, 0)
	if by == "" && m.Rule != "" {
		by = "rule " + plainLine(m.Rule, 0)
	}
	switch m.Kind {
	case "Note":
		return "note by " + by
	case "Out":
		state := map[string]string{"Queued": "leaves soon", "Sent": "sent", "Failed": "failed", "Ambiguous": "ambiguous"}[m.State]
		return "we, by " + by + " (" + nonEmpty(state, plainLine(m.State, 0)) + ")"
	}
	if name := m.Author.words(); name != "-" {
		return plainLine(name, 0)
	}
	return "somebody"
}

// maxLines is how many lines of a stranger's text are shown.
const maxLines = 200

// plainText is a stranger's text with its lines, each of which only shows.
func plainText(text, indent string) string {
	var b strings.Builder
	lines := strings.Split(strings.ReplaceAll(strings.TrimSpace(text), "\r\n", "\n"), "\n")
	blank := false
	for i, line := range lines {
		if i == maxLines {
			fmt.Fprintf(&b, "%s… and %d lines more\n", indent, len(lines)-i)
			break
		}
		line = plainLine(line, 0)
		if line == "" && blank {
			continue
		}
		blank = line == ""
		b.WriteString(strings.TrimRight(indent+line, " ") + "\n")
	}
	return b.String()
}

// tickets shows a list of them.
func (p *deskPrinter) tickets(list []ticketInfo) {
	if len(list) == 0 {
		fmt.Fprintln(p.out, "no such tickets")
		return
	}
	lines := make([][]cell, len(list))
	for i := range list {
		t := &list[i]
		lines[i] = []cell{
			{text: fmt.Sprint(t.Number)},
			{p.due(t.next()), dueColour(t.next())},
			{text: t.Status},
			{t.Priority, priorityColour(t.Priority)},
			{text: nonEmpty(plainLine(t.Assignee, nameCells), "-")},
			{text: nonEmpty(plainLine(t.Queue, nameCells), "-")},
			{text: span(p.now().Sub(t.OpenedAt))},
			{text: fmt.Sprint(t.Replies)},
			{text: fmt.Sprint(t.Conversation)},
			{text: t.Subject},
		}
	}
	p.table([]string{"NUMBER", "DUE", "STATUS", "PRIORITY", "WHOSE", "QUEUE", "AGE", "ANSWERS", "CONVERSATION", "SUBJECT"}, lines, saidCells)
}

// ticket shows all of one.
func (p *deskPrinter) ticket(t ticketInfo) {
	fmt.Fprintf(p.out, "Ticket %s\n", p.ticketLine(&t))
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(p.out, "  %-15s %s\n", name, text)
		}
	}
	row("subject", plainLine(t.Subject, textCells))
	row("conversation", fmt.Sprintf("%d (tertulia inbox show %d)", t.Conversation, t.Conversation))
	row("waits since", p.clock(t.OpenedAt))
	if took := t.Took; took != nil {
		row("first answer", tookWords(took.FirstAnswer))
		row("second answer", tookWords(took.SecondAnswer))
		row("solved", tookWords(took.Solution))
	}
	row("answers", fmt.Sprint(t.Replies))
	if t.Reopened > 0 {
		row("reopened", times(t.Reopened))
	}
	for _, h := range t.History {
		by := ""
		if h.Agent != "" {
			by = ", by " + plainLine(h.Agent, 0)
		}
		row(p.clock(h.At), strings.TrimSpace(h.Kind+" "+plainLine(h.Words, textCells))+by)
	}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// tookWords are how long something took: in the hours of the team, and by the calendar.
func tookWords(t *tookInfo) string {
	if t == nil {
		return ""
	}
	work, all := span(time.Duration(t.WorkSeconds)*time.Second), span(time.Duration(t.Seconds)*time.Second)
	for _, at := range []*string{&work, &all} {
		if *at == "now" {
			*at = "less than a minute"
		}
	}
	if work == all {
		return "after " + work
	}
	return "after " + work + " of work, " + all + " by the calendar"
}
