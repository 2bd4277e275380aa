package render

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math"
	"strings"
	"sync"
)

// A token for tracking is base64url, without padding, of: the version and the kind (one byte each), send, the row's number
// and the link's id as unsigned varints, the target of a link that holds a person's values, and the first 12 bytes of the
// AES-CMAC of all before, by a key of its own that follows from the tenant's. It names nobody. A mail holds
// many of them, so they are short: 96 bits are beyond guessing over HTTP, and whoever guessed one would have counted a click.
const (
	trackVersion = 4 // of no other token that this key signs
	trackByHMAC  = 2 // of those that ended in the first 12 bytes of an HMAC-SHA256: they are in mails, and read for ever
	trackMAC     = 12
	maxTrackHead = 2 + 3*binary.MaxVarintLen64

	// MaxTarget is how many bytes the target of a tracked link may have; longer ones are left as they are.
	MaxTarget = 2000
)

// maxTrack is how many characters a token for tracking has at most.
var maxTrack = tokenEncoding.EncodedLen(maxTrackHead + MaxTarget + trackMAC)

// TrackKind says what a tracking token stands for.
type TrackKind byte

// What is tracked. The numbers are in mails and never change.
const (
	TrackOpen  TrackKind = 1
	TrackClick TrackKind = 2
)

// Track is what a tracking token says.
type Track struct {
	Kind TrackKind
	// Send and Seq name the ledger's row.
	Send, Seq int64
	// Link is the id of a row of links; 0 for the pixel, and for the link that no person sees: who follows it is a program.
	Link int64
	// Target is where a link leads that holds the recipient's values; "" where the row of Link says it. It begins with https://
	// or http://.
	Target string
}

// Signer makes and reads the tokens of a tenant. It keeps what follows from the key, which is half of a signature's cost.
// It is safe for concurrent use.
type Signer struct{ macs sync.Pool }

// macState is a keyed hash and room for what goes through it, so that neither is allocated for each token.
type macState struct {
	mac   hash.Hash
	track cmac
	raw   [maxTrackHead + MaxTarget + trackMAC]byte
	sum   [sha256.Size]byte
}

// NewSigner makes the signer of a link key.
func NewSigner(key []byte) *Signer {
	key = append([]byte(nil), key...)
	track := sync.OnceValue(func() *cmacKeys { return newCMACKeys(key, "tracking") })
	return &Signer{macs: sync.Pool{New: func() any {
		return &macState{mac: hmac.New(sha256.New, key), track: cmac{cmacKeys: track()}}
	}}}
}

func (s *Signer) take() *macState {
	state, _ := s.macs.Get().(*macState)
	return state
}

func (m *macState) hash(signed []byte) []byte {
	m.mac.Reset()
	m.mac.Write(signed)
	return m.mac.Sum(m.sum[:0])
}

// SignTrack makes a tracking token. key is the tenant's link key.
func SignTrack(key []byte, t Track) string { return string(NewSigner(key).AppendTrack(nil, t)) }

// ParseTrack reads a token that SignTrack made with this key. Any other text gives ErrToken.
func ParseTrack(key []byte, token string) (Track, error) { return NewSigner(key).ParseTrack(token) }

// AppendTrack appends a tracking token. A target of more than MaxTarget bytes is left out; the ids are not negative.
func (s *Signer) AppendTrack(dst []byte, t Track) []byte {
	m := s.take()
	defer s.macs.Put(m)
	return m.appendTrack(dst, t)
}

func (m *macState) appendTrack(dst []byte, t Track) []byte {
	b := append(m.raw[:0], trackVersion, byte(t.Kind))
	b = binary.AppendUvarint(b, uint64(t.Send))
	b = binary.AppendUvarint(b, uint64(t.Seq))
	b = binary.AppendUvarint(b, uint64(t.Link))
	if len(t.Target) <= MaxTarget {
		b = append(b, t.Target...)
	}
	b = append(b, m.track.sum(b)[:trackMAC]...)
	return tokenEncoding.AppendEncode(dst, b)
}

// MessageID gives what MessageID gives with the signer's key.
func (s *Signer) MessageID(sendID, seq int64, step, domain string) string {
	m := s.take()
	defer s.macs.Put(m)
	return string(m.appendMessageID(nil, sendID, seq, step, domain))
}

// ParseTrack reads a token that AppendTrack made with the same key, in constant time where the key matters. Any other text
// gives ErrToken.
func (s *Signer) ParseTrack(token string) (Track, error) {
	if len(token) > maxTrack || strings.ContainsAny(token, "\r\n") { // line ends, which base64 skips
		return Track{}, ErrToken
	}
	m := s.take()
	defer s.macs.Put(m)
	n, err := decodeToken(m.raw[:], token)
	if err != nil || n < 5+trackMAC {
		return Track{}, ErrToken
	}
	signed, sum := m.raw[:n-trackMAC], m.raw[n-trackMAC:n]
	var right []byte
	switch signed[0] {
	case trackVersion:
		right = m.track.sum(signed)
	case trackByHMAC:
		right = m.hash(signed)
	default:
		return Track{}, ErrToken
	}
	if !hmac.Equal(sum, right[:trackMAC]) {
		return Track{}, ErrToken
	}
	return readTrack(signed)
}

// decodeToken decodes without an allocation where the token is short, as all but those with a target are.
func decodeToken(dst []byte, token string) (int, error) {
	var short [64]byte
	if len(token) <= len(short) {
		return tokenEncoding.Decode(dst, short[:copy(short[:], token)])
	}
	return tokenEncoding.Decode(dst, []byte(token))
}

func readTrack(signed []byte) (Track, error) {
	t := Track{Kind: TrackKind(signed[1])}
	rest := signed[2:]
	for _, field := range []*int64{&t.Send, &t.Seq, &t.Link} {
		v, n := binary.Uvarint(rest)
		if n <= 0 || v > math.MaxInt64 {
			return Track{}, ErrToken
		}
		*field, rest = int64(v), rest[n:]
	}
	t.Target = string(rest)
	switch {
	case t.Kind == TrackOpen && t.Target == "", t.Kind == TrackClick && (t.Target == "" || IsWebURL(t.Target)):
		return t, nil
	}
	return Track{}, ErrToken
}

// IsWebURL tells whether a text begins as an absolute http or https address and holds nothing that could end a header or an
// attribute: the only ones that are tracked, and redirected to.
func IsWebURL(s string) bool {
	rest, ok := strings.CutPrefix(s, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(s, "http://")
	}
	if !ok || rest == "" || strings.IndexByte("/?#:@", rest[0]) >= 0 {
		return false
	}
	for i := range len(rest) {
		if c := rest[i]; c <= ' ' || c == 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			return false
		}
	}
	return true
}
