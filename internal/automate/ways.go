package automate

import (
	"fmt"
	"slices"
	"strings"
)

// ways lists where a step may lead, in the order of its branches; len(steps) is the end.
func (p *Plan) ways(place int) []int {
	s := p.Rule.Steps[place]
	switch {
	case s.Exit != nil:
		return nil
	case s.If != nil:
		return []int{p.leads(place, s.If.Then), p.leads(place, s.If.Else)}
	case s.Split != nil:
		var list []int
		for _, b := range s.Split {
			list = append(list, p.places[b.Next])
		}
		return list
	case s.Wait != nil && s.Wait.Timeout != "":
		return []int{p.follows(place), p.places[s.Wait.Timeout]}
	}
	return []int{p.follows(place)}
}

// breaks tells whether a wait surely takes time, however often it is come back to.
func (w *Wait) breaks() bool {
	if w == nil {
		return false
	}
	if w.Until != nil {
		return w.Until.At == "" && w.Until.Attribute == ""
	}
	return w.Event != "" || w.For >= minLoop
}

// ways checks that every step can be reached, and that nothing turns without waiting.
func (c *checker) ways() {
	steps := c.plan.Rule.Steps
	reached := reach(0, func(place int) []int { return inside(c.plan.ways(place), len(steps)) })
	for i, s := range steps {
		if !reached[i] {
			c.wrong(location{s.Name, ""}, "no step leads here: name it in the next, then, else or onTimeout of another, or remove it")
		}
	}
	at := func(place int) []int {
		if steps[place].Wait.breaks() {
			return nil
		}
		return inside(c.plan.ways(place), len(steps))
	}
	told := map[int]bool{}
	for i := range steps {
		loop := shortestLoop(i, at)
		if loop == nil || slices.ContainsFunc(loop, func(place int) bool { return told[place] }) {
			continue
		}
		var names []string
		for _, place := range loop {
			told[place] = true
			names = append(names, steps[place].Name)
		}
		c.wrong(location{steps[i].Name, ""}, "steps lead round in a circle without a wait: %s: put a wait into it, for %s at least, until a time of day, "+
			"or for an event", strings.Join(names, " → "), minLoop)
	}
}

// inside leaves out the end.
func inside(places []int, end int) []int {
	return slices.DeleteFunc(places, func(place int) bool { return place >= end })
}

// reach are the places to which ways lead from one, itself included.
func reach(from int, ways func(int) []int) map[int]bool {
	reached := map[int]bool{from: true}
	for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range ways(queue[0]) {
			if !reached[next] {
				reached[next] = true
				queue = append(queue, next)
			}
		}
	}
	return reached
}

// shortestLoop finds a way from a node back to itself, one of the shortest: its nodes in order, the first one again at the end. It is nil where
// there is none.
func shortestLoop[N comparable](from N, ways func(N) []N) []N {
	before := map[N]N{}
	for queue := []N{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range ways(queue[0]) {
			if next == from {
				loop := []N{from}
				for at := queue[0]; at != from; at = before[at] {
					loop = append(loop, at)
				}
				loop = append(loop, from)
				slices.Reverse(loop)
				return loop
			}
			if _, seen := before[next]; !seen {
				before[next] = queue[0]
				queue = append(queue, next)
			}
		}
	}
	return nil
}

// bare is a plan of the ways of a rule, without expressions.
func bare(rule Rule) *Plan {
	p := &Plan{Rule: rule, places: map[string]int{}}
	for i, s := range rule.Steps {
		if _, taken := p.places[s.Name]; !taken {
			p.places[s.Name] = i
		}
	}
	return p
}

// Starts lists, sorted, the rules that a rule starts before it has waited. It answers also for a rule that is not right.
func Starts(rule Rule) []string {
	p := bare(rule)
	if len(rule.Steps) == 0 {
		return nil
	}
	reached := reach(0, func(place int) []int {
		if rule.Steps[place].Wait.breaks() {
			return nil
		}
		return inside(p.ways(place), len(rule.Steps))
	})
	var names []string
	for place := range reached {
		if start := rule.Steps[place].Start; start != nil {
			names = append(names, start.Rule)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Cycle finds rules that start each other in a circle without waiting, from one rule back to it, one of the shortest: their names in order, the
// first one again at the end. It is nil where there is none. starts gives what Starts says of each.
func Cycle(name string, starts func(rule string) []string) []string {
	return shortestLoop(name, starts)
}

// starts checks that the rules which this one starts do not start it again.
func (c *checker) starts() {
	if c.known.Name == "" {
		return
	}
	own := Starts(c.plan.Rule)
	cycle := Cycle(c.known.Name, func(rule string) []string {
		if rule == c.known.Name {
			return own
		}
		return c.known.Starts[rule]
	})
	if cycle == nil {
		return
	}
	for _, s := range c.plan.Rule.Steps {
		if s.Start != nil && s.Start.Rule == cycle[1] {
			c.wrong(location{s.Name, "start.ruleRef"}, "%s", cycleMessage(cycle))
			return
		}
	}
}

func cycleMessage(cycle []string) string {
	return fmt.Sprintf("rules start each other in a circle without a wait: %s: put a wait, for %s at least, before the start in one of them",
		strings.Join(cycle, " → "), minLoop)
}
