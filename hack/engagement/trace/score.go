package trace

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/tertulia-crm/tertulia/internal/engagement"
)

// Count says how often machines and people were taken for what they are.
type Count struct {
	MachineAsMachine, MachineAsPerson int
	PersonAsMachine, PersonAsPerson   int
}

// Precision is how many of those that were taken for machines are.
func (c Count) Precision() float64 { return share(c.MachineAsMachine, c.PersonAsMachine) }

// Recall is how many of the machines were taken for machines.
func (c Count) Recall() float64 { return share(c.MachineAsMachine, c.MachineAsPerson) }

// PeoplePrecision is how many of those that were counted as people are.
func (c Count) PeoplePrecision() float64 { return share(c.PersonAsPerson, c.MachineAsPerson) }

// PeopleRecall is how many of the people were counted as people.
func (c Count) PeopleRecall() float64 { return share(c.PersonAsPerson, c.PersonAsMachine) }

func share(of, others int) float64 {
	if of+others == 0 {
		return 1
	}
	return float64(of) / float64(of+others)
}

func (c *Count) add(machine, taken bool) {
	switch {
	case machine && taken:
		c.MachineAsMachine++
	case machine:
		c.MachineAsPerson++
	case taken:
		c.PersonAsMachine++
	default:
		c.PersonAsPerson++
	}
}

// Score is how well a trace was judged.
type Score struct {
	Opens, Clicks Count
	Behaviours    map[string]*Count
}

// began is when the campaign of a trace does; it means nothing.
var began = time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC)

// truth is what an event is known by, for want of a label in it.
type truth struct {
	at         int64
	mail, link int64
	visitor    uint64
}

// Judge has a trace judged as a server would: each event is held in a window, and judged with the others of its mail.
func Judge(t Trace) Score {
	s := Score{Behaviours: map[string]*Count{}}
	truths := map[truth]Request{}
	visitors := map[string]uint64{}
	var window engagement.Window
	var batch engagement.Batch
	settle := func(now time.Time, keep int) {
		batch.Events, batch.Ends = batch.Events[:0], batch.Ends[:0]
		window.Due(now, keep, 1<<30, &batch)
		batch.Messages(func(m engagement.Message, events []engagement.Event) {
			for _, j := range engagement.Judge(nil, events, engagement.Facts{HandedOver: began.Add(t.HandedOver[m.Seq])}) {
				s.note(truths[truth{j.At, j.Seq, j.Link, j.Visitor}], j)
			}
		})
	}
	for _, r := range t.Requests {
		who := r.Agent + "|" + r.Origin
		if visitors[who] == 0 {
			visitors[who] = uint64(len(visitors) + 1)
		}
		e := engagement.Event{
			At: began.Add(r.At).UnixNano(), Send: 1, Seq: int64(r.Mail), Link: int64(r.Link), Visitor: visitors[who], Kind: r.Kind,
			Signals: engagement.ReadAgent(r.Agent) | engagement.ReadHeaders(r.Headers),
		}
		if r.Head {
			e.Signals |= engagement.SignalHead
		}
		settle(e.Time(), len(t.Requests))
		truths[truth{e.At, e.Seq, e.Link, e.Visitor}] = r
		window.Add(e)
	}
	settle(began.AddDate(1, 0, 0), 0)
	return s
}

func (s *Score) note(r Request, j engagement.Judged) {
	if s.Behaviours[r.Behaviour] == nil {
		s.Behaviours[r.Behaviour] = &Count{}
	}
	taken := j.Reason != ""
	s.Behaviours[r.Behaviour].add(r.Machine, taken)
	if r.Kind == engagement.Open {
		s.Opens.add(r.Machine, taken)
	} else {
		s.Clicks.add(r.Machine, taken)
	}
}

// Print writes a score for people.
func (s Score) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tmachines\tprecision\trecall\tpeople\tprecision\trecall\t")
	for _, row := range []struct {
		name string
		Count
	}{{"opens", s.Opens}, {"clicks", s.Clicks}} {
		fmt.Fprintf(t, "%s\t%d\t%.4f\t%.4f\t%d\t%.4f\t%.4f\t\n", row.name, row.MachineAsMachine+row.MachineAsPerson, row.Precision(), row.Recall(),
			row.PersonAsMachine+row.PersonAsPerson, row.PeoplePrecision(), row.PeopleRecall())
	}
	fmt.Fprintln(t, "\t\t\t\t\t\t\t\nbehaviour\tevents\ttaken for a machine\t\t\t\t\t")
	for _, name := range slices.Sorted(maps.Keys(s.Behaviours)) {
		c := s.Behaviours[name]
		taken := c.MachineAsMachine + c.PersonAsMachine
		all := taken + c.MachineAsPerson + c.PersonAsPerson
		truth := "a person"
		if c.MachineAsMachine+c.MachineAsPerson > 0 {
			truth = "a machine"
		}
		fmt.Fprintf(t, "%s\t%d\t%.1f %%\t%s\t\t\t\t\n", name, all, 100*share(taken, all-taken), truth)
	}
	return t.Flush()
}
