package inbound

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/mail"
	"strings"
)

// A return address is <local>+<token>@<domain> (variable envelope return path, with the sub-address of RFC 5233). The token
// is base32 in lower case, because servers on the way may fold case, of: the version (one byte), send and the row's number
// as unsigned varints, and the first 8 bytes of the HMAC-SHA256 of all before. It holds no address.
const (
	verpVersion = 4 // of no other token that this key signs: render has 1 to 3
	verpMAC     = 8
	maxLocal    = 64 // octets of a local part (RFC 5321, section 4.5.3.1.1)
)

// MaxReturnLocal is how many octets a return address may have before its @, so that every token finds room behind them.
const MaxReturnLocal = maxLocal - 1 - ((1+2*binary.MaxVarintLen64+verpMAC)*8+4)/5

var verpEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ErrReference means that a text holds no token of this tenant.
var ErrReference = errors.New("it refers to no message of ours")

// ReturnAddress is the envelope sender of a row's message, where bounces of it go. base is the address without the token,
// such as bounces@velo.example. It fails where that leaves no room for the token.
func ReturnAddress(key []byte, base string, r Reference) (string, error) {
	at := strings.LastIndexByte(base, '@')
	if at <= 0 {
		return "", fmt.Errorf("the return address %q is none: write one such as bounces@velo.example", base)
	}
	if at > MaxReturnLocal {
		return "", fmt.Errorf("the return address %q leaves no room for a token: before the @ it may have %d characters", base, MaxReturnLocal)
	}
	token := make([]byte, 0, 1+2*binary.MaxVarintLen64+verpMAC)
	token = append(token, verpVersion)
	token = binary.AppendUvarint(token, uint64(r.Send))
	token = binary.AppendUvarint(token, uint64(r.Seq))
	token = append(token, verpSum(key, token)...)
	return base[:at] + "+" + verpEncoding.EncodeToString(token) + base[at:], nil
}

// CheckReturnAddress tells what is amiss with a return address for tokens to be added to.
func CheckReturnAddress(base string) error {
	if a, err := mail.ParseAddress(base); err != nil || a.Address != base {
		return fmt.Errorf("%q is no address such as bounces@velo.example", base)
	}
	_, err := ReturnAddress(nil, base, Reference{Send: 1, Seq: 1})
	return err
}

// ParseReturnAddress reads the token of a return address. Any other address gives ErrReference.
func ParseReturnAddress(key []byte, address string) (Reference, error) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 || len(address) > 320 {
		return Reference{}, ErrReference
	}
	local := strings.ToLower(address[:at])
	plus := strings.LastIndexByte(local, '+')
	if plus < 0 {
		return Reference{}, ErrReference
	}
	raw, err := verpEncoding.DecodeString(local[plus+1:])
	if err != nil || len(raw) < 3+verpMAC || raw[0] != verpVersion {
		return Reference{}, ErrReference
	}
	signed, sum := raw[:len(raw)-verpMAC], raw[len(raw)-verpMAC:]
	if !hmac.Equal(sum, verpSum(key, signed)) {
		return Reference{}, ErrReference
	}
	send, n := binary.Uvarint(signed[1:])
	if n <= 0 {
		return Reference{}, ErrReference
	}
	seq, m := binary.Uvarint(signed[1+n:])
	if m <= 0 || 1+n+m != len(signed) || int64(send) <= 0 || int64(seq) <= 0 { //nolint:gosec // whoever signed it wrote positive numbers
		return Reference{}, ErrReference
	}
	return Reference{Send: int64(send), Seq: int64(seq)}, nil //nolint:gosec // as above
}

func verpSum(key, signed []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(signed)
	return mac.Sum(nil)[:verpMAC]
}
