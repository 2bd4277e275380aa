package service

import (
	"cmp"
	"time"
)

// Claim says that an agent is answering a conversation.
type Claim struct {
	Agent string    `json:"agent,omitempty"`
	Until time.Time `json:"until,omitzero"` // then it counts no more
}

// The times of claims.
const (
	// DefaultClaim is how long a claim holds that says nothing else. Who writes renews it.
	DefaultClaim = 2 * time.Minute
	// MaxClaim is the longest.
	MaxClaim = 15 * time.Minute
)

// Holds tells whether the claim counts at a moment.
func (c Claim) Holds(now time.Time) bool { return c.Agent != "" && now.Before(c.Until) }

// Desk keeps two from answering the same conversation. Its version counts the messages of both sides: who answers names the version that they have
// read.
type Desk struct {
	Version int64 `json:"version"`
	// In and Out are the versions at which the last message of the customer came and the last one of ours was accepted; 0 for none.
	In    int64 `json:"in,omitempty"`
	Out   int64 `json:"out,omitempty"`
	Claim Claim `json:"claim,omitzero"`
	// LastKey names the attempt of the answer that was accepted last.
	LastKey string `json:"lastKey,omitempty"`
}

// Attempt is an agent's wish to answer.
type Attempt struct {
	Agent string
	Seen  int64 // the version that they have read
	// Key names the attempt: one that is made again, because nobody knows what came of it, has the same one. "" is never the same.
	Key string
}

// Take claims a conversation for an agent, or renews their claim. length 0 is DefaultClaim; over takes it from another one.
func (d Desk) Take(agent string, length time.Duration, over bool, now time.Time) (Desk, error) {
	if agent == "" {
		return d, refuse(ReasonUnknown, "a claim needs an agent")
	}
	if err := d.taken(agent, now); err != nil && !over {
		return d, err
	}
	length = min(cmp.Or(max(length, 0), DefaultClaim), MaxClaim)
	d.Claim = Claim{Agent: agent, Until: now.Add(length)}
	return d, nil
}

// Release gives an agent's claim back. That of another stays.
func (d Desk) Release(agent string) Desk {
	if d.Claim.Agent == agent {
		d.Claim = Claim{}
	}
	return d
}

// Receive counts a message of the customer. A claim stays: its agent is told when they answer.
func (d Desk) Receive() Desk {
	d.Version++
	d.In = d.Version
	return d
}

// Answer accepts an answer or refuses it: while another agent's claim holds, and where messages have come or left that the agent has not read. An
// accepted one counts as a message, and ends the agent's claim. again tells that the same attempt was accepted just before: nothing is to be sent.
func (d Desk) Answer(a Attempt, now time.Time) (next Desk, again bool, err error) {
	if a.Key != "" && a.Key == d.LastKey {
		return d, true, nil
	}
	if err := d.taken(a.Agent, now); err != nil {
		return d, false, err
	}
	switch {
	case a.Seen < 0 || a.Seen > d.Version:
		return d, false, refuse(ReasonUnknown, "there is no version %d of the conversation: read it again", a.Seen)
	case d.Out > a.Seen:
		return d, false, refuse(ReasonAnswered, "an answer has left since you read the conversation: read it again before you answer")
	case d.In > a.Seen:
		return d, false, refuse(ReasonWritten, "the customer has written since you read the conversation: read it again before you answer")
	}
	d.Version++
	d.Out, d.Claim, d.LastKey = d.Version, Claim{}, a.Key
	return d, false, nil
}

// taken refuses who comes while another agent's claim holds.
func (d Desk) taken(agent string, now time.Time) error {
	if !d.Claim.Holds(now) || d.Claim.Agent == agent {
		return nil
	}
	r := refuse(ReasonClaimed, "another agent is answering the conversation: wait until they have, or take it over")
	r.Holder, r.Until = d.Claim.Agent, d.Claim.Until
	return r
}
