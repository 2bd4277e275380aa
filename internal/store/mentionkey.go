package store

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// mentionKeys makes the keys by which posts and accounts are told apart. They are keyed hashes: of what was forgotten nothing else is left,
// and from them nobody finds out what it was.
type mentionKeys struct{ key addressKey }

// nativeKey is such a key, of 128 bits.
type nativeKey [16]byte

// mentionKeys reads the key of the keys once for each DB: it lives as long as the database.
func (db *DB) mentionKeys(ctx context.Context) (mentionKeys, error) {
	if known := db.mentionKey.Load(); known != nil {
		return mentionKeys{*known}, nil
	}
	var key addressKey
	if err := db.Pool.QueryRow(ctx, "select key from secret_key where purpose = 'mention'").Scan(&key); err != nil {
		return mentionKeys{}, fmt.Errorf("read the key of mentions: %w", err)
	}
	db.mentionKey.Store(&key)
	return mentionKeys{key}, nil
}

func (k mentionKeys) of(kind, network, id string) (key nativeKey) {
	copy(key[:], k.key.hash(kind+"\x00"+network+"\x00"+id))
	return key
}

// post is the key of a post.
func (k mentionKeys) post(network, id string) nativeKey { return k.of("post", network, id) }

// account is the key of an account, and false for somebody whom the network does not name at all. One who has no id is known by the handle.
func (k mentionKeys) account(network string, a listen.Account) (nativeKey, bool) {
	switch {
	case a.ID != "":
		return k.of("account", network, a.ID), true
	case a.Handle != "":
		return k.of("handle", network, strings.ToLower(a.Handle)), true
	}
	return nativeKey{}, false
}

// searchText is a text as it is searched: in small letters without accents, which many leave out, but with the tilde of ñ, which is another
// letter. Words on -ion have the accent that the Spanish stemmer needs to know them by; mention_words takes it away for the English one.
func searchText(text string) string {
	folded := foldMarks(text)
	out := make([]byte, 0, len(folded)+16)
	letters := 0 // of the word under way
	for _, r := range folded {
		if !unicode.IsLetter(r) {
			out, letters = accentIon(out, letters), 0
			if r == 0 {
				r = ' ' // which no text of PostgreSQL holds
			}
		} else {
			letters++
		}
		out = utf8.AppendRune(out, r)
	}
	return string(accentIon(out, letters))
}

// accentIon writes the accent of a word on -ion that has so many letters.
func accentIon(out []byte, letters int) []byte {
	if letters > len("lion") && bytes.HasSuffix(out, []byte("ion")) {
		return append(out[:len(out)-len("on")], "ón"...)
	}
	return out
}

// foldMarks takes accents away and makes letters small.
func foldMarks(text string) string {
	if isASCII(text) {
		return strings.ToLower(text)
	}
	out := make([]byte, 0, len(text))
	var last rune
	for _, r := range norm.NFKD.String(text) {
		switch {
		case r == '\u0303' && (last == 'n' || last == 'N'):
			out, r = out[:len(out)-1], 'ñ'
		case unicode.Is(unicode.Mn, r):
			continue
		}
		last = r
		out = utf8.AppendRune(out, unicode.ToLower(r))
	}
	return string(out)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
