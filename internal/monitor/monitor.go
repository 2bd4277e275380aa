// Package monitor tells when negative mentions burst: it learns what is usual at each hour of weekdays and weekends, and opens
// an incident when there are more than that, more than the talk as a whole explains, and by several people. It is statistics
// alone: counts go in, and what opened, changed or closed comes out as values that a caller writes down.
//
// Two tests look for a burst. One asks how likely so many negative mentions are within a window that slides in steps of five
// minutes (the tail of a negative binomial distribution), and sees large bursts soon. The other adds up the evidence that there
// are twice as many as usual (CUSUM, after Page 1954, of the likelihood ratio of two negative binomials), and sees small ones
// that last. Both know how much of the usual noise is noise of all the talk, which other mentions show at the same time.
package monitor

import (
	"errors"
	"fmt"
	"time"
)

// Count is what was mentioned in one step of time.
type Count struct {
	Start     time.Time
	Mentions  int // all, the negative ones among them
	Negatives int
	Authors   int // how many people wrote them, the negative ones if that is known
}

// Config says how a monitor watches. The zero value is the one that was calibrated.
type Config struct {
	// Step is how long a count is: 5 minutes unless told, and at most an hour, of which it is a part.
	Step time.Duration
	// Location is whose hours and weekends are the usual ones: UTC unless told.
	Location *time.Location
	// MinNegatives and MinAuthors are how many negative mentions, and authors within a step that has more of them than usual, a burst
	// has at least: 5 and 3.
	MinNegatives, MinAuthors int
	// CoolDown is for how long nothing has to be unusual before an incident closes: 6 hours.
	CoolDown time.Duration
	// Lasting is after how long an incident closes because it is what is usual now: 72 hours.
	Lasting time.Duration
}

// The bounds of counts and steps.
const (
	defaultStep = 5 * time.Minute
	// MaxCount is more than any step has. A count over it is a mistake.
	MaxCount = 10_000_000
	// history is how far back the usual is learned.
	history = 28 * 24 * time.Hour
	// warmUp is how much of it there has to be before anything is unusual.
	warmUp = 7 * 24 * time.Hour
)

func (c Config) withDefaults() (Config, error) {
	if c.Step == 0 {
		c.Step = defaultStep
	}
	if c.Step < defaultStep || c.Step > time.Hour || time.Hour%c.Step != 0 {
		return c, fmt.Errorf("a step of %v: take a part of an hour, from 5 minutes to an hour", c.Step)
	}
	if c.Location == nil {
		c.Location = time.UTC
	}
	for _, d := range []struct {
		value *int
		usual int
	}{{&c.MinNegatives, 5}, {&c.MinAuthors, 3}} {
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	if c.CoolDown == 0 {
		c.CoolDown = 6 * time.Hour
	}
	if c.Lasting == 0 {
		c.Lasting = 72 * time.Hour
	}
	if c.MinNegatives < 0 || c.MinAuthors < 0 || c.CoolDown < 0 || c.Lasting < c.CoolDown {
		return c, errors.New("bounds of a burst and durations are positive, and an incident lasts longer than its cool-down")
	}
	return c, nil
}

// Check tells what is wrong with a count.
func (c Count) Check() error {
	switch {
	case c.Mentions < 0 || c.Negatives < 0 || c.Authors < 0:
		return errors.New("a count is less than 0")
	case c.Mentions > MaxCount:
		return fmt.Errorf("%d mentions: more than %d are a mistake", c.Mentions, MaxCount)
	case c.Negatives > c.Mentions:
		return fmt.Errorf("%d negative ones of %d mentions: they are counted among the mentions", c.Negatives, c.Mentions)
	case c.Authors > c.Mentions:
		return fmt.Errorf("%d authors of %d mentions: each of them wrote at least one", c.Authors, c.Mentions)
	}
	return nil
}

// Rule is what opened an incident.
type Rule string

// The rules.
const (
	// Burst is so many within a short window that it is not chance.
	Burst Rule = "Burst"
	// Sustained is more than usual for so long that it is not chance.
	Sustained Rule = "Sustained"
)

// Ending is why an incident is over.
type Ending string

// The endings.
const (
	// Calmed is that nothing was unusual for the cool-down, or that nobody could tell for as long as an incident may last.
	Calmed Ending = "Calmed"
	// BecameUsual is that it went on for so long that it is what is usual now. It is not left out of what is learned.
	BecameUsual Ending = "BecameUsual"
	// Unwatched is that the topic is not declared any more.
	Unwatched Ending = "Unwatched"
)

// Incident is a burst of negative mentions.
type Incident struct {
	Began       time.Time `json:"began"`  // since when there were more, as far as can be told
	Opened      time.Time `json:"opened"` // when that was clear
	LastUnusual time.Time `json:"lastUnusual"`
	Closed      time.Time `json:"closed,omitzero"`
	Ending      Ending    `json:"ending,omitempty"`
	Rule        Rule      `json:"rule"`
	Evidence    Evidence  `json:"evidence"` // what opened it
	Peak        int       `json:"peak"`     // the most negative mentions within an hour
	PeakUsual   float64   `json:"peakUsual"`
}

// Evidence is what was counted in the time that a test looked at.
type Evidence struct {
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
	Mentions   int       `json:"mentions"`
	Negatives  int       `json:"negatives"`
	Usual      float64   `json:"usual"` // negative mentions, while so much is said otherwise
	Authors    int       `json:"authors"`
	Share      float64   `json:"share"` // of negatives
	UsualShare float64   `json:"usualShare"`
	// Chance is how likely so many are by chance (of a Burst), Sum the evidence against chance (of a Sustained).
	Chance float64 `json:"chance,omitempty"`
	Sum    float64 `json:"sum,omitempty"`
}

// Kind is what happened to an incident.
type Kind string

// What happens to an incident.
const (
	Opened  Kind = "Opened"
	Updated Kind = "Updated"
	Closed  Kind = "Closed"
)

// Change is something that happened to an incident at a moment. Incident is a copy.
type Change struct {
	Kind     Kind      `json:"kind"`
	At       time.Time `json:"at"`
	Incident Incident  `json:"incident"`
}

// Span is a time whose counts are no example of what is usual.
type Span struct{ From, To time.Time }
