// Package signature signs what is posted to others and checks what others post, in the manner of Standard Webhooks
// (https://www.standardwebhooks.com), for which many languages have a library: HMAC-SHA256 over the message's id, the
// moment and the body, so that nobody can change it, pass it on as another one, or play it again later.
package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The names of the headers.
const (
	IDHeader        = "Webhook-Id"        // the same at every try of a message
	TimestampHeader = "Webhook-Timestamp" // when it was posted, in Unix seconds
	SignatureHeader = "Webhook-Signature" // v1,<base64>, one for each key, with a blank between
)

// Tolerance is how far a timestamp may be from the receiver's clock.
const Tolerance = 5 * time.Minute

const (
	// minKey is the shortest key that Standard Webhooks allows, in bytes.
	minKey = 24
	// maxKeys is how many keys count at a time: the one in use, and while it is being replaced the one before.
	maxKeys = 2
	version = "v1"
)

// Keys sign and verify. The first is the one in use.
type Keys [][]byte

// ParseKeys reads one key, or two, one on a line: whsec_ and base64 as Standard Webhooks writes them, or any text of at
// least 24 bytes. An error does not repeat what it has read.
func ParseKeys(text string) (Keys, error) {
	var keys Keys
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		key := []byte(line)
		if encoded, ok := strings.CutPrefix(line, "whsec_"); ok {
			decoded, err := base64.StdEncoding.DecodeString(encoded)
			if err != nil {
				return nil, errors.New("what follows whsec_ in a signing key is no base64")
			}
			key = decoded
		}
		if len(key) < minKey {
			return nil, fmt.Errorf("a signing key has fewer than %d bytes: make one with `openssl rand -base64 32`", minKey)
		}
		keys = append(keys, key)
	}
	switch {
	case len(keys) == 0:
		return nil, errors.New("there is no signing key")
	case len(keys) > maxKeys:
		return nil, fmt.Errorf("there are more than %d signing keys: keep the one in use and the one before", maxKeys)
	}
	return keys, nil
}

// Sign is the content of the header for a message: a signature by each key, so that a receiver who has the new key
// accepts it, and so does one who has the old one.
func (k Keys) Sign(id string, at time.Time, body []byte) string {
	signatures := make([]string, len(k))
	for i, key := range k {
		signatures[i] = version + "," + base64.StdEncoding.EncodeToString(sum(key, id, strconv.FormatInt(at.Unix(), 10), body))
	}
	return strings.Join(signatures, " ")
}

// Verify tells why a message was not signed by one of the keys just now, and nil where it was. Its arguments are what the
// three headers say.
func (k Keys) Verify(id, timestamp, signatures string, body []byte, now time.Time) error {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return fmt.Errorf("%s is no number of seconds", TimestampHeader)
	}
	if off := now.Sub(time.Unix(seconds, 0)); off > Tolerance || off < -Tolerance {
		return fmt.Errorf("%s is more than %s away from this clock", TimestampHeader, Tolerance)
	}
	for signature := range strings.FieldsSeq(signatures) {
		encoded, ok := strings.CutPrefix(signature, version+",")
		if !ok {
			continue
		}
		given, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			continue
		}
		for _, key := range k {
			if hmac.Equal(given, sum(key, id, timestamp, body)) {
				return nil
			}
		}
	}
	return fmt.Errorf("%s holds no signature by a key of ours", SignatureHeader)
}

func sum(key []byte, id, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}
