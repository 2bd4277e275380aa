package cli

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// mentionPrinter shows mentions to a person.
type mentionPrinter struct {
	out    io.Writer
	screen screen
	now    func() time.Time // whose location is the reader's
}

func newMentionPrinter(out io.Writer) *mentionPrinter {
	return &mentionPrinter{out: out, screen: screenOf(out), now: time.Now}
}

const (
	// textCells is how much of a text is shown where no terminal sets the width.
	textCells = 1000
	// nameCells is how much of an author's name a line has.
	nameCells = 28
	leastText = 20
)

// moment is a time as short as it is clear.
func (p *mentionPrinter) moment(at time.Time) string {
	now := p.now()
	at = at.In(now.Location())
	if at.Year() == now.Year() && at.YearDay() == now.YearDay() {
		return at.Format("15:04:05")
	}
	return at.Format("2006-01-02 15:04")
}

// verdict is a sentiment in its colour.
func (p *mentionPrinter) verdict(s mentionSentiment) string {
	return p.screen.paint(moodColour(s.Label), fmt.Sprintf("%-8s %+.2f", plainLine(s.Label, 8), rounded(s.Polarity)))
}

// line is a mention in one line, cut to the terminal.
func (p *mentionPrinter) line(m mentionInfo) {
	head := padCells(p.moment(m.CreatedAt), 8) + "  "
	tail := "  " + padCells(plainLine(m.Language, 3), 3) + " " + padCells(plainLine(m.Author.words(), nameCells), nameCells) + " "
	cells := textCells
	if p.screen.width > 0 {
		cells = max(leastText, p.screen.width-len(head)-len("negative +0.00")-4-4-nameCells-1)
	}
	fmt.Fprintln(p.out, head+p.verdict(m.Sentiment)+tail+plainLine(m.whole(), cells))
}

// whole is title and text.
func (m *mentionInfo) whole() string {
	if m.Title != "" && m.Text != "" {
		return m.Title + " — " + m.Text
	}
	return m.Title + m.Text
}

// block is a mention in a few lines.
func (p *mentionPrinter) block(m mentionInfo) {
	about := ""
	for _, t := range m.Topics {
		about += "  " + plainLine(t.Monitor+"/"+t.Topic, 0)
	}
	fmt.Fprintf(p.out, "%s  %s  %s  %s%s%s\n", p.moment(m.CreatedAt), p.verdict(m.Sentiment), plainLine(m.Language, 8), plainLine(m.Author.words(), nameCells),
		spaced(plainLine(strings.Join(m.Sources, ", "), 0)), about)
	fmt.Fprintf(p.out, "  %s\n", plainLine(m.whole(), textCells))
	fmt.Fprintf(p.out, "  %s\n", p.screen.paint("2", plainLine(m.ID+spaced(m.URL), 0)))
}

func spaced(text string) string {
	if text == "" {
		return ""
	}
	return "  " + text
}

// detail is all of a mention.
func (p *mentionPrinter) detail(d mentionDetail) {
	m := d.Mention
	fmt.Fprintf(p.out, "Mention %s\n", plainLine(m.ID, 0))
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(p.out, "  %-12s %s\n", name, text)
		}
	}
	row("written", p.moment(m.CreatedAt)+" on "+plainLine(m.Network, 0)+", "+plainLine(m.Kind, 0))
	row("by", plainLine(m.Author.words(), 0))
	row("received", p.moment(m.ReceivedAt)+" by "+plainLine(strings.Join(m.Sources, ", "), 0))
	row("title", plainLine(m.Title, textCells))
	row("text", plainLine(m.Text, textCells))
	row("language", plainLine(m.Language, 0))
	row("sentiment", p.verdict(m.Sentiment)+fmt.Sprintf(", confidence %.2f, by %s", m.Sentiment.Confidence, plainLine(m.Sentiment.Engine, 0)))
	for _, w := range m.Sentiment.Words {
		because := ""
		if len(w.Because) > 0 {
			because = " (" + strings.Join(w.Because, "; ") + ")"
		}
		row("", plainLine(fmt.Sprintf("%s %+.2f%s", w.Word, w.Weight, because), 0))
	}
	for _, t := range m.Topics {
		row("topic", plainLine(t.Monitor+"/"+t.Topic+": "+strings.Join(t.Terms, ", "), 0))
	}
	if r := m.Rating; r != nil {
		row("rating", fmt.Sprintf("%g of %g", r.Value, r.Best))
	}
	if e := m.Engagement; e != nil {
		row("engagement", fmt.Sprintf("%d likes, %d reposts, %d replies, %d views", e.Likes, e.Reposts, e.Replies, e.Views))
	}
	row("link", plainLine(m.URL, 0))
	for _, media := range m.Media {
		row("media", plainLine(media.Type+" "+media.URL+spaced(media.Description), textCells))
	}
	for _, c := range d.Corrections {
		row("corrected", p.moment(c.At)+" "+plainLine(fmt.Sprintf("from %s to %s by %s%s", c.Was, c.Label, c.By, spaced(c.Reason)), 0))
	}
	for _, r := range d.Revisions {
		row("edition", p.moment(r.At)+" "+plainLine(r.Title+spaced(r.Text), textCells))
	}
	if len(d.ThreadOf) > 0 {
		fmt.Fprintln(p.out, "  conversation")
	}
	for _, other := range d.ThreadOf {
		fmt.Fprint(p.out, "    ")
		p.line(other)
	}
}
