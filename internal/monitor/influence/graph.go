package influence

import (
	"cmp"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/iterator"
	"gonum.org/v1/gonum/graph/topo"
)

// mentionGraph is who took up whom. Nodes are places in authors. Edges lie in the order of From, then To; first[i] is where those of i begin.
type mentionGraph struct {
	authors []Author
	young   []float64 // what each author weighs for being new
	ring    []int32   // each author's, from 1; 0 for who is in none
	first   []int
	to      []int32
	weight  []float64
	// lost is what damping took from what each author takes up. For PageRank it leads to nobody, who stands behind all authors, and from whom one
	// goes on to anybody.
	lost []float64
}

// newGraph makes the graph of what counts.
func newGraph(authors []Author, edges []Edge) *mentionGraph {
	n := len(authors)
	g := &mentionGraph{authors: authors, young: slices.Repeat([]float64{1}, n), ring: make([]int32, n), first: make([]int, n+1), lost: make([]float64, n)}
	place := make(map[int64]int32, len(authors))
	for i := range authors {
		place[authors[i].ID] = int32(i) //nolint:gosec // memory ends sooner
	}
	type edge struct {
		from, to int32
		weight   float64
	}
	list := make([]edge, 0, len(edges))
	for _, e := range edges {
		from, known := place[e.From]
		to, also := place[e.To]
		if known && also && from != to && e.Weight > 0 {
			list = append(list, edge{from, to, e.Weight})
		}
	}
	slices.SortFunc(list, func(a, b edge) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to), cmp.Compare(a.weight, b.weight))
	})
	for i, e := range list {
		if i > 0 && list[i-1].from == e.from && list[i-1].to == e.to {
			g.weight[len(g.weight)-1] += e.weight
			continue
		}
		g.to, g.weight = append(g.to, e.to), append(g.weight, e.weight)
		g.first[e.from+1]++
	}
	for i := range authors {
		g.first[i+1] += g.first[i]
	}
	return g
}

// largestRing is how many members a ring has at most: beyond it a group is a public.
const largestRing = 50

// ringShare is which part of what a ring's members are taken up with comes from within, at least.
const ringShare = 0.8

// damp has what new accounts take up weigh less, and what happens within rings.
func (g *mentionGraph) damp(now time.Time) {
	for i := range g.authors {
		if g.young[i] = youth(&g.authors[i], now); g.young[i] < 1 {
			for e := g.first[i]; e < g.first[i+1]; e++ {
				g.weaken(i, e, g.young[i])
			}
		}
	}
	g.ring = g.rings()
	for from := range g.authors {
		for e := g.first[from]; e < g.first[from+1]; e++ {
			if g.within(from, e) {
				g.weaken(from, e, RingWeight)
			}
		}
	}
}

// within tells whether an edge stays within a ring.
func (g *mentionGraph) within(from, edge int) bool {
	return g.ring[from] != 0 && g.ring[from] == g.ring[g.to[edge]]
}

// rings finds small groups in which everybody leads to everybody and which others hardly take up. It returns each author's, from 1, and 0 for
// who is in none. Groups that nobody else answers are looked for first, then those that are tight: one answer of somebody who belongs to the
// public, or one to them, does not make a ring a part of it.
func (g *mentionGraph) rings() []int32 {
	of, found := make([]int32, len(g.authors)), int32(0)
	for _, graph := range []*mentionGraph{g, g.tight()} {
		group := make([]int32, len(g.authors))
		for _, component := range topo.TarjanSCC(graph) {
			if len(component) == 1 || len(component) > largestRing {
				continue
			}
			found++
			for _, member := range component {
				group[member.ID()] = found
			}
		}
		closed := g.closed(group)
		for i, ring := range group {
			if of[i] == 0 && closed[ring] {
				of[i] = ring
			}
		}
	}
	return of
}

// closed tells the groups that take up themselves alone, or next to it.
func (g *mentionGraph) closed(group []int32) map[int32]bool {
	within, all := map[int32]float64{}, map[int32]float64{}
	for from := range g.authors {
		for e := g.first[from]; e < g.first[from+1]; e++ {
			ring := group[g.to[e]]
			all[ring] += g.weight[e]
			if group[from] == ring {
				within[ring] += g.weight[e]
			}
		}
	}
	closed := map[int32]bool{}
	for ring, weight := range all {
		closed[ring] = ring != 0 && within[ring] >= ringShare*weight
	}
	return closed
}

const (
	// tightness is which part of those who take up one of two or the other takes up both, at least, where the two are of one group.
	tightness = 0.2
	// mostTaken is by how many people somebody is taken up who may be in a ring.
	mostTaken = 4 * largestRing
)

// tight are the edges between those whom the same people take up.
func (g *mentionGraph) tight() *mentionGraph {
	takers := make([][]int32, len(g.authors)) // in their order
	for from := range g.authors {
		for e := g.first[from]; e < g.first[from+1]; e++ {
			takers[g.to[e]] = append(takers[g.to[e]], int32(from)) //nolint:gosec // memory ends sooner
		}
	}
	t := &mentionGraph{authors: g.authors, first: make([]int, len(g.first))}
	for from := range g.authors {
		for _, to := range g.to[g.first[from]:g.first[from+1]] {
			a, b := takers[from], takers[to]
			if len(a) <= mostTaken && len(b) <= mostTaken && overlap(a, b, int32(from), to) >= tightness { //nolint:gosec // memory ends sooner
				t.to = append(t.to, to)
			}
		}
		t.first[from+1] = len(t.to)
	}
	return t
}

// overlap is which part of two lists is in both, a and b themselves left out.
func overlap(ofA, ofB []int32, a, b int32) float64 {
	both, either := 0, 0
	for i, j := 0, 0; i < len(ofA) || j < len(ofB); {
		var next int32
		switch {
		case j == len(ofB) || i < len(ofA) && ofA[i] < ofB[j]:
			next = ofA[i]
			i++
		case i == len(ofA) || ofB[j] < ofA[i]:
			next = ofB[j]
			j++
		default:
			next = ofA[i]
			i, j = i+1, j+1
			both++
		}
		if next != a && next != b {
			either++
		}
	}
	if either == 0 {
		return 1 // they have nobody but each other
	}
	return float64(both) / float64(either)
}

// weaken leaves a part of an edge's weight.
func (g *mentionGraph) weaken(from, edge int, part float64) {
	g.lost[from] += g.weight[edge] * (1 - part)
	g.weight[edge] *= part
}

// PageRank is found by steps from where everybody stands alike, until no rank changes by more than rankTolerance of the mean one. Ranks are told in
// rankUnits of the mean, far above that, so that those who stand alike have the same.
const (
	rankTolerance = 1e-7
	rankUnit      = 1e-4
	rankSteps     = 500 // each leaves 0.85 of the error: far more than are needed
)

// pageRank is how likely somebody is met by who goes from each author to one whom they took up, as a multiple of the mean. The same graph has the
// same ranks each time.
func (g *mentionGraph) pageRank() []float64 {
	n := len(g.authors)
	mean := 1 / float64(n+1)
	rank, next := slices.Repeat([]float64{mean}, n+1), make([]float64, n+1)
	for range rankSteps {
		g.step(rank, next, mean)
		most := 0.0
		for i := range next {
			most = max(most, math.Abs(next[i]-rank[i]))
		}
		rank, next = next, rank
		if most < rankTolerance*mean {
			break
		}
	}
	ranks := make([]float64, n)
	for i := range ranks {
		ranks[i] = math.Round(rank[i]/(mean*rankUnit)) * rankUnit
	}
	return ranks
}

// step goes one step from where rank is. Who took up nobody goes on to anybody, as nobody does, who is the last.
func (g *mentionGraph) step(rank, next []float64, mean float64) {
	n := len(g.authors)
	clear(next)
	anywhere := rank[n]
	for from := range g.authors {
		out := g.lost[from]
		for e := g.first[from]; e < g.first[from+1]; e++ {
			out += g.weight[e]
		}
		if out <= 0 {
			anywhere += rank[from]
			continue
		}
		part := damping * rank[from] / out
		for e := g.first[from]; e < g.first[from+1]; e++ {
			next[g.to[e]] += part * g.weight[e]
		}
		next[n] += part * g.lost[from]
	}
	for i := range next {
		next[i] += mean * (1 - damping + damping*anywhere)
	}
}

// amplifiers is how many people took somebody up, and what they weigh: who is new weighs less. Members of one's own ring do not count.
func (g *mentionGraph) amplifiers() (found []int, weigh []float64) {
	found, weigh = make([]int, len(g.authors)), make([]float64, len(g.authors))
	for from := range g.authors {
		for e := g.first[from]; e < g.first[from+1]; e++ {
			if !g.within(from, e) {
				found[g.to[e]]++
				weigh[g.to[e]] += g.young[from]
			}
		}
	}
	return found, weigh
}

// cores is, of each author, the largest k for which they are in the k-core of the graph without directions: the algorithm of Batagelj and
// Zaveršnik (2003), which looks at each edge once. What happens within rings does not count, nor what accounts took up that are so new that they
// weigh less than half: many of them together would be a core.
func (g *mentionGraph) cores() []int {
	neighbours := g.neighbours()
	n := len(neighbours)
	degree, most := make([]int, n), 0
	for i := range neighbours {
		degree[i] = len(neighbours[i])
		most = max(most, degree[i])
	}
	// bin[d] is where those of degree d begin in order; position is where each stands.
	bin := make([]int, most+2)
	for _, d := range degree {
		bin[d+1]++
	}
	for d := 1; d < len(bin); d++ {
		bin[d] += bin[d-1]
	}
	order, position, next := make([]int, n), make([]int, n), slices.Clone(bin)
	for i, d := range degree {
		position[i] = next[d]
		order[next[d]] = i
		next[d]++
	}
	for i := range order {
		v := order[i]
		for _, u := range neighbours[v] {
			if degree[u] <= degree[v] {
				continue
			}
			// u goes to the beginning of its bin, which then begins behind it.
			d := degree[u]
			w := order[bin[d]]
			if int(u) != w {
				order[position[u]], order[bin[d]] = w, int(u)
				position[w], position[u] = position[u], bin[d]
			}
			bin[d]++
			degree[u]--
		}
	}
	return degree
}

// leastInCore is what an account weighs at least of which cores are made.
const leastInCore = 0.5

// neighbours are those of each author in either direction, each once.
func (g *mentionGraph) neighbours() [][]int32 {
	found := make([][]int32, len(g.authors))
	for from := range g.authors {
		if g.young[from] < leastInCore {
			continue
		}
		for e := g.first[from]; e < g.first[from+1]; e++ {
			if to := g.to[e]; !g.within(from, e) {
				found[from], found[to] = append(found[from], to), append(found[to], int32(from)) //nolint:gosec // memory ends sooner
			}
		}
	}
	for i := range found {
		slices.Sort(found[i])
		found[i] = slices.Compact(found[i])
	}
	return found
}

// node implements graph.Node by its place.
type node int64

// ID implements graph.Node.
func (n node) ID() int64 { return int64(n) }

// link is an edge as gonum wants it.
type link struct{ from, to node }

func (l link) From() graph.Node         { return l.from }
func (l link) To() graph.Node           { return l.to }
func (l link) ReversedEdge() graph.Edge { return link{l.to, l.from} }

// Node implements graph.Directed, as what follows does.
func (g *mentionGraph) Node(id int64) graph.Node {
	if id < 0 || id >= int64(len(g.authors)) {
		return nil
	}
	return node(id)
}

// Nodes are all.
func (g *mentionGraph) Nodes() graph.Nodes {
	return iterator.NewImplicitNodes(0, len(g.authors), func(id int) graph.Node { return node(id) })
}

// From are those whom an author took up.
func (g *mentionGraph) From(id int64) graph.Nodes {
	list := make([]graph.Node, 0, g.first[id+1]-g.first[id])
	for _, to := range g.to[g.first[id]:g.first[id+1]] {
		list = append(list, node(to))
	}
	return iterator.NewOrderedNodes(list)
}

// To are those who took an author up. It looks at everything: nothing that is asked of the graph needs it.
func (g *mentionGraph) To(id int64) graph.Nodes {
	var list []graph.Node
	for from := range g.authors {
		if g.HasEdgeFromTo(int64(from), id) {
			list = append(list, node(from))
		}
	}
	return iterator.NewOrderedNodes(list)
}

// HasEdgeBetween tells of either direction.
func (g *mentionGraph) HasEdgeBetween(x, y int64) bool {
	return g.HasEdgeFromTo(x, y) || g.HasEdgeFromTo(y, x)
}

// HasEdgeFromTo tells of one.
func (g *mentionGraph) HasEdgeFromTo(from, to int64) bool {
	_, found := slices.BinarySearch(g.to[g.first[from]:g.first[from+1]], int32(to)) //nolint:gosec // a place
	return found
}

// Edge is one, or nil.
func (g *mentionGraph) Edge(from, to int64) graph.Edge {
	if !g.HasEdgeFromTo(from, to) {
		return nil
	}
	return link{node(from), node(to)}
}
