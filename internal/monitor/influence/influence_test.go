package influence

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/graph/network"
	"gonum.org/v1/gonum/graph/simple"
	"gonum.org/v1/gonum/graph/topo"
	"pgregory.net/rapid"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// crowd is n authors, from 1.
func crowd(n int) []Author {
	authors := make([]Author, n)
	for i := range authors {
		authors[i] = Author{ID: int64(i + 1), Posts: 1}
	}
	return authors
}

func byAuthor(scores []Score) map[int64]Score {
	found := map[int64]Score{}
	for _, s := range scores {
		found[s.Author] = s
	}
	return found
}

func TestWhoIsTakenUpByManyComesFirst(t *testing.T) {
	var edges []Edge
	for from := int64(2); from <= 30; from++ {
		edges = append(edges, Edge{from, 1, 3}, Edge{from, from%5 + 2, 1})
	}
	scores := Rank(crowd(30), edges, now)
	if scores[0].Author != 1 || scores[0].Amplifiers != 29 {
		t.Fatalf("got %+v first, want author 1 with 29 amplifiers", scores[0])
	}
	for i, s := range scores {
		if s.Score < 0 || s.Score > 1 || i > 0 && s.Score > scores[i-1].Score {
			t.Errorf("score %d is %v after %v", i, s.Score, scores[max(i-1, 0)].Score)
		}
		if s.Parts.Followers != nil {
			t.Errorf("author %d has a place by followers of whom nobody knows how many there are", s.Author)
		}
	}
}

func TestFollowersAloneDoNotLead(t *testing.T) {
	authors := crowd(40)
	many := int64(1_000_000)
	for i := range authors {
		few := int64(i)
		authors[i].Followers = &few
	}
	authors[39].Followers = &many // and nobody takes them up
	var edges []Edge
	for from := int64(2); from < 40; from++ {
		edges = append(edges, Edge{from, 1, 1})
	}
	scores := byAuthor(Rank(authors, edges, now))
	if scores[40].Score >= scores[1].Score {
		t.Errorf("a million followers whom nobody answers: %v; who is answered: %v", scores[40].Score, scores[1].Score)
	}
}

// TestARingDoesNotLiftItself has twenty accounts take up each other a hundred times a day, beside somebody whom thirty others take up now and then.
func TestARingDoesNotLiftItself(t *testing.T) {
	var edges []Edge
	for a := int64(1); a <= 20; a++ {
		for b := int64(1); b <= 20; b++ {
			edges = append(edges, Edge{a, b, 100})
		}
	}
	for from := int64(22); from <= 51; from++ {
		edges = append(edges, Edge{from, 21, 1})
	}
	scores := byAuthor(Rank(crowd(60), edges, now))
	for a := int64(1); a <= 20; a++ {
		s := scores[a]
		if !s.Ring || s.Amplifiers != 0 || s.Core != 0 {
			t.Errorf("author %d of the ring: %+v", a, s)
		}
		if s.Score >= scores[21].Score {
			t.Errorf("author %d of the ring has %v, who is taken up by others has %v", a, s.Score, scores[21].Score)
		}
	}
	if scores[21].Ring || scores[22].Ring {
		t.Error("who is in no ring counts as being in one")
	}
	// The same group is no ring once it is taken up by as many others as it has members, as much as by itself.
	for from := int64(22); from <= 60; from++ {
		for to := int64(1); to <= 20; to++ {
			edges = append(edges, Edge{from, to, 100})
		}
	}
	if byAuthor(Rank(crowd(60), edges, now))[1].Ring {
		t.Error("a group that others take up counts as a ring")
	}
}

// TestARingThatThePublicAnsweredOnceIsOne has the ring of above name somebody of a public that is larger than a ring, where one answers.
func TestARingThatThePublicAnsweredOnceIsOne(t *testing.T) {
	for name, weight := range map[string]float64{"all day": 100, "once each": 1} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(3, 4))
			var edges []Edge
			for a := int64(1); a <= 20; a++ {
				for b := int64(1); b <= 20; b++ {
					edges = append(edges, Edge{a, b, weight})
				}
			}
			for person := int64(21); person <= 220; person++ { // everybody leads to everybody here
				edges = append(edges, Edge{person, (person-20)%200 + 21, 2})
				for range 5 {
					edges = append(edges, Edge{person, 21 + int64(math.Pow(random.Float64(), 2)*200), 1})
				}
			}
			edges = append(edges, Edge{3, 21, 1}, Edge{4, 30, 3}, Edge{40, 5, 3}, Edge{41, 6, 1})
			for _, s := range Rank(crowd(220), edges, now) {
				if member := s.Author <= 20; s.Ring != member {
					t.Errorf("author %d, of the ring: %v: %+v", s.Author, member, s)
				}
			}
		})
	}
}

// TestNewAccountsAreNoPublic has an account that thirty of today take up, beside one that six of last year do.
func TestNewAccountsAreNoPublic(t *testing.T) {
	authors := crowd(60)
	var edges []Edge
	for i := int64(11); i <= 40; i++ { // of today, who take up all of 1 to 5
		authors[i-1].Registered = now
		for to := int64(1); to <= 5; to++ {
			edges = append(edges, Edge{i, to, 1})
		}
	}
	for i := int64(41); i <= 46; i++ {
		authors[i-1].Registered = now.AddDate(-1, 0, 0)
		edges = append(edges, Edge{i, 6, 1}, Edge{i, 7, 1})
	}
	scores := byAuthor(Rank(authors, edges, now))
	fresh, old := scores[1], scores[6]
	if fresh.Amplifiers != 30 || *fresh.Parts.Amplifiers >= *old.Parts.Amplifiers {
		t.Errorf("taken up by 30 new accounts: place %v of %d amplifiers; by 6 old ones: %v", *fresh.Parts.Amplifiers, fresh.Amplifiers, *old.Parts.Amplifiers)
	}
	if fresh.Core != 0 || old.Core != 2 {
		t.Errorf("cores of %d and %d", fresh.Core, old.Core)
	}
}

func TestNewAccountsWeighLess(t *testing.T) {
	authors := crowd(42)
	for i := 2; i < 22; i++ { // 3 to 22 were made today, 23 to 42 last year
		authors[i].Registered = now
		authors[i+20].Registered = now.AddDate(-1, 0, 0)
	}
	var edges []Edge
	for i := int64(3); i <= 22; i++ {
		edges = append(edges, Edge{i, 1, 1}, Edge{i + 20, 2, 1})
	}
	scores := byAuthor(Rank(authors, edges, now))
	if *scores[1].Parts.PageRank >= *scores[2].Parts.PageRank {
		t.Errorf("taken up by new accounts: %v, by old ones: %v", *scores[1].Parts.PageRank, *scores[2].Parts.PageRank)
	}
	if d := scores[3].Damping; d != YoungWeight {
		t.Errorf("an account of today counts %v, want %v", d, YoungWeight)
	}
	if d := scores[23].Damping; d != 1 {
		t.Errorf("an account of last year counts %v", d)
	}
}

func TestWeight(t *testing.T) {
	for _, tt := range []struct {
		kind Kind
		age  time.Duration
		want float64
	}{{Mention, 0, 1}, {Reply, 0, 2}, {Spread, HalfLife, 1.5}, {Mention, 2 * HalfLife, 0.25}, {Reply, -time.Hour, 2}} {
		if got := tt.kind.Weight(tt.age); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("kind %d after %s weighs %v, want %v", tt.kind, tt.age, got, tt.want)
		}
	}
}

func TestRoles(t *testing.T) {
	authors := crowd(30)
	authors[0] = Author{ID: 1, Posts: 50, Months: 3, Sentiment: 0.4}
	authors[1] = Author{ID: 2, Posts: 49, Months: 4, Sentiment: -0.4}
	authors[2] = Author{ID: 3, Posts: 48, Months: 9, Sentiment: 0.9, Staff: true, Brought: 9}
	authors[4] = Author{ID: 5, Posts: 1, Months: 9, Sentiment: 0.9, Brought: 3}
	var edges []Edge
	for from := int64(6); from <= 30; from++ {
		edges = append(edges, Edge{from, 1, 3}, Edge{from, 2, 3}, Edge{from, 3, 3})
	}
	scores := byAuthor(Rank(authors, edges, now))
	got := map[int64][]Role{}
	for id, s := range scores {
		if len(s.Roles) > 0 {
			got[id] = s.Roles
		}
	}
	want := map[int64][]Role{1: {Ambassador}, 2: {Detractor}, 5: {Leader}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestBrought(t *testing.T) {
	day := func(d int) time.Time { return now.AddDate(0, 0, d) }
	first := map[int64]time.Time{1: day(0), 2: day(2), 3: day(9), 4: day(1), 5: day(-1)}
	talks := []Talk{
		{1, 2, day(1)}, {2, 1, day(1)}, // twice, in both directions: 1 brought 2
		{1, 3, day(1)}, // too long ago
		{4, 1, day(0)}, // 1 brought 4, who answered
		{5, 1, day(3)}, // who writes already is brought by nobody
		{6, 2, day(1)}, // who never wrote about it brings nobody
	}
	if d := cmp.Diff(map[int64]int{1: 2}, Brought(talks, first)); d != "" {
		t.Error(d)
	}
}

// TestCores compares with an implementation that is slow where many have the same number of neighbours.
func TestCores(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 25).Draw(t, "authors")
		id := rapid.Int64Range(1, int64(n))
		var edges []Edge
		for range rapid.IntRange(0, 80).Draw(t, "edges") {
			edges = append(edges, Edge{id.Draw(t, "from"), id.Draw(t, "to"), 1})
		}
		g := newGraph(crowd(n), edges)
		other := simple.NewUndirectedGraph()
		for i := range n {
			other.AddNode(simple.Node(i))
		}
		for _, e := range edges {
			if e.From != e.To {
				other.SetEdge(simple.Edge{F: simple.Node(e.From - 1), T: simple.Node(e.To - 1)})
			}
		}
		want := make([]int, n)
		_, cores := topo.DegeneracyOrdering(other)
		for k, nodes := range cores {
			for _, v := range nodes {
				want[v.ID()] = k
			}
		}
		if d := cmp.Diff(want, g.cores()); d != "" {
			t.Fatal(d)
		}
	})
}

// TestOrderDoesNotMatter has the same edges in another order, and each in several parts.
func TestOrderDoesNotMatter(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var edges, parts []Edge
	for range 300 {
		e := Edge{random.Int64N(40) + 1, random.Int64N(40) + 1, float64(random.IntN(4)+1) * 2}
		edges = append(edges, e)
		parts = append(parts, Edge{e.From, e.To, e.Weight / 2}, Edge{e.From, e.To, e.Weight / 2})
	}
	random.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	authors := crowd(40)
	turned := slices.Clone(authors)
	slices.Reverse(turned)
	want, got := Rank(authors, edges, now), Rank(turned, parts, now)
	for i := range want {
		if want[i].Author != got[i].Author || math.Abs(want[i].Score-got[i].Score) > 1e-9 {
			t.Fatalf("place %d: %+v, then %+v", i, want[i], got[i])
		}
	}
}

// TestTheSameGraphHasTheSameScores each time, to the last bit.
func TestTheSameGraphHasTheSameScores(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	var edges []Edge
	for range 400 {
		edges = append(edges, Edge{random.Int64N(60) + 1, random.Int64N(60) + 1, random.Float64()})
	}
	want := Rank(crowd(60), edges, now)
	for range 50 {
		if d := cmp.Diff(want, Rank(crowd(60), edges, now)); d != "" {
			t.Fatal(d)
		}
	}
}

// TestPageRank compares with gonum's, which begins anywhere.
func TestPageRank(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 25).Draw(t, "authors")
		id := rapid.Int64Range(1, int64(n))
		var edges []Edge
		for range rapid.IntRange(0, 80).Draw(t, "edges") {
			edges = append(edges, Edge{id.Draw(t, "from"), id.Draw(t, "to"), rapid.Float64Range(0.1, 9).Draw(t, "weight")})
		}
		authors := crowd(n)
		for i := range authors {
			if rapid.Bool().Draw(t, "new") {
				authors[i].Registered = now
			}
		}
		g := newGraph(authors, edges)
		g.damp(now)
		other := simple.NewWeightedDirectedGraph(0, 0)
		for i := range n + 1 { // the last is nobody
			other.AddNode(simple.Node(i))
		}
		for from := range n {
			for e := g.first[from]; e < g.first[from+1]; e++ {
				other.SetWeightedEdge(simple.WeightedEdge{F: simple.Node(from), T: simple.Node(g.to[e]), W: g.weight[e]})
			}
			if g.lost[from] > 0 {
				other.SetWeightedEdge(simple.WeightedEdge{F: simple.Node(from), T: simple.Node(n), W: g.lost[from]})
			}
		}
		want := network.PageRankSparse(other, damping, 1e-12)
		for i, rank := range g.pageRank() {
			if math.Abs(rank-want[int64(i)]*float64(n+1)) > 2*rankUnit {
				t.Fatalf("author %d has the rank %v, want %v", i+1, rank, want[int64(i)]*float64(n+1))
			}
		}
	})
}

func TestNobody(t *testing.T) {
	if got := Rank(nil, []Edge{{1, 2, 1}}, now); len(got) != 0 {
		t.Errorf("got %v of no authors", got)
	}
	one := Rank(crowd(1), []Edge{{1, 1, 5}, {1, 7, 5}, {1, 1, -1}}, now)
	if len(one) != 1 || one[0].Amplifiers != 0 {
		t.Errorf("got %+v of one who talks with themselves", one)
	}
}

func BenchmarkRank(b *testing.B) {
	for _, edges := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(edges), func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, 2))
			people := edges / 4
			authors := crowd(people)
			list := make([]Edge, edges)
			for i := range list { // a few are taken up by many
				to := int64(math.Pow(random.Float64(), 3)*float64(people)) + 1
				list[i] = Edge{random.Int64N(int64(people)) + 1, to, 1}
			}
			for b.Loop() {
				Rank(authors, list, now)
			}
		})
	}
}
