package inbound_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/inbound"
)

func TestReturnAddressRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := inbound.Reference{Send: rapid.Int64Min(1).Draw(t, "send"), Seq: rapid.Int64Min(1).Draw(t, "seq")}
		base := rapid.StringMatching(`[a-z0-9]{1,16}`).Draw(t, "local") + "@velo.example"
		address, err := inbound.ReturnAddress(key, base, want)
		if err != nil {
			t.Fatal(err)
		}
		if local, _, _ := strings.Cut(address, "@"); len(local) > 64 {
			t.Fatalf("%s has a local part of %d octets", address, len(local))
		}
		for _, on := range []string{address, strings.ToUpper(address)} {
			if got, err := inbound.ParseReturnAddress(key, on); err != nil || got != want {
				t.Fatalf("%s is read as %+v, %v", on, got, err)
			}
		}
		// One character of the token changed: nobody may point at another row.
		plus := strings.IndexByte(address, '+')
		at := rapid.IntRange(plus+1, strings.IndexByte(address, '@')-1).Draw(t, "place")
		other := byte('a')
		if address[at] == other {
			other = 'b'
		}
		if got, err := inbound.ParseReturnAddress(key, address[:at]+string(other)+address[at+1:]); err == nil && got != want {
			t.Fatalf("a token that was changed points at %+v", got)
		}
	})
}

func TestReturnAddressErrors(t *testing.T) {
	for _, base := range []string{"", "velo.example", "@velo.example", strings.Repeat("x", inbound.MaxReturnLocal+1) + "@velo.example"} {
		if address, err := inbound.ReturnAddress(key, base, row); err == nil {
			t.Errorf("%q became %q", base, address)
		}
	}
	if _, err := inbound.ReturnAddress(key, strings.Repeat("x", inbound.MaxReturnLocal)+"@velo.example", row); err != nil {
		t.Errorf("the longest one: %v", err)
	}
}

func FuzzParseReturnAddress(f *testing.F) {
	address, err := inbound.ReturnAddress(key, "bounces@velo.example", row)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(address)
	f.Add("bounces+@velo.example")
	f.Fuzz(func(t *testing.T, address string) {
		got, err := inbound.ParseReturnAddress(key, address)
		if err != nil && !errors.Is(err, inbound.ErrReference) {
			t.Errorf("an error of another kind: %v", err)
		}
		if err == nil && got != row {
			t.Errorf("%q points at %+v, which nobody signed", address, got)
		}
	})
}
