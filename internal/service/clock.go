package service

import "time"

// Spell is how long something took: in the hours in which the team works, and by the calendar.
type Spell struct {
	Business time.Duration `json:"business,omitempty"`
	Calendar time.Duration `json:"calendar,omitempty"`
}

func (s Spell) plus(o Spell) Spell {
	return Spell{Business: s.Business + o.Business, Calendar: s.Calendar + o.Calendar}
}

// Clock measures how long something takes. It can be paused and go on. The zero value has not begun.
//
// What it has measured stays as it was reckoned then, whatever becomes of the hours; since it last began, it is reckoned in the hours of now.
type Clock struct {
	Since time.Time `json:"since,omitzero"` // when it last began; the zero time while it stands still
	Spent Spell     `json:"spent,omitzero"` // before
}

// Running tells whether it runs.
func (c Clock) Running() bool { return !c.Since.IsZero() }

// Start lets it run from a moment on, where it stands still.
func (c Clock) Start(at time.Time) Clock {
	if !c.Running() {
		c.Since = at
	}
	return c
}

// Stop lets it stand still from a moment on.
func (c Clock) Stop(at time.Time, hours Calendar) Clock {
	return Clock{Spent: c.Elapsed(at, hours)}
}

// Elapsed is what it shows at a moment.
func (c Clock) Elapsed(at time.Time, hours Calendar) Spell {
	if !c.Running() || !at.After(c.Since) {
		return c.Spent
	}
	return c.Spent.plus(Spell{Business: hours.Elapsed(c.Since, at), Calendar: at.Sub(c.Since)})
}

// Due is when it will have measured so much working time; false while it stands still. Where it had already when it last began, that is then.
func (c Clock) Due(work time.Duration, hours Calendar) (time.Time, bool) {
	if !c.Running() {
		return time.Time{}, false
	}
	return hours.Due(c.Since, work-c.Spent.Business), true
}
