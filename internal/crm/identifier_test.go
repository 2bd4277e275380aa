package crm

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNormalizeEmail(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"plain":                       {"ana@example.com", "ana@example.com"},
		"case and spaces":             {"  Ana.Maria+tag@EXAMPLE.Com\t", "ana.maria+tag@example.com"},
		"a domain beyond ASCII":       {"ana@Españolas.example", "ana@xn--espaolas-g3a.example"},
		"a domain in ASCII already":   {"ana@xn--espaolas-g3a.example", "ana@xn--espaolas-g3a.example"},
		"dots are not Gmail's to us":  {"a.n.a@gmail.com", "a.n.a@gmail.com"},
		"hyphens and digits":          {"a-1@b-2.c3.example", "a-1@b-2.c3.example"},
		"no at sign":                  {"ana.example.com", ""},
		"nothing before it":           {"@example.com", ""},
		"nothing after it":            {"ana@", ""},
		"two of them":                 {"ana@maria@example.com", ""},
		"a space inside":              {"ana maria@example.com", ""},
		"a dot at the beginning":      {".ana@example.com", ""},
		"two dots":                    {"ana..maria@example.com", ""},
		"a name around it":            {"Ana <ana@example.com>", ""},
		"a local part beyond ASCII":   {"aña@example.com", ""},
		"a domain without dot":        {"ana@localhost", ""},
		"an IP address":               {"ana@127.0.0.1", ""},
		"an empty label":              {"ana@example..com", ""},
		"a hyphen at a label's end":   {"ana@example-.com", ""},
		"a line break":                {"ana@example.com\r\nBcc: x@example.com", ""},
		"a line break before the at":  {"ana\r\n@example.com", ""},
		"a long local part":           {strings.Repeat("a", 65) + "@example.com", ""},
		"a long domain":               {"a@" + strings.Repeat("abcdefg.", 31) + "example", ""},
		"a label of 64 characters":    {"a@" + strings.Repeat("a", 64) + ".example", ""},
		"nothing but spaces":          {" ", ""},
		"a domain of odd characters":  {"a@exa_mple.com", ""},
		"a fullwidth dot is a dot":    {"a@example。com", "a@example.com"},
		"a domain that is not a text": {"a@\xff.example", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := NormalizeEmail(c.text)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("%q: got %q, %v; want %q", c.text, got, err, c.want)
			}
		})
	}
}

func TestNormalizePhone(t *testing.T) {
	for text, want := range map[string]string{
		"+34600111222": "+34600111222", " +34 600-111.222 ": "+34600111222", "0034 (600) 111/222": "+34600111222", "+1 212 555 0100": "+12125550100",
		"600111222": "", "+": "", "+34": "", "+0034600111222": "", "+346001112223334": "+346001112223334", "+3460011122233345": "", "+34 600 111 22x": "", "": "",
		"++34600111222": "",
	} {
		got, err := NormalizePhone(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestNormalizeExternalID(t *testing.T) {
	for text, want := range map[string]string{
		" C1 ": "C1", "cliente/7 ñ": "cliente/7 ñ", strings.Repeat("x", 255): strings.Repeat("x", 255),
		"": "", "  ": "", strings.Repeat("x", 256): "", "a\x00b": "", "a\nb": "",
	} {
		got, err := NormalizeExternalID(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
}

func FuzzNormalizeEmail(f *testing.F) {
	for _, seed := range []string{"ana@example.com", "A@Españolas.example", "a@xn--a.b", "\"a b\"@c.d", "a@b。c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once, err := NormalizeEmail(text)
		if err != nil {
			return
		}
		if twice, err := NormalizeEmail(once); err != nil || twice != once {
			t.Errorf("%q becomes %q and then %q, %v", text, once, twice, err)
		}
		if !utf8.ValidString(once) || strings.ContainsAny(once, " \r\n<>,;\x00") || len(once) > 254+64 {
			t.Errorf("%q becomes %q", text, once)
		}
	})
}
