package bluesky

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// spread is how many of a key's bits of time follow from the intent's id instead: 2^26 µs, about a minute.
const spread = 26

// keyOf is the record key of a part of an intent: a timestamp identifier (https://atproto.com/specs/tid) that is the same at every try. It lies
// within the minute before the intent, and 36 bits of it follow from the intent's id, so that of a million posts of one account in the
// same minute hardly two would have the same.
func keyOf(id string, at time.Time, part int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "tertulia post %s part %d", id, part))
	hash := binary.BigEndian.Uint64(sum[:8])
	micros := uint64(max(at.UnixMicro(), 1<<spread)) //nolint:gosec // it is not negative
	micros = (micros>>spread-1)<<spread | hash>>10&(1<<spread-1)
	return encodeTID(micros<<10 | hash&1023)
}

func encodeTID(value uint64) string {
	const letters = "234567abcdefghijklmnopqrstuvwxyz"
	var text [13]byte
	for i := range text {
		text[len(text)-1-i] = letters[value>>(5*i)&31]
	}
	return string(text[:])
}
