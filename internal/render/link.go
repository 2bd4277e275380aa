package render

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// A token for unsubscribing is base64url, without padding, of: the version (one byte), send and contact as unsigned
// varints, and the first 16 bytes of the HMAC-SHA256 of all before. It holds no address, works for ever and for any
// number of clicks, and tells whoever reads it two numbers that mean nothing outside.
const (
	tokenVersion = 1
	tokenMAC     = 16 // bytes: 128 bits are beyond guessing over HTTP, and a shorter link survives more mail clients
	maxToken     = 64 // characters; the longest real one has 50
)

// ErrToken means that a token was not made with this key, or was damaged on its way.
var ErrToken = errors.New("the link is not one of ours or is damaged")

var tokenEncoding = base64.RawURLEncoding.Strict()

// SignUnsubscribe makes the token by which a contact unsubscribes from the purpose of a send. key is the tenant's link
// key; the ids are positive.
func SignUnsubscribe(key []byte, sendID, contactID int64) string {
	b := make([]byte, 0, 1+2*binary.MaxVarintLen64+tokenMAC)
	b = append(b, tokenVersion)
	b = binary.AppendUvarint(b, uint64(sendID))
	b = binary.AppendUvarint(b, uint64(contactID))
	b = append(b, tokenSum(key, b)...)
	return tokenEncoding.EncodeToString(b)
}

// VerifyUnsubscribe reads a token that SignUnsubscribe made with this key. Any other text gives ErrToken.
func VerifyUnsubscribe(key []byte, token string) (sendID, contactID int64, err error) {
	if len(token) > maxToken || strings.ContainsAny(token, "\r\n") { // line ends, which base64 skips
		return 0, 0, ErrToken
	}
	b, err := tokenEncoding.DecodeString(token)
	if err != nil || len(b) < 3+tokenMAC || b[0] != tokenVersion {
		return 0, 0, ErrToken
	}
	signed, sum := b[:len(b)-tokenMAC], b[len(b)-tokenMAC:]
	if !hmac.Equal(sum, tokenSum(key, signed)) {
		return 0, 0, ErrToken
	}
	send, n := binary.Uvarint(signed[1:])
	if n <= 0 {
		return 0, 0, ErrToken
	}
	contact, m := binary.Uvarint(signed[1+n:])
	if m <= 0 || 1+n+m != len(signed) {
		return 0, 0, ErrToken
	}
	return int64(send), int64(contact), nil
}

func tokenSum(key, signed []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(signed)
	return mac.Sum(nil)[:tokenMAC]
}

// MessageID is the Message-ID, in angle brackets, of a ledger row: the same at every try, and not to be guessed from
// another one. domain is that of the From address, in ASCII.
func MessageID(key []byte, sendID, seq int64, step, domain string) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "message-id|%d|%d|%s", sendID, seq, step)
	return fmt.Sprintf("<%d.%d.%x@%s>", sendID, seq, mac.Sum(nil)[:8], domain)
}
