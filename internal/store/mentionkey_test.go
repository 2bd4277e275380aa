package store

import (
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

func TestSearchText(t *testing.T) {
	for given, want := range map[string]string{
		"":                                "",
		"La BICICLETA es rápida":          "la bicicleta es rapida",
		"educacion, Educación; canciones": "educación, educación; canciones",
		"ion lion avion -ion":             "ion lion avión -ion",
		"año ANO AN\u0303O n\u0303":       "año ano año ñ",
		"ä ç Ö ï":                         "a c o i",
		"𝗩𝗲𝗹𝗼 Ｖｅｌｏ ﬁn":                    "velo velo fin",
		"😀 #velo @ana@social.example":     "😀 #velo @ana@social.example",
		"a\x00b":                          "a b",
	} {
		if got := searchText(given); got != want {
			t.Errorf("%q is searched as %q; want %q", given, got, want)
		}
	}
	// The work is in proportion to the text.
	if got := searchText(strings.Repeat("canción n\u0303 ", 100_000)); !strings.HasSuffix(got, "canción ñ ") {
		t.Errorf("…%q", got[len(got)-20:])
	}
}

func TestKeysAreApart(t *testing.T) {
	keys, others := mentionKeys{addressKey(strings.Repeat("a", 32))}, mentionKeys{addressKey(strings.Repeat("b", 32))}
	account := func(k mentionKeys, network string, a listen.Account) nativeKey {
		key, ok := k.account(network, a)
		if !ok {
			t.Errorf("%+v has no key", a)
		}
		return key
	}
	seen := map[nativeKey]int{}
	for i, key := range []nativeKey{
		keys.post("n", "1"), keys.post("n", "2"), keys.post("m", "1"), others.post("n", "1"), account(keys, "n", listen.Account{ID: "1"}),
		account(keys, "n", listen.Account{Handle: "1"}), account(keys, "n", listen.Account{Handle: "ana"}),
	} {
		if before, again := seen[key]; again {
			t.Errorf("%d and %d have one key", before, i)
		}
		seen[key] = i
	}
	if account(keys, "n", listen.Account{Handle: "Ana"}) != account(keys, "n", listen.Account{Handle: "ana"}) {
		t.Error("handles are told apart by the case of their letters")
	}
	if _, ok := keys.account("n", listen.Account{Name: "Ana"}); ok {
		t.Error("a name is no account")
	}
}
