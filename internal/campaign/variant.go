package campaign

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

// Seed is what the draws of a send begin with: its key, and the occurrence where it recurs.
func Seed(sendKey, occurrence string) string {
	if occurrence == "" {
		return sendKey
	}
	return sendKey + "@" + occurrence
}

// Draw is one of the numbers that are drawn for a contact in a send, each by itself.
type Draw int

// The draws: which variant the contact gets, whether it is held out, and whether it is in the test share.
const (
	VariantDraw Draw = iota
	HoldOutDraw
	TestDraw
)

// DrawBytes is how long a draw is.
const DrawBytes = 4

// Of is a draw for a contact: a number of 32 bits from SHA-256 over the send's seed and the contact's id. It depends on nothing
// else, so that it is the same at every try and in every database. The freeze computes the same number in SQL.
func (d Draw) Of(seed string, contactID int64) uint32 {
	sum := sha256.Sum256([]byte(seed + "/" + strconv.FormatInt(contactID, 10)))
	return binary.BigEndian.Uint32(sum[int(d)*DrawBytes:])
}

// ShareBound is the number below which draws are for a share of all of them, in percent.
func ShareBound(percent int) int64 { return int64(min(max(percent, 0), 100)) << 32 / 100 }

// ChooseVariant is the index of the variant whose share of the weights the draw falls into. Weights of which none is
// positive give 0.
func ChooseVariant(draw uint32, weights []int) int {
	bounds := VariantBounds(weights)
	for i, bound := range bounds {
		if int64(draw) < bound {
			return i
		}
	}
	return 0
}

// VariantBounds are the draws at which the variants' shares end, each excluded: the last is 2^32. A variant without
// weight has an empty share.
func VariantBounds(weights []int) []int64 {
	var total int64
	for _, w := range weights {
		total += int64(max(w, 0))
	}
	if total == 0 {
		return nil
	}
	bounds := make([]int64, len(weights))
	var sum int64
	for i, w := range weights {
		sum += int64(max(w, 0))
		// A weight is at most 1000 and there are at most 10, so that this stays far within 63 bits.
		bounds[i] = sum << 32 / total
	}
	return bounds
}
