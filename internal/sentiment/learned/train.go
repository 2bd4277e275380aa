package learned

import (
	"context"
	"math"
	"math/rand/v2"
)

// example is a post that a person judged, as it is learned from.
type example struct {
	opinion  [labels]float64
	features []feature
	label    int
	fold     int // the part that its text belongs to
}

// fit is what was learned, before it is made small.
type fit struct {
	trust   float64
	weights map[uint32][labels]float64
}

const (
	rounds   = 25  // over all examples
	step     = 0.1 // of the first change of a weight; it becomes less with each
	seed     = 20261122
	settling = 1e-6
	// leastTrust and mostTrust bound how the lexicon's opinion counts: people correct what is wrong, so that corrections alone would tell that the
	// lexicon is never right.
	leastTrust, mostTrust = 0.5, 2
	// faith is how strongly the trust is drawn to 1.
	faith = 5
)

// cell is the state of the weights of one bucket while it is learned.
type cell struct {
	weight, moved [labels]float64 // moved: the sum of the squares of all gradients
	times         int             // in how many examples the bucket is
}

// link is a bucket in an example.
type link struct {
	*cell
	value float64
}

// learn fits weights by logistic regression: gradient steps that become shorter with each (AdaGrad), with penalty × the square of each weight.
// There are no weights for labels themselves: how often people correct to a label does not tell how often posts speak so. The same examples in
// the same order make the same model.
func learn(ctx context.Context, examples []example, penalty float64) (*fit, error) {
	cells := map[uint32]*cell{}
	rows := make([][]link, len(examples))
	for i := range examples {
		rows[i] = make([]link, len(examples[i].features))
		for j, f := range examples[i].features {
			c := cells[f.bucket]
			if c == nil {
				c = &cell{}
				cells[f.bucket] = c
			}
			c.times++
			rows[i][j] = link{c, f.value}
		}
	}
	random := rand.New(rand.NewPCG(seed, uint64(len(examples)))) //nolint:gosec // an order, and no secret
	order := make([]int, len(examples))
	for i := range order {
		order[i] = i
	}
	trust, trustMoved := 1.0, 0.0
	for range rounds {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			e := &examples[i]
			off := errorsOf(e, rows[i], trust)
			gradient := faith * (trust - 1) / float64(len(examples))
			for label := range off {
				gradient += off[label] * e.opinion[label]
			}
			trustMoved += gradient * gradient
			trust = min(max(trust-step*gradient/math.Sqrt(trustMoved+settling), leastTrust), mostTrust)
			for _, k := range rows[i] {
				k.correct(off, k.value, penalty)
			}
		}
	}
	f := &fit{trust: trust, weights: make(map[uint32][labels]float64, len(cells))}
	for bucket, c := range cells {
		f.weights[bucket] = c.weight
	}
	return f, nil
}

// errorsOf is how far the probabilities are from what the person said.
func errorsOf(e *example, row []link, trust float64) [labels]float64 {
	var s [labels]float64
	for label := range s {
		s[label] = trust * e.opinion[label]
		for _, k := range row {
			s[label] += k.value * k.weight[label]
		}
	}
	p := likely(s)
	p[e.label]--
	return p
}

// correct moves the weights of a bucket. The penalty is spread over the examples that it is in.
func (c *cell) correct(off [labels]float64, each, penalty float64) {
	for label := range off {
		gradient := off[label]*each + penalty*c.weight[label]/float64(c.times)
		c.moved[label] += gradient * gradient
		c.weight[label] -= step * gradient / math.Sqrt(c.moved[label]+settling)
	}
}

// scores are what a fit says of an example.
func (f *fit) scores(e *example) (s [labels]float64) {
	for label := range s {
		s[label] = f.trust * e.opinion[label]
	}
	for _, found := range e.features {
		w := f.weights[found.bucket]
		for label := range s {
			s[label] += found.value * w[label]
		}
	}
	return s
}
