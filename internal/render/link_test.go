package render

import (
	"encoding/base64"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

var linkKey = []byte("0123456789abcdef0123456789abcdef")

func TestToken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		send := rapid.Int64Range(0, math.MaxInt64).Draw(t, "send")
		contact := rapid.Int64Range(0, math.MaxInt64).Draw(t, "contact")
		token := SignUnsubscribe(linkKey, send, contact)
		if len(token) > maxToken {
			t.Fatalf("token of %d characters", len(token))
		}
		s, c, err := VerifyUnsubscribe(linkKey, token)
		if err != nil || s != send || c != contact {
			t.Fatalf("(%d, %d) came back as (%d, %d), %v", send, contact, s, c, err)
		}
		if _, _, err := VerifyUnsubscribe([]byte("another key"), token); !errors.Is(err, ErrToken) {
			t.Fatalf("another key: %v", err)
		}
		raw, _ := base64.RawURLEncoding.DecodeString(token)
		raw[rapid.IntRange(0, len(raw)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, _, err := VerifyUnsubscribe(linkKey, base64.RawURLEncoding.EncodeToString(raw)); !errors.Is(err, ErrToken) {
			t.Fatalf("a flipped bit: %v", err)
		}
	})
}

// TestTokenLasts: mailed links must work for ever, so the form of a token must never change.
func TestTokenLasts(t *testing.T) {
	const mailed = "AQeA6gfuqqMgwTRZSNkGmjHAYd-2"
	if got := SignUnsubscribe(linkKey, 7, 128256); got != mailed {
		t.Errorf("tokens have changed: %s, were %s", got, mailed)
	}
}

func FuzzToken(f *testing.F) {
	f.Add(SignUnsubscribe(linkKey, 1, 2))
	f.Add("")
	f.Add("AQ==")
	f.Fuzz(func(t *testing.T, token string) {
		send, contact, err := VerifyUnsubscribe(linkKey, token)
		if err == nil && SignUnsubscribe(linkKey, send, contact) != token {
			t.Errorf("%q is taken for (%d, %d), whose token is another", token, send, contact)
		}
	})
}

func TestMessageID(t *testing.T) {
	id := MessageID(linkKey, 7, 12, "", "velo.example")
	if want := "<7.12.3a85e1f770afea27@velo.example>"; id != want {
		t.Errorf("got %s, want %s", id, want)
	}
	for name, other := range map[string]string{
		"seq": MessageID(linkKey, 7, 13, "", "velo.example"), "send": MessageID(linkKey, 8, 12, "", "velo.example"),
		"step": MessageID(linkKey, 7, 12, "a", "velo.example"), "key": MessageID(linkKey[1:], 7, 12, "", "velo.example"),
	} {
		if other == id {
			t.Errorf("another %s gives the same Message-ID", name)
		}
	}
}
