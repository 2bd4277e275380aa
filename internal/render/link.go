package render

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
)

// A token for unsubscribing is base64url, without padding, of: the version (one byte), send and contact as unsigned
// varints, and the first 16 bytes of the HMAC-SHA256 of all before. It holds no address, works for ever and for any
// number of clicks, and tells whoever reads it two numbers that mean nothing outside.
const (
	tokenVersion = 1
	tokenMAC     = 16 // bytes: 128 bits are beyond guessing over HTTP, and a shorter link survives more mail clients
	maxToken     = 64 // characters; the longest real one, for confirming, has 56
)

// ErrToken means that a token was not made with this key, or was damaged on its way.
var ErrToken = errors.New("the link is not one of ours or is damaged")

var tokenEncoding = base64.RawURLEncoding.Strict()

// SignUnsubscribe makes the token by which a contact unsubscribes from the purpose of a send. key is the tenant's link
// key; the ids are positive.
func SignUnsubscribe(key []byte, sendID, contactID int64) string {
	return string(NewSigner(key).take().appendUnsubscribe(nil, sendID, contactID))
}

func (m *macState) appendUnsubscribe(dst []byte, sendID, contactID int64) []byte {
	return m.appendNumbers(dst, tokenVersion, uint64(sendID), uint64(contactID))
}

// VerifyUnsubscribe reads a token that SignUnsubscribe made with this key. Any other text gives ErrToken.
func VerifyUnsubscribe(key []byte, token string) (sendID, contactID int64, err error) {
	var numbers [2]int64
	if err := readNumbers(key, token, tokenVersion, numbers[:]); err != nil {
		return 0, 0, err
	}
	return numbers[0], numbers[1], nil
}

// appendNumbers appends a token of a version and numbers.
func (m *macState) appendNumbers(dst []byte, version byte, numbers ...uint64) []byte {
	b := append(m.raw[:0], version)
	for _, n := range numbers {
		b = binary.AppendUvarint(b, n)
	}
	b = append(b, m.hash(b)[:tokenMAC]...)
	return tokenEncoding.AppendEncode(dst, b)
}

// readNumbers reads a token that appendNumbers made with this key of this version and as many numbers. Any other text gives
// ErrToken.
func readNumbers(key []byte, token string, version byte, numbers []int64) error {
	if len(token) > maxToken || strings.ContainsAny(token, "\r\n") { // line ends, which base64 skips
		return ErrToken
	}
	b, err := tokenEncoding.DecodeString(token)
	if err != nil || len(b) < 1+len(numbers)+tokenMAC || b[0] != version {
		return ErrToken
	}
	signed, sum := b[:len(b)-tokenMAC], b[len(b)-tokenMAC:]
	if !hmac.Equal(sum, NewSigner(key).take().hash(signed)[:tokenMAC]) {
		return ErrToken
	}
	rest := signed[1:]
	for i := range numbers {
		n, size := binary.Uvarint(rest)
		if size <= 0 {
			return ErrToken
		}
		numbers[i], rest = int64(n), rest[size:] //nolint:gosec // whoever signed it wrote a positive number
	}
	if len(rest) > 0 {
		return ErrToken
	}
	return nil
}

// MessageID is the Message-ID, in angle brackets, of a ledger row: the same at every try, and not to be guessed from
// another one. domain is that of the From address, in ASCII.
func MessageID(key []byte, sendID, seq int64, step, domain string) string {
	return string(NewSigner(key).take().appendMessageID(nil, sendID, seq, step, domain))
}

func (m *macState) appendMessageID(dst []byte, sendID, seq int64, step, domain string) []byte {
	b := append(m.raw[:0], "message-id|"...)
	b = append(strconv.AppendInt(b, sendID, 10), '|')
	b = append(strconv.AppendInt(b, seq, 10), '|')
	b = append(b, step...)
	sum := m.hash(b)[:8]
	dst = append(strconv.AppendInt(append(dst, '<'), sendID, 10), '.')
	dst = append(strconv.AppendInt(dst, seq, 10), '.')
	dst = append(hex.AppendEncode(dst, sum), '@')
	return append(append(dst, domain...), '>')
}
