package health

import (
	"crypto/rand"
	"encoding/hex"
)

// ProcessID makes the name of a host one of this start of this process.
func ProcessID(host string) string {
	suffix := make([]byte, 4)
	_, _ = rand.Read(suffix) // it never fails
	return host + "-" + hex.EncodeToString(suffix)
}
