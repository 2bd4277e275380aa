package sink

import (
	"strings"
	"sync"
	"time"
)

// Stage is a moment of a session at which a rule can apply.
type Stage string

// The stages. Body is reached when the first line of a message has been read, and Dot with its last.
const (
	Greeting Stage = "greeting"
	Mail     Stage = "mail"
	Rcpt     Stage = "rcpt"
	Data     Stage = "data"
	Body     Stage = "body"
	Dot      Stage = "dot"
)

// Script is what a sink does other than to take every message at once.
type Script struct {
	// Pace is how long the sink takes for each message of a connection.
	Pace time.Duration `json:"pace,omitempty"`
	// Rules are tried in their order; the first one that applies is followed.
	Rules []Rule `json:"rules,omitempty"`
}

// Rule is something that a sink does at a stage, to some messages.
type Rule struct {
	Stage Stage `json:"stage"`
	// Every picks recipients whose number leaves Rest when it is divided by Every; 0 picks all. Where no recipient is known yet,
	// the sink's own count of such moments is taken.
	Every int `json:"every,omitempty"`
	Rest  int `json:"rest,omitempty"`
	// Times is how often it applies to one recipient, and Most how often to all of them; 0 for always.
	Times int `json:"times,omitempty"`
	Most  int `json:"most,omitempty"`

	// Reply replaces the answer. Close ends the connection, after Reply where there is one. Hang says nothing more and takes
	// nothing more until the other side gives up.
	Reply string `json:"reply,omitempty"`
	Close bool   `json:"close,omitempty"`
	Hang  bool   `json:"hang,omitempty"`
}

// rules are a script in force, with what was done by it.
type rules struct {
	script Script

	mu      sync.Mutex
	moments map[Stage]int
	done    []int            // by rule
	perTo   []map[string]int // by rule and recipient
}

func newRules(s Script) *rules {
	r := &rules{script: s, moments: map[Stage]int{}, done: make([]int, len(s.Rules)), perTo: make([]map[string]int, len(s.Rules))}
	for i := range r.perTo {
		r.perTo[i] = map[string]int{}
	}
	return r
}

// at decides about a moment; nil agrees.
func (r *rules) at(stage Stage, to string) *Rule {
	if len(r.script.Rules) == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	number := r.moments[stage]
	r.moments[stage]++
	if to != "" {
		number = Number(to)
	}
	for i := range r.script.Rules {
		rule := &r.script.Rules[i]
		switch {
		case rule.Stage != stage,
			rule.Every > 0 && number%rule.Every != rule.Rest,
			rule.Most > 0 && r.done[i] >= rule.Most,
			rule.Times > 0 && r.perTo[i][to] >= rule.Times:
			continue
		}
		r.done[i]++
		r.perTo[i][to]++
		return rule
	}
	return nil
}

// Number is the number of a recipient: that of the digits before the @ of an address such as c12@people.example, or of any other
// text with one number in it. It is 0 where there are none.
func Number(text string) int {
	text, _, _ = strings.Cut(text, "@")
	n := 0
	for i := range len(text) {
		if c := text[i]; c >= '0' && c <= '9' {
			n = n*10 + int(c-'0')
		}
	}
	return n
}
