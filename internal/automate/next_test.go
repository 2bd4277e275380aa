package automate_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/automate"
)

var start = time.Date(2027, 3, 27, 23, 30, 0, 0, time.UTC)

// drawRule draws a rule that Check takes: any steps, in any order, that lead anywhere.
func drawRule(rt *rapid.T) *automate.Plan {
	for {
		n := rapid.IntRange(1, 9).Draw(rt, "steps")
		name := func(i int) string { return fmt.Sprintf("s%d", i) }
		anywhere := func() string { return name(rapid.IntRange(0, n-1).Draw(rt, "to")) }
		rule := automate.Rule{On: automate.Trigger{Event: rapid.SampledFrom([]string{"purchase", "ticket.opened"}).Draw(rt, "on")}, OnEdit: automate.Move}
		looksAfter := rule.On.Event != "purchase"
		if rapid.Bool().Draw(rt, "exit") {
			rule.Exit = "contact.vip"
		}
		for i := range n {
			s := automate.Step{Name: name(i)}
			if rapid.IntRange(1, 4).Draw(rt, "jump") == 1 {
				s.Next = anywhere()
			}
			verb := rapid.IntRange(1, 9).Draw(rt, "verb")
			if looksAfter {
				verb = rapid.IntRange(1, 15).Draw(rt, "case verb")
			}
			switch verb {
			case 1, 2:
				s.Tag = "x"
			case 3:
				s.Notify = &automate.Notify{Channel: "care"}
			case 4:
				s.If = &automate.If{Condition: "contact.plan == \"club\"", Then: anywhere(), Else: anywhere()}
			case 5:
				s.Next, s.Split = "", []automate.Branch{{Weight: 1, Next: anywhere()}, {Weight: 3, Next: anywhere()}}
			case 6:
				s.Wait = &automate.Wait{For: automate.Duration(rapid.IntRange(60, 1_000_000).Draw(rt, "seconds")) * automate.Duration(time.Second)}
			case 7:
				s.Wait = &automate.Wait{Event: "review", For: automate.Duration(time.Hour), Timeout: anywhere()}
				if rapid.Bool().Draw(rt, "when") && !looksAfter {
					s.Wait.When = "event.stars > 3 && event.order == trigger.order"
				}
			case 8:
				moments := []*automate.Moment{{TimeOfDay: "02:30"}, {Weekdays: []string{"Sunday"}}, {At: "2027-04-01T00:00:00"}, {Attribute: "birthday"}}
				if rule.Exit != "" {
					moments = moments[:2] // by another clock, the others may have passed: then nobody wakes, and the exit is not asked
				}
				s.Wait = &automate.Wait{Until: rapid.SampledFrom(moments).Draw(rt, "until")}
			case 9:
				s.Next, s.Exit = "", &automate.Exit{Reason: "done"}
			case 10:
				s.Reply = &automate.Reply{Template: "thanks"}
			case 11:
				s.OpenTicket = &automate.OpenTicket{Queue: "social", Priority: "High"}
			case 12:
				s.Assign = &automate.Assign{To: "ana"}
			case 13:
				s.Publish = &automate.Publish{Template: "thanks", Channel: "toots"}
			case 14:
				s.Wait = &automate.Wait{Event: "ticket.answered", For: automate.Duration(time.Hour), Timeout: anywhere()}
			case 15:
				s.If = &automate.If{Condition: "ticket.breached && conversation.messages > 1", Then: anywhere(), Else: anywhere()}
			}
			rule.Steps = append(rule.Steps, s)
		}
		if plan, err := automate.Compile(rule, known()); err == nil {
			return plan
		}
	}
}

// fate is what is true of one entry, whoever asks and whenever: the answers to conditions, and which awaited events come.
type fate struct{ seed int64 }

func (f fate) holds(s automate.State, condition int) bool {
	x := uint64(f.seed)*0x9e3779b97f4a7c15 + uint64(s.Turn)*0xbf58476d1ce4e5b9 + uint64(condition+1)*0x94d049bb133111eb
	x ^= x >> 29
	return x*0xbf58476d1ce4e5b9>>60 > 9
}

// comes tells whether what an entry awaits comes, such as it is awaited.
func (f fate) comes(plan *automate.Plan, s automate.State) bool {
	for place := range plan.Conditions() {
		if c := plan.Condition(place); c.Awaited && c.Step == s.Step && !f.holds(s, place) {
			return false
		}
	}
	return f.holds(s, 1000)
}

// asked calls Next until it asks no more, as a worker does in one transaction.
func (f fate) asked(t *rapid.T, plan *automate.Plan, s automate.State, in automate.Input) (automate.State, []automate.Effect) {
	in.Answers = map[int]bool{}
	var effects []automate.Effect
	for range 100 {
		out := plan.Next(s, in)
		if again := plan.Next(s, in); !cmp.Equal(out, again) {
			t.Fatalf("asked twice, it says different things: %s", cmp.Diff(out, again))
		}
		effects = append(effects, out.Effects...)
		if len(out.Asks) == 0 {
			return out.State, effects
		}
		for _, place := range out.Asks {
			if _, known := in.Answers[place]; known {
				t.Fatalf("condition %d is asked twice", place)
			}
			in.Answers[place] = f.holds(out.State, place)
		}
		s = out.State
	}
	t.Fatal("it asks for ever")
	return s, nil
}

// most is how many turns are looked at of rules that go on for ever.
const most = 60

// straight runs an entry as it is meant to be: woken when it is due, once, by a clock that goes.
func (f fate) straight(t *rapid.T, plan *automate.Plan, in automate.Input) (path []automate.Effect, last automate.State) {
	s := plan.Begin(start)
	in.Now = start
	for range 1000 {
		var effects []automate.Effect
		s, effects = f.asked(t, plan, s, in)
		path = append(path, effects...)
		if s.Status != automate.Waiting || s.Turn > most {
			return path, s
		}
		in.Now, in.Came = s.WakeAt, nil
		if s.Awaits != "" && f.comes(plan, s) {
			in.Now = s.Since.Add(time.Second)
			in.Came = &automate.Came{Event: s.Awaits, At: in.Now}
		}
	}
	t.Fatal("it never waits and never ends")
	return nil, s
}

// disturbed runs the same entry in a world where workers die before they commit, clocks jump by years, and wakes come too early, too late, twice
// and for others.
func (f fate) disturbed(t *rapid.T, plan *automate.Plan, in automate.Input) (path []automate.Effect, last automate.State) {
	s := plan.Begin(start)
	var old []automate.Came
	for range 5000 {
		if s.Status != automate.Waiting && s.Status != automate.Active || s.Turn > most {
			return path, s
		}
		in.Now = start.Add(time.Duration(rapid.Int64Range(-50, 50).Draw(t, "months")) * 30 * 24 * time.Hour)
		in.Came = nil
		willCome := s.Awaits != "" && f.comes(plan, s)
		switch rapid.IntRange(1, 6).Draw(t, "wake") {
		case 1: // time passes
			if s.Status == automate.Waiting {
				in.Now = s.WakeAt
			}
		case 2: // too early
			if s.Status == automate.Waiting {
				in.Now = s.WakeAt.Add(-time.Microsecond)
			}
		case 3, 4: // what it waits for, or what others wait for
			in.Came = &automate.Came{Event: s.Awaits, At: s.Since.Add(time.Second)}
			if !willCome {
				in.Came.Event = "purchase"
			}
		case 5: // what came before it waited
			in.Came = &automate.Came{Event: "review", At: s.Since}
			if len(old) > 0 {
				in.Came = &old[rapid.IntRange(0, len(old)-1).Draw(t, "old")]
			}
			if s.Awaits != "" && in.Came.At.After(s.Since) {
				in.Came = nil // with this clock it is new
			}
		}
		if willCome && (in.Came == nil || in.Came.Event != s.Awaits || !in.Came.At.After(s.Since)) && !in.Now.Before(s.WakeAt) {
			in.Now = s.WakeAt.Add(-time.Second) // whoever handles events is not that late
		}
		next, effects := f.asked(t, plan, s, in)
		if rapid.IntRange(1, 3).Draw(t, "dies") == 1 {
			continue // before the commit: all of it is done again
		}
		if in.Came != nil {
			old = append(old, *in.Came)
		}
		path, s = append(path, effects...), next
	}
	t.Fatalf("it gets nowhere: %+v", s)
	return nil, s
}

// TestOnceWhateverHappens: an entry does what it is meant to do, in that order, nothing twice and nothing not, however it is disturbed.
func TestOnceWhateverHappens(t *testing.T) {
	total, loops := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		for range 5 {
			effects, goesOn := checkOnce(t, rt)
			total += effects
			if goesOn {
				loops++
			}
		}
	})
	if !t.Failed() {
		t.Logf("%d effects, %d rules that go on", total, loops)
		if total < 300 || loops < 5 {
			t.Errorf("%d effects and %d rules that go on tell little", total, loops)
		}
	}
}

// checkOnce draws a rule and an entry, and compares.
func checkOnce(t *testing.T, rt *rapid.T) (effects int, goesOn bool) {
	plan := drawRule(rt)
	f := fate{rapid.Int64().Draw(rt, "fate")}
	in := automate.Input{
		Contact:    rapid.IntRange(1, 5).Draw(rt, "contact") > 1,
		Answerable: rapid.IntRange(1, 5).Draw(rt, "answerable") > 1, Ticket: rapid.IntRange(1, 5).Draw(rt, "ticket") > 1, Seed: "rule/" + fmt.Sprint(f.seed), Zone: zone(t, "Europe/Madrid"),
	}
	if rapid.Bool().Draw(rt, "birthday") {
		in.Moments = map[string]time.Time{"birthday": time.Date(2027, 5, 1, 0, 0, 0, 0, time.UTC)}
	}
	want, end := f.straight(rt, plan, in)
	got, gotEnd := f.disturbed(rt, plan, in)
	seen := map[int64]bool{}
	for _, e := range got {
		if seen[e.Turn] {
			rt.Fatalf("turn %d has two effects", e.Turn)
		}
		seen[e.Turn] = true
	}
	both := min(end.Turn, gotEnd.Turn)
	upTo := func(list []automate.Effect) []automate.Effect {
		return slices.DeleteFunc(slices.Clone(list), func(e automate.Effect) bool { return e.Turn > both })
	}
	if diff := cmp.Diff(upTo(want), upTo(got)); diff != "" {
		rt.Fatalf("%+v\n-meant +done:\n%s", plan.Rule.Steps, diff)
	}
	if end.Turn <= most && (end.Status != gotEnd.Status || end.Step != gotEnd.Step || end.Turn != gotEnd.Turn) {
		rt.Fatalf("it ends as %+v, and undisturbed as %+v", gotEnd, end)
	}
	return len(got), end.Turn > most
}

// TestATurnIsAnIdentity: a step that is entered again in a loop has an effect of its own.
func TestATurnIsAnIdentity(t *testing.T) {
	plan := compile(t, steps(mail+`, {"name": "day", "wait": {"for": "1d"}, "next": "mail"}`))
	s, in := plan.Begin(start), automate.Input{Now: start, Contact: true}
	var turns []int64
	for range 3 {
		out := plan.Next(s, in)
		for _, e := range out.Effects {
			turns = append(turns, e.Turn)
		}
		s, in.Now = out.State, in.Now.Add(24*time.Hour)
	}
	if diff := cmp.Diff([]int64{1, 3, 5}, turns); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestExitIsAskedAtEveryWake(t *testing.T) {
	plan := compile(t, `{"on": {"event": "purchase"}, "exit": "contact.vip", "steps": [{"name": "day", "wait": {"for": "1d"}}, `+mail+`, {"name": "more", "wait": {"for": "1d"}}, `+tell+`]}`)
	exit := 0
	s := plan.Next(plan.Begin(start), automate.Input{Now: start, Contact: true}).State
	now := start.Add(24 * time.Hour)
	if out := plan.Next(s, automate.Input{Now: now.Add(-time.Second), Contact: true}); len(out.Asks) > 0 {
		t.Errorf("it is asked before the entry wakes: %+v", out)
	}
	out := plan.Next(s, automate.Input{Now: now, Contact: true})
	if diff := cmp.Diff([]int{exit}, out.Asks); diff != "" || !cmp.Equal(out.State, s) {
		t.Fatalf("-want +got:\n%s%+v", diff, out.State)
	}
	left := plan.Next(s, automate.Input{Now: now, Contact: true, Answers: map[int]bool{exit: true}})
	if left.State.Status != automate.Exited || left.State.Reason != "its exit condition holds" || len(left.Effects) > 0 {
		t.Errorf("%+v", left)
	}
	on := plan.Next(s, automate.Input{Now: now, Contact: true, Answers: map[int]bool{exit: false}})
	if on.State.Step != "more" || len(on.Effects) != 1 {
		t.Errorf("%+v", on)
	}
	// Nobody is not asked.
	if out := plan.Next(s, automate.Input{Now: now}); len(out.Asks) > 0 || out.State.Step != "more" || len(out.Effects) > 0 {
		t.Errorf("of nobody: %+v", out)
	}
}

func TestEventsThatAreAwaited(t *testing.T) {
	plan := compile(t, steps(`{"name": "w", "wait": {"event": "review", "for": "1d", "when": "event.stars > 3", "timeout": "tell"}}, `+mail+`, `+tell))
	s := plan.Next(plan.Begin(start), automate.Input{Now: start, Contact: true}).State
	if s.Awaits != "review" || !s.WakeAt.Equal(start.Add(24*time.Hour)) {
		t.Fatalf("%+v", s)
	}
	when, ok := 0, plan.Condition(0).Awaited
	if !ok {
		t.Fatal("the condition of the wait is not known as one")
	}
	for name, c := range map[string]struct {
		came    *automate.Came
		now     time.Duration
		answers map[int]bool
		asks    bool
		steps   []int // of effects
	}{
		"nothing":             {now: time.Hour},
		"another":             {came: &automate.Came{Event: "purchase", At: start.Add(time.Hour)}, now: time.Hour},
		"before it waited":    {came: &automate.Came{Event: "review", At: start}, now: time.Hour},
		"asked":               {came: &automate.Came{Event: "review", At: start.Add(time.Hour)}, now: time.Hour, asks: true},
		"such as is awaited":  {came: &automate.Came{Event: "review", At: start.Add(time.Hour)}, now: time.Hour, answers: map[int]bool{when: true}, steps: []int{1, 2}},
		"not such":            {came: &automate.Came{Event: "review", At: start.Add(time.Hour)}, now: time.Hour, answers: map[int]bool{when: false}},
		"not such, and late":  {came: &automate.Came{Event: "review", At: start.Add(time.Hour)}, now: 25 * time.Hour, answers: map[int]bool{when: false}, steps: []int{2}},
		"in time, told late":  {came: &automate.Came{Event: "review", At: start.Add(24 * time.Hour)}, now: 30 * time.Hour, answers: map[int]bool{when: true}, steps: []int{1, 2}},
		"too late":            {came: &automate.Came{Event: "review", At: start.Add(24*time.Hour + 1000)}, now: 30 * time.Hour, steps: []int{2}},
		"the time has passed": {now: 24 * time.Hour, steps: []int{2}},
	} {
		out := plan.Next(s, automate.Input{Now: start.Add(c.now), Contact: true, Came: c.came, Answers: c.answers})
		var got []int
		for _, e := range out.Effects {
			got = append(got, e.Step)
		}
		if diff := cmp.Diff(c.steps, got); diff != "" || (len(out.Asks) > 0) != c.asks {
			t.Errorf("%s: -want +got:\n%s%+v", name, diff, out)
		}
		if len(c.steps) == 0 && !cmp.Equal(out.State, s) {
			t.Errorf("%s: it does not wait on: %+v", name, out.State)
		}
	}
}

// TestEffectsComeBeforeQuestions: a condition sees what the steps before it have done.
func TestEffectsComeBeforeQuestions(t *testing.T) {
	plan := compile(t, steps(`{"name": "t", "tag": "x"}, {"name": "i", "if": {"condition": "\"x\" in contact.tags", "then": "tell", "else": "mail"}}, `+mail+`, `+tell))
	out := plan.Next(plan.Begin(start), automate.Input{Now: start, Contact: true})
	if len(out.Effects) != 1 || len(out.Asks) != 1 || out.State.Step != "i" || out.State.Status != automate.Active {
		t.Fatalf("%+v", out)
	}
	on := plan.Next(out.State, automate.Input{Now: start, Contact: true, Answers: map[int]bool{out.Asks[0]: true}})
	if len(on.Effects) != 1 || on.Effects[0].Step != 3 || on.State.Status != automate.Ended {
		t.Errorf("%+v", on)
	}
}

func TestSplitsAreFair(t *testing.T) {
	plan := compile(t, steps(`{"name": "s", "split": [{"weight": 1, "next": "mail"}, {"weight": 3, "next": "tell"}]}, {"name": "mail", "exit": {}}, {"name": "tell", "exit": {}}`))
	counts := map[string]int{}
	for i := range 4000 {
		in := automate.Input{Now: start, Seed: fmt.Sprintf("rule/%d", i)}
		out := plan.Next(plan.Begin(start), in)
		in.Now = start.Add(time.Hour)
		if again := plan.Next(plan.Begin(in.Now), in); again.State.Step != out.State.Step {
			t.Fatalf("entry %d draws anew", i)
		}
		counts[out.State.Step]++
	}
	if counts["mail"] < 880 || counts["mail"] > 1120 {
		t.Errorf("a quarter of 4000 is %d", counts["mail"])
	}
}

// TestStuckEntries: one that is tried again has the same turn, and so the same effect.
func TestStuckEntries(t *testing.T) {
	plan := compile(t, steps(`{"name": "t", "tag": "x"}, `+mail+`, `+tell))
	out := plan.Next(plan.Begin(start), automate.Input{Now: start, Contact: true})
	s := automate.State{Step: "mail", Status: automate.Stuck, Turn: out.Effects[1].Turn, Since: start, Reason: "the template fails"}
	if again := plan.Next(s, automate.Input{Now: start.AddDate(1, 0, 0), Contact: true}); !cmp.Equal(again.State, s) || len(again.Effects) > 0 {
		t.Errorf("a stuck entry goes on: %+v", again)
	}
	s.Status = automate.Active
	again := plan.Next(s, automate.Input{Now: start, Contact: true})
	if diff := cmp.Diff(out.Effects[1:], again.Effects); diff != "" {
		t.Errorf("tried again, it does something else: %s", diff)
	}
	for name, s := range map[string]automate.State{
		"no such step": {Step: "gone", Status: automate.Waiting, Turn: 3}, "active at none": {Step: "\x00", Status: automate.Active}, "no wait": {Step: "t", Status: automate.Waiting},
	} {
		if out := plan.Next(s, automate.Input{Now: start}); out.State.Status != automate.Stuck || out.State.Reason == "" || len(out.Effects) > 0 {
			t.Errorf("%s: %+v", name, out)
		}
	}
	for _, status := range []automate.Status{automate.Ended, automate.Exited, automate.Suspended, automate.Stuck, "Odd"} {
		s := automate.State{Step: "t", Status: status, Turn: 1}
		if out := plan.Next(s, automate.Input{Now: start, Contact: true}); !cmp.Equal(out, automate.Outcome{State: s}) {
			t.Errorf("%s: %+v", status, out)
		}
	}
}

func TestMove(t *testing.T) {
	old := compile(t, steps(`{"name": "w", "wait": {"for": "30d"}}, `+mail))
	s := old.Next(old.Begin(start), automate.Input{Now: start, Contact: true}).State
	later := start.AddDate(0, 0, 2)
	for name, c := range map[string]struct {
		steps string
		moved bool
		want  automate.State
	}{
		"the same":     {`{"name": "w", "wait": {"for": "30d"}}, ` + mail, true, s},
		"shorter":      {`{"name": "w", "wait": {"for": "1d"}}, ` + mail, true, automate.State{Step: "w", Status: automate.Waiting, Turn: 1, Since: start, WakeAt: start.AddDate(0, 0, 1)}},
		"an event":     {`{"name": "w", "wait": {"for": "1d", "event": "review"}}, ` + mail, true, automate.State{Step: "w", Status: automate.Waiting, Turn: 1, Since: start, WakeAt: start.AddDate(0, 0, 1), Awaits: "review"}},
		"gone":         {mail, false, s},
		"no wait":      {`{"name": "w", "tag": "x"}, ` + mail, true, automate.State{Step: "w", Status: automate.Active, Turn: 1, Since: start}},
		"an unknown":   {`{"name": "w", "wait": {"until": {"attribute": "birthday"}}}, ` + mail, true, automate.State{Step: "w", Status: automate.Active, Turn: 1, Since: start}},
		"other steps":  {`{"name": "a", "tag": "x"}, {"name": "w", "wait": {"for": "30d"}}, ` + mail, true, s},
		"a time ahead": {`{"name": "w", "wait": {"until": {"at": "2027-05-01T00:00:00", "timeZone": "UTC"}}}, ` + mail, true, automate.State{Step: "w", Status: automate.Waiting, Turn: 1, Since: start, WakeAt: at(t, "2027-05-01T00:00:00Z")}},
	} {
		got, moved := compile(t, steps(c.steps)).Move(s, automate.Input{Now: later, Contact: true})
		if diff := cmp.Diff(c.want, got); diff != "" || moved != c.moved {
			t.Errorf("%s: moved %v, -want +got:\n%s", name, moved, diff)
		}
	}
	s.Status = automate.Exited
	if _, moved := old.Move(s, automate.Input{}); moved {
		t.Error("who is over moves")
	}
}
