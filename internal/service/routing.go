package service

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// RoutingMode is how it is found out whose ticket a new one is.
type RoutingMode string

// The modes of routing.
const (
	RouteByHand     RoutingMode = "Manual"     // agents take what they want
	RouteRoundRobin RoutingMode = "RoundRobin" // they take turns
	RouteByLoad     RoutingMode = "Load"       // who has fewest open tickets
)

// Routing says whose ticket a new one is. It is stored as JSON.
type Routing struct {
	Mode RoutingMode `json:"mode,omitempty"` // "": Manual
	// Capacity is how many tickets an agent may have that are not solved, where their own capacity is not known; 0: as many as come.
	Capacity int `json:"capacity,omitempty"`
	// StickyFor is how long after an agent last answered a customer the customer's tickets go to that agent first; "": they do not.
	StickyFor string `json:"stickyFor,omitempty"`
}

// Agent is somebody who may be given tickets.
type Agent struct {
	ID string
	// Away tells that they are to be given none now.
	Away     bool
	Capacity int       // how many tickets they may have that are not solved; 0: what the queue says
	Open     int       // how many they have
	GivenAt  time.Time // when they were last given one by routing; the zero time for never
}

// Acquaintance is an agent who has answered a customer.
type Acquaintance struct {
	Agent string
	At    time.Time // the last time
}

// Roster gives tickets to agents, one after the other.
type Roster struct {
	Mode      RoutingMode
	Capacity  int
	StickyFor time.Duration
	// Last is who had the last turn. It need not be there any more.
	Last   string
	Agents []Agent
}

func (r Routing) compile() (Roster, error) {
	var wrong []error
	roster := Roster{Mode: cmp.Or(r.Mode, RouteByHand), Capacity: r.Capacity}
	if !slices.Contains([]RoutingMode{RouteByHand, RouteRoundRobin, RouteByLoad}, roster.Mode) {
		wrong = append(wrong, fmt.Errorf("routing.mode: %q is no way of routing: name Manual, RoundRobin or Load", r.Mode))
	}
	if r.Capacity < 0 {
		wrong = append(wrong, errors.New("routing.capacity: must not be negative; leave it out for as many as come"))
	}
	if r.StickyFor != "" {
		var err error
		if roster.StickyFor, err = campaign.ParseDuration(r.StickyFor); err != nil {
			wrong = append(wrong, fmt.Errorf("routing.stickyFor: %w", err))
		}
	}
	return roster, errors.Join(wrong...)
}

// Give says whose ticket one is that came at a moment, and counts it as theirs. knew are the agents who have answered the customer. false: nobody
// can take it, and it stays in the queue.
//
// Whose turn it is in a round is a matter of ids: after the last one comes the next in their order, and after all of them the first. So whoever
// is there all the time is given as many as the others who are, give or take one, however many come and go. A ticket that goes to who knew the
// customer is nobody's turn.
func (r *Roster) Give(knew []Acquaintance, at time.Time) (string, bool) {
	if r.Mode == RouteByHand || r.Mode == "" {
		return "", false
	}
	agent := r.acquainted(knew, at)
	if agent == nil {
		agent = r.turn()
	}
	if agent == nil {
		return "", false
	}
	agent.Open++
	agent.GivenAt = later(agent.GivenAt, at)
	return agent.ID, true
}

// acquainted is who answered the customer last, of those who can take a ticket.
func (r *Roster) acquainted(knew []Acquaintance, at time.Time) *Agent {
	var best *Agent
	var when time.Time
	for i := range r.Agents {
		a := &r.Agents[i]
		for _, k := range knew {
			if k.Agent != a.ID || !r.free(a) || r.StickyFor == 0 || at.Sub(k.At) > r.StickyFor {
				continue
			}
			if best == nil || k.At.After(when) || k.At.Equal(when) && a.ID < best.ID {
				best, when = a, k.At
			}
		}
	}
	return best
}

func (r *Roster) turn() *Agent {
	var best *Agent
	for i := range r.Agents {
		if a := &r.Agents[i]; r.free(a) && (best == nil || r.sooner(a, best)) {
			best = a
		}
	}
	if best != nil && r.Mode == RouteRoundRobin {
		r.Last = best.ID
	}
	return best
}

// sooner tells whether one agent is to be given a ticket rather than another.
func (r *Roster) sooner(a, b *Agent) bool {
	if r.Mode == RouteRoundRobin {
		if after := a.ID > r.Last; after != (b.ID > r.Last) {
			return after
		}
		return a.ID < b.ID
	}
	return cmp.Or(cmp.Compare(a.Open, b.Open), a.GivenAt.Compare(b.GivenAt), cmp.Compare(a.ID, b.ID)) < 0
}

func (r *Roster) free(a *Agent) bool {
	capacity := cmp.Or(a.Capacity, r.Capacity)
	return !a.Away && (capacity <= 0 || a.Open < capacity)
}
