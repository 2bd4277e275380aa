package engagement

import (
	"cmp"
	"slices"
)

// BlockSize is how many recipients that follow one another are remembered together, a bit for each.
const BlockSize = 8192

// Block names a run of recipients and what they did.
type Block struct {
	Send  int64
	Block int32
	What  What
}

// BlockOf is where an event is remembered.
func (j Judged) BlockOf() (block Block, bit int) {
	return Block{j.Send, int32(j.Seq / BlockSize), j.What}, int(j.Seq % BlockSize)
}

// Compare orders blocks as they are locked.
func (b Block) Compare(o Block) int {
	return cmp.Or(cmp.Compare(b.Send, o.Send), cmp.Compare(b.Block, o.Block), cmp.Compare(b.What, o.What))
}

// Tally names a count.
type Tally struct {
	Send    int64
	Variant int
	What    What
}

// Growth is by how much a count grows.
type Growth struct{ People, Total int64 }

// Counting is what is to be written for a batch of events.
type Counting struct {
	Blocks  map[Block][]byte // those that changed, as they are now
	Tallies map[Tally]Growth
}

// PlanBlocks lists the blocks that a batch of events touches, in the order in which they are locked.
func PlanBlocks(batch []Judged) []Block {
	seen := map[Block]bool{}
	for _, j := range batch {
		block, _ := j.BlockOf()
		seen[block] = true
	}
	blocks := make([]Block, 0, len(seen))
	for block := range seen {
		blocks = append(blocks, block)
	}
	slices.SortFunc(blocks, Block.Compare)
	return blocks
}

// PlanCounting counts a batch of events. known are the blocks as they are stored, which it changes; those that it lacks are empty.
func PlanCounting(batch []Judged, known map[Block][]byte) Counting {
	c := Counting{Blocks: map[Block][]byte{}, Tallies: map[Tally]Growth{}}
	changed := map[Block]bool{}
	for _, j := range batch {
		block, bit := j.BlockOf()
		seen := known[block]
		if short := bit/8 + 1 - len(seen); short > 0 {
			seen = append(seen, make([]byte, short)...)
			known[block] = seen
		}
		tally := Tally{j.Send, j.Variant, j.What}
		growth := c.Tallies[tally]
		growth.Total++
		if mask := byte(1) << (bit % 8); seen[bit/8]&mask == 0 {
			seen[bit/8] |= mask
			growth.People++
			changed[block] = true
		}
		c.Tallies[tally] = growth
	}
	for block := range changed {
		c.Blocks[block] = known[block]
	}
	return c
}
