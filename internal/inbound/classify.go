package inbound

import (
	"math"
	"regexp"
	"strings"
	"time"
)

// enhanced is an enhanced status code (RFC 3463, section 2).
var enhanced = regexp.MustCompile(`\b([245])\.(\d{1,3})\.(\d{1,3})\b`)

// classify tells whether an address is to blame for a bounce. Only what says something of the mailbox itself is Hard: a
// refusal for the sender's reputation, the content or the size says nothing about the address, whichever its first digit.
func classify(status, diagnostic string) Class {
	code := enhanced.FindStringSubmatch(status)
	if code == nil || strings.HasSuffix(code[0], ".0.0") {
		if told := enhanced.FindStringSubmatch(diagnostic); told != nil {
			code = told
		}
	}
	if code == nil || code[1] != "5" {
		return Soft
	}
	switch subject := code[2]; subject {
	case "1": // the address: no such mailbox, no such domain, no valid syntax, moved, null MX (RFC 7505)
		switch code[3] {
		case "7", "8": // the sender's address
			return Soft
		}
		return Hard
	case "2": // the mailbox: disabled is for good, full is not
		if code[3] == "1" {
			return Hard
		}
	case "0":
		if unknownMailbox.MatchString(diagnostic) {
			return Hard
		}
	}
	return Soft
}

// unknownMailbox is what servers without enhanced codes say of a mailbox that is not there.
var unknownMailbox = regexp.MustCompile(`(?i)\b(user|recipient|mailbox|account|address)\b.{0,40}` +
	`\b(unknown|not found|does(n't| not) exist|no longer (exists|available))\b|` +
	`\b(unknown|no such|invalid) (user|recipient|mailbox|account)\b`)

// What soft bounces of an address add up to. Each counts one and loses half of its weight in SoftHalfLife; from
// SoftLimit on the address rests for SoftRest. It is never for ever: a mailbox that was full is emptied one day.
const (
	SoftHalfLife = 14 * 24 * time.Hour
	SoftLimit    = 2.5
	SoftRest     = 30 * 24 * time.Hour
)

// SoftScore is the weight of an address's soft bounces at a time.
type SoftScore struct {
	Weight float64
	At     time.Time
}

// Next adds a soft bounce, and tells until when the address rests for it; the zero time where it does not. A bounce that
// is told of late, or by a clock that is wrong, counts as of the last one.
func (s SoftScore) Next(now time.Time) (next SoftScore, restsUntil time.Time) {
	weight := s.Weight
	if elapsed := now.Sub(s.At); weight > 0 && elapsed > 0 {
		weight *= math.Exp2(-float64(elapsed) / float64(SoftHalfLife))
	} else if weight > 0 {
		now = s.At
	}
	next = SoftScore{Weight: weight + 1, At: now}
	if next.Weight < SoftLimit {
		return next, time.Time{}
	}
	// Counted anew after the rest: what made it rest is not held against it twice.
	return SoftScore{At: now}, now.Add(SoftRest)
}
