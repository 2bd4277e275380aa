package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

func TestWhatStrangersWroteOnlyShows(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		cells int
		want  string
	}{
		"plain words":           {text: "Me encanta la bici", want: "Me encanta la bici"},
		"colours and a bell":    {text: "\x1b[31mred\x1b[0m\a", want: "[31mred[0m"},
		"a title (OSC)":         {text: "\x1b]0;pwned\x07hi", want: "]0;pwnedhi"},
		"C1 control characters": {text: "a\u009b31mb\u0085c", want: "a31mb c"},
		"raw C1 bytes":          {text: "a\x9b31mb", want: "a\uFFFD31mb"},
		"lines":                 {text: "one\r\n\n two\u2028three\ttabs", want: "one two three tabs"},
		"turned direction":      {text: "abc\u202Edcba\u2066x\u2069", want: "abcdcbax"},
		"nothing to see":        {text: "\u200B\u00AD\uFEFF", want: ""},
		"piled marks":           {text: "Z" + strings.Repeat("\u0336", 50) + "a", want: "Z" + strings.Repeat("\u0336", maxMarks) + "a"},
		"marks on nothing":      {text: "\u0336\u0336x", want: "x"},
		"an emoji of several":   {text: "👩‍🚴 ok", want: "👩‍🚴 ok"},
		"private use":           {text: "a\uE000b", want: "ab"},
		"cut":                   {text: "a long line of words", cells: 10, want: "a long li…"},
		"cut wide letters":      {text: "東京都庁舎", cells: 6, want: "東京…"},
		"what fits is not cut":  {text: "東京", cells: 4, want: "東京"},
		"no room":               {text: "ab", cells: 1, want: "…"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := plainLine(c.text, c.cells); got != c.want {
				t.Errorf("plainLine(%q, %d) = %q, want %q", c.text, c.cells, got, c.want)
			}
		})
	}
}

func FuzzPlainLine(f *testing.F) {
	f.Add("\x1b[2J\u202Eabc", 10)
	f.Add("👩‍🚴🇪🇸e\u0301", 3)
	f.Fuzz(func(t *testing.T, text string, cells int) {
		line := plainLine(text, cells)
		if !utf8.ValidString(line) {
			t.Fatalf("%q is no UTF-8", line)
		}
		for _, r := range line {
			if r != joiner && unicode.In(r, unicode.C) || r == '\n' || unicode.In(r, unicode.Zl, unicode.Zp) {
				t.Fatalf("%q has %U", line, r)
			}
		}
		if width := uniseg.StringWidth(line); cells > 0 && width > cells {
			t.Fatalf("%q takes %d cells of %d", line, width, cells)
		}
	})
}

func TestJSONOfStrangersIsTheSameJSON(t *testing.T) {
	text := "a\u009b31m\x1b[0m\u007f\u202E\u2028 <b>&\" 👩‍🚴 ñ \U000E0041"
	var out bytes.Buffer
	if err := printStrangers(&out, map[string]string{"text": text}); err != nil {
		t.Fatal(err)
	}
	for _, r := range out.String() {
		if r != '\n' && r != joiner && r <= 0xFFFF && !unicode.IsPrint(r) {
			t.Errorf("%q has %U", out.String(), r)
		}
	}
	var back map[string]string
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back["text"] != text {
		t.Errorf("reads as %q, %v; want %q", back["text"], err, text)
	}
	if !strings.Contains(out.String(), "<b>&") || !strings.Contains(out.String(), "ñ") {
		t.Errorf("what only shows is escaped too: %s", out.String())
	}
}
