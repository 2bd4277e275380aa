package learned

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// labels is how many there are, in the order of sentiment.Labels.
const labels = 3

// Model is what was learned for one language: for each bucket of words what they add to each label, and how much the lexicon's opinion counts
// beside them. It has no words in it.
type Model struct {
	trust   float64 // in the lexicon
	scale   float64 // of weights
	weights []int16 // labels of each bucket
}

// The blob: magic with the version, trust and scale as float32, the weights, and a checksum of all before it. Little-endian.
const (
	magic  = "TSM1"
	header = len(magic) + 4 + 4
	// Size is how many bytes each model takes.
	Size = header + 2*labels*buckets + 4
	// strongest bounds what a model may hold: one that says more is none of ours.
	strongest = 50
)

// MarshalBinary writes a model as it is stored.
func (m *Model) MarshalBinary() ([]byte, error) {
	blob := make([]byte, 0, Size)
	blob = append(blob, magic...)
	blob = binary.LittleEndian.AppendUint32(blob, math.Float32bits(float32(m.trust)))
	blob = binary.LittleEndian.AppendUint32(blob, math.Float32bits(float32(m.scale)))
	for _, w := range m.weights {
		blob = binary.LittleEndian.AppendUint16(blob, uint16(w)) //nolint:gosec // the same bits
	}
	return binary.LittleEndian.AppendUint32(blob, crc32.ChecksumIEEE(blob)), nil
}

// Decode reads what MarshalBinary wrote, and nothing else.
func Decode(blob []byte) (*Model, error) {
	switch {
	case len(blob) < len(magic) || string(blob[:len(magic)]) != magic:
		return nil, fmt.Errorf("read a model: it does not begin with %s: another version wrote it, or it is none", magic)
	case len(blob) != Size:
		return nil, fmt.Errorf("read a model: it has %d bytes instead of %d", len(blob), Size)
	case crc32.ChecksumIEEE(blob[:Size-4]) != binary.LittleEndian.Uint32(blob[Size-4:]):
		return nil, errors.New("read a model: its checksum is another one")
	}
	at := len(magic)
	m := &Model{
		trust:   float64(math.Float32frombits(binary.LittleEndian.Uint32(blob[at:]))),
		scale:   float64(math.Float32frombits(binary.LittleEndian.Uint32(blob[at+4:]))),
		weights: make([]int16, labels*buckets),
	}
	if !(m.trust >= 0 && m.trust <= strongest) || !(m.scale >= 0 && m.scale*math.MaxInt16 <= strongest+1) {
		return nil, errors.New("read a model: its numbers are out of bounds")
	}
	for i := range m.weights {
		m.weights[i] = int16(binary.LittleEndian.Uint16(blob[header+2*i:])) //nolint:gosec // the same bits
	}
	return m, nil
}

// pack makes a model of weights by bucket. What they and the trust are divided by makes its confidence honest.
func pack(f *fit, temperature float64) *Model {
	m := &Model{trust: float64(float32(f.trust / temperature)), weights: make([]int16, labels*buckets)}
	largest := 0.0
	for _, w := range f.weights {
		for _, x := range w {
			largest = max(largest, math.Abs(x/temperature))
		}
	}
	largest = min(largest, strongest)
	m.scale = float64(float32(largest / math.MaxInt16))
	if m.scale == 0 {
		return m
	}
	for bucket, w := range f.weights {
		for label, x := range w {
			steps := math.Round(x / temperature / m.scale)
			m.weights[int(bucket)*labels+label] = int16(min(max(steps, -math.MaxInt16), math.MaxInt16))
		}
	}
	return m
}

// of is what a bucket adds to each label.
func (m *Model) of(bucket uint32) (w [labels]float64) {
	for label := range w {
		w[label] = float64(m.weights[int(bucket)*labels+label]) * m.scale
	}
	return w
}

// scores are what speaks for each label.
func (m *Model) scores(opinion [labels]float64, found []feature) (s [labels]float64) {
	for label := range s {
		s[label] = m.trust * opinion[label]
	}
	for _, f := range found {
		w := m.of(f.bucket)
		for label := range s {
			s[label] += f.value * w[label]
		}
	}
	return s
}

// opinionOf is the lexicon's verdict as what it says of each label: the logarithm of how likely it is. Good and bad are seldom mistaken for
// each other, and what is neutral leans to the side of its polarity.
func opinionOf(v sentiment.Verdict) [labels]float64 {
	const (
		leastSure, mostSure = 0.36, 0.9
		besides             = 0.8 // of what is left of a clear verdict, for neutral
	)
	sure := min(max(v.Confidence, leastSure), mostSure)
	var p [labels]float64
	switch v.Label {
	case sentiment.Negative:
		p = [labels]float64{sure, (1 - sure) * besides, (1 - sure) * (1 - besides)}
	case sentiment.Positive:
		p = [labels]float64{(1 - sure) * (1 - besides), (1 - sure) * besides, sure}
	case sentiment.Neutral:
		good := min(max(0.5+v.Polarity, 0.2), 0.8)
		p = [labels]float64{(1 - sure) * (1 - good), sure, (1 - sure) * good}
	}
	for label := range p {
		p[label] = math.Log(p[label])
	}
	return p
}

// likely makes scores to probabilities.
func likely(s [labels]float64) (p [labels]float64) {
	largest, sum := max(s[0], s[1], s[2]), 0.0
	for label := range s {
		p[label] = math.Exp(s[label] - largest)
		sum += p[label]
	}
	for label := range p {
		p[label] /= sum
	}
	return p
}

// best is the label that most speaks for. Where two are alike, it is the less extreme one.
func best(s [labels]float64) int {
	label := 1
	for other, x := range s {
		if x > s[label] {
			label = other
		}
	}
	return label
}
