package render

import (
	"encoding/base64"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func drawTrack(t *rapid.T) Track {
	id := func(name string) int64 { return rapid.Int64Range(0, math.MaxInt64).Draw(t, name) }
	out := Track{
		Kind: rapid.SampledFrom([]TrackKind{TrackOpen, TrackClick}).Draw(t, "kind"),
		Send: id("send"), Seq: id("seq"), Link: id("link"),
	}
	if out.Kind == TrackClick && rapid.Bool().Draw(t, "personal") {
		out.Target = "https://velo.example/" + rapid.StringMatching(`[a-z0-9/?&=%é-]{0,900}`).Draw(t, "target")
	}
	return out
}

func TestTrack(t *testing.T) {
	signer := NewSigner(linkKey)
	rapid.Check(t, func(t *rapid.T) {
		want := drawTrack(t)
		token := string(signer.AppendTrack(nil, want))
		if len(token) > maxTrack {
			t.Fatalf("token of %d characters", len(token))
		}
		if got, err := ParseTrack(linkKey, token); err != nil || got != want {
			t.Fatalf("%+v came back as %+v, %v", want, got, err)
		}
		if _, err := ParseTrack([]byte("another key"), token); !errors.Is(err, ErrToken) {
			t.Fatalf("another key: %v", err)
		}
		raw, _ := base64.RawURLEncoding.DecodeString(token)
		raw[rapid.IntRange(0, len(raw)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := signer.ParseTrack(base64.RawURLEncoding.EncodeToString(raw)); !errors.Is(err, ErrToken) {
			t.Fatalf("a flipped bit: %v", err)
		}
		if _, _, err := VerifyUnsubscribe(linkKey, token); !errors.Is(err, ErrToken) {
			t.Fatal("a tracking token unsubscribes")
		}
	})
}

func TestTrackRefuses(t *testing.T) {
	good := SignTrack(linkKey, Track{Kind: TrackClick, Send: 7, Seq: 12, Link: 3})
	for name, token := range map[string]string{
		"nothing":             "",
		"padding":             good + "=",
		"a line feed":         good[:4] + "\n" + good[4:],
		"one character less":  good[:len(good)-1],
		"one character more":  good + "A",
		"very long":           strings.Repeat("A", 1<<20),
		"an unsubscription":   SignUnsubscribe(linkKey, 7, 12),
		"an unknown kind":     SignTrack(linkKey, Track{Kind: 9, Send: 7, Seq: 12, Link: 3}),
		"a script as target":  SignTrack(linkKey, Track{Kind: TrackClick, Send: 7, Seq: 12, Link: 3, Target: "javascript:alert(1)"}),
		"no host as target":   SignTrack(linkKey, Track{Kind: TrackClick, Send: 7, Seq: 12, Link: 3, Target: "https:///x"}),
		"a header as target":  SignTrack(linkKey, Track{Kind: TrackClick, Send: 7, Seq: 12, Link: 3, Target: "https://a.example/\r\nX: y"}),
		"a pixel with target": SignTrack(linkKey, Track{Kind: TrackOpen, Send: 7, Seq: 12, Target: "https://a.example/"}),
		"a negative id":       SignTrack(linkKey, Track{Kind: TrackClick, Send: -1, Seq: 12, Link: 3}),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ParseTrack(linkKey, token); !errors.Is(err, ErrToken) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// TestTrackLasts: mailed links must work for ever, so what a token says must never change.
func TestTrackLasts(t *testing.T) {
	click, open := Track{Kind: TrackClick, Send: 7, Seq: 128256, Link: 300}, Track{Kind: TrackOpen, Send: 7, Seq: 128256}
	personal := Track{Kind: TrackClick, Send: 7, Seq: 128256, Link: 300, Target: "https://velo.example/?c=1"}
	for mailed, track := range map[string]Track{
		"BAIHgOoHrAIRLiTi5_LRKoR0mmA":                                  click,
		"BAEHgOoHAJj39dmCzOHbs9KaUQ":                                   open,
		"BAIHgOoHrAJodHRwczovL3ZlbG8uZXhhbXBsZS8_Yz0xwfmYNedghjh9zG6M": personal,
	} {
		if got := SignTrack(linkKey, track); got != mailed {
			t.Errorf("tokens have changed: %s, were %s", got, mailed)
		}
	}
	for mailed, track := range map[string]Track{
		"AgIHgOoHrALtVTJyJKaJQ8h8Q_w":                                  click,
		"AgEHgOoHADcAKWIPT0TnWs5QNw":                                   open,
		"AgIHgOoHrAJodHRwczovL3ZlbG8uZXhhbXBsZS8_Yz0x-x4oB6gFEsUTv5Fc": personal,
	} {
		if got, err := ParseTrack(linkKey, mailed); err != nil || got != track {
			t.Errorf("a token with an HMAC is taken for %+v, %v", got, err)
		}
	}
}

func FuzzTrack(f *testing.F) {
	f.Add(SignTrack(linkKey, Track{Kind: TrackClick, Send: 1, Seq: 2, Link: 3}))
	f.Add(SignTrack(linkKey, Track{Kind: TrackClick, Send: 1, Seq: 2, Link: 3, Target: "https://velo.example/"}))
	f.Add("")
	f.Add("AgE=")
	f.Add("AgIHgOoHrALtVTJyJKaJQ8h8Q_w")
	f.Fuzz(func(t *testing.T, token string) {
		track, err := ParseTrack(linkKey, token)
		if byHMAC := strings.HasPrefix(token, "Ag"); err == nil && !byHMAC && SignTrack(linkKey, track) != token {
			t.Errorf("%q is taken for %+v, whose token is another", token, track)
		}
	})
}

func BenchmarkTrack(b *testing.B) {
	signer := NewSigner(linkKey)
	track := Track{Kind: TrackClick, Send: 7, Seq: 128256, Link: 300}
	token := string(signer.AppendTrack(nil, track))
	b.Run("sign", func(b *testing.B) {
		b.ReportAllocs()
		buffer := make([]byte, 0, 100)
		for b.Loop() {
			buffer = signer.AppendTrack(buffer[:0], track)
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := signer.ParseTrack(token); err != nil {
				b.Fatal(err)
			}
		}
	})
}
