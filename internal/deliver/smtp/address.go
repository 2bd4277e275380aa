package smtp

import (
	"encoding/binary"
	"unicode/utf8"
)

const high = 0x8080808080808080 // the bits that no ASCII character has

// isASCII reads many bytes at a time: it looks at every byte of every message.
func isASCII[T string | []byte](s T) bool {
	b := []byte(s)
	for len(b) >= 32 {
		if (binary.LittleEndian.Uint64(b)|binary.LittleEndian.Uint64(b[8:])|binary.LittleEndian.Uint64(b[16:])|binary.LittleEndian.Uint64(b[24:]))&high != 0 {
			return false
		}
		b = b[32:]
	}
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b)&high != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
