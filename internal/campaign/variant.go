package campaign

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

// Draw is the number that decides which variant a contact gets: the first 32 bits of SHA-256 over the send's key and
// the contact's id. It depends on nothing else, so that it is the same at every try and in every database. The freeze
// computes the same number in SQL.
func Draw(sendKey string, contactID int64) uint32 {
	sum := sha256.Sum256([]byte(sendKey + "/" + strconv.FormatInt(contactID, 10)))
	return binary.BigEndian.Uint32(sum[:4])
}

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
