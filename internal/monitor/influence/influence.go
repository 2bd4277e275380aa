// Package influence tells who moves a conversation: whose words about a topic others take up. It works on the graph of who named, answered
// and spread whom, each time weighted by what it was and by how long ago it was. An edge leads from who took something up to whom it was
// taken from.
//
// Counts of followers alone mislead (Cha et al., 2010, Measuring User Influence in Twitter): the score is the mean of five places among all
// others, which are shown with it. Groups that take up one another alone and accounts that are new weigh less.
package influence

import (
	"math"
	"slices"
	"time"
)

// Bounds and weights.
const (
	// HalfLife is after how long an interaction weighs half.
	HalfLife = 30 * 24 * time.Hour
	// Window is how old an interaction may be: what is older weighs less than a sixtieth.
	Window = 6 * HalfLife
	// Young is the age at which an account counts in full. One that was made today weighs YoungWeight.
	Young       = 30 * 24 * time.Hour
	YoungWeight = 0.1
	// RingWeight is what interactions within a ring weigh.
	RingWeight = 0.1
	// damping is of PageRank (Page et al. 1999): how likely who wanders over the graph goes on.
	damping = 0.85
)

// Kind is how somebody takes up another.
type Kind uint8

// The kinds of interactions.
const (
	Mention Kind = iota
	Reply
	Spread // a repost or a quote
)

// Weight is what an interaction of a kind weighs that many hours ago: twice as old, a quarter of it a month later.
func (k Kind) Weight(age time.Duration) float64 {
	weights := [...]float64{Mention: 1, Reply: 2, Spread: 3}
	return weights[k] * math.Exp2(-max(age, 0).Hours()/HalfLife.Hours())
}

// Edge is how much From took up To, all interactions added up at one moment.
type Edge struct {
	From, To int64
	Weight   float64
}

// Author is somebody of the graph.
type Author struct {
	ID int64
	// Followers is nil, and Registered zero, where the network does not say.
	Followers  *int64
	Registered time.Time
	// Posts is how much they wrote about the topic.
	Posts int64
	// Months is in how many calendar months, and Sentiment the median polarity with which.
	Months    int
	Sentiment float64
	// Staff says that it is one of our own accounts.
	Staff bool
	// Brought is how many people first wrote about the topic soon after talking with them: see Brought.
	Brought int
}

// Parts are what a score is made of: each is a place among all authors, from 0 to 1, and nil where nothing is known.
type Parts struct {
	PageRank   *float64 `json:"pageRank"`
	Amplifiers *float64 `json:"amplifiers"`
	Core       *float64 `json:"core"`
	Followers  *float64 `json:"followers"`
	Share      *float64 `json:"share"`
}

// Role is what somebody is to a brand.
type Role string

// The roles.
const (
	Ambassador Role = "Ambassador" // influential, speaks well of it, and goes on for months
	Detractor  Role = "Detractor"  // the mirror
	Leader     Role = "Leader"     // people begin to write about it after talking with them
)

// Score is how influential somebody is.
type Score struct {
	Author int64   `json:"-"`
	Score  float64 `json:"score"` // from 0 to 1: the mean of the parts, times Damping
	Parts  Parts   `json:"parts"`
	// Amplifiers is how many people took them up, Core the largest k for which they are in the k-core: everybody there is linked with k others.
	Amplifiers int   `json:"amplifiers"`
	Core       int   `json:"core"`
	Brought    int   `json:"brought"`
	Posts      int64 `json:"posts"`
	// Damping is below 1 for an account that is new. Ring says that it belongs to a group that takes up itself alone.
	Damping float64 `json:"damping"`
	Ring    bool    `json:"ring,omitempty"`
	Roles   []Role  `json:"roles,omitempty"`
}

// Bounds of roles.
const (
	roleScore   = 0.9 // of all authors, this part has a lower score
	roleMonths  = 3
	roleBrought = 3
)

// Rank scores the authors of a topic, the most influential first. The same authors and edges have the same scores. Edges of nobody among the
// authors, of somebody with themselves and of no weight do not count; several between the same two are added up.
func Rank(authors []Author, edges []Edge, now time.Time) []Score {
	g := newGraph(authors, edges)
	g.damp(now)
	rank, core := g.pageRank(), g.cores()
	amplifiers, weigh := g.amplifiers()
	scores := make([]Score, len(g.authors))
	parts := placesOf(g.authors, rank, weigh, core)
	for i := range g.authors {
		a := &g.authors[i]
		s := Score{
			Author: a.ID, Parts: parts[i], Amplifiers: amplifiers[i], Core: core[i], Brought: a.Brought, Posts: a.Posts,
			Damping: g.young[i], Ring: g.ring[i] != 0,
		}
		s.Score = parts[i].mean() * s.Damping
		scores[i] = s
	}
	assignRoles(scores, g.authors)
	slices.SortFunc(scores, func(a, b Score) int {
		switch {
		case a.Score != b.Score:
			if a.Score > b.Score {
				return -1
			}
			return 1
		case a.Author < b.Author:
			return -1
		}
		return 1
	})
	return scores
}

// youth is what an account weighs for being new.
func youth(a *Author, now time.Time) float64 {
	age := now.Sub(a.Registered)
	if a.Registered.IsZero() || age >= Young {
		return 1
	}
	return YoungWeight + (1-YoungWeight)*max(age.Hours(), 0)/Young.Hours()
}

// placesOf finds each author's places.
func placesOf(authors []Author, rank, amplifiers []float64, core []int) []Parts {
	n := len(authors)
	value := func(f func(i int) float64) []*float64 {
		values := make([]float64, n)
		for i := range values {
			values[i] = f(i)
		}
		return places(values)
	}
	ranks, cores := value(func(i int) float64 { return rank[i] }), value(func(i int) float64 { return float64(core[i]) })
	amplified := value(func(i int) float64 { return math.Round(amplifiers[i]*1e6) / 1e6 })
	shares := value(func(i int) float64 { return float64(authors[i].Posts) })
	followers := value(func(i int) float64 {
		if authors[i].Followers == nil {
			return math.NaN()
		}
		return float64(*authors[i].Followers)
	})
	parts := make([]Parts, n)
	for i := range parts {
		parts[i] = Parts{PageRank: ranks[i], Amplifiers: amplified[i], Core: cores[i], Followers: followers[i], Share: shares[i]}
	}
	return parts
}

func (p Parts) mean() float64 {
	sum, n := 0.0, 0
	for _, part := range []*float64{p.PageRank, p.Amplifiers, p.Core, p.Followers, p.Share} {
		if part != nil {
			sum += *part
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// places are those of values among each other: which part of them is lower, and half of those that are equal. NaN has none.
func places(values []float64) []*float64 {
	var order []int
	for i, v := range values {
		if !math.IsNaN(v) {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case values[a] < values[b]:
			return -1
		case values[a] > values[b]:
			return 1
		}
		return 0
	})
	found := make([]*float64, len(values))
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && values[order[to]] == values[order[from]] {
			to++
		}
		place := (float64(from) + float64(to-from-1)/2) / math.Max(float64(len(order)-1), 1)
		for _, i := range order[from:to] {
			found[i] = &place
		}
		from = to
	}
	return found
}

// assignRoles says who is what. Our own accounts are nothing but that.
func assignRoles(scores []Score, authors []Author) {
	all := make([]float64, len(scores))
	for i := range scores {
		all[i] = scores[i].Score
	}
	of := places(all)
	for i := range scores {
		a, s := &authors[i], &scores[i]
		if a.Staff {
			continue
		}
		if *of[i] >= roleScore && a.Months >= roleMonths {
			switch {
			case a.Sentiment > 0:
				s.Roles = append(s.Roles, Ambassador)
			case a.Sentiment < 0:
				s.Roles = append(s.Roles, Detractor)
			}
		}
		if a.Brought >= roleBrought {
			s.Roles = append(s.Roles, Leader)
		}
	}
}
