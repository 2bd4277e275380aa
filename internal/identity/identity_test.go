package identity

import (
	"strings"
	"testing"
)

func TestNormalize(t *testing.T) {
	for name, c := range map[string]struct{ kind, value, want, problem string }{
		"an address":                  {"email", " Ana@Example.COM ", "ana@example.com", ""},
		"a number":                    {"phone", "0034 600-111-222", "+34600111222", ""},
		"another system's id":         {"external:shop", " C1 ", "C1", ""},
		"a DID":                       {Bluesky, "did:plc:EWVI7nxzyoun6zhxrhs64oiz", "did:plc:ewvi7nxzyoun6zhxrhs64oiz", ""},
		"a DID of a domain":           {Bluesky, "did:web:example.com", "did:web:example.com", ""},
		"a handle is no DID":          {Bluesky, "ana.bsky.social", "", "goes into handle"},
		"a DID of another method":     {Bluesky, "did:key:z6Mk", "", "is no DID of Bluesky"},
		"an actor":                    {Mastodon, "HTTPS://Social.Example/users/Ana/", "https://social.example/users/Ana", ""},
		"an actor of a domain beyond": {Mastodon, "https://españa.example/@ana", "https://xn--espaa-rta.example/@ana", ""},
		"a name is no actor":          {Mastodon, "@ana@social.example", "", "goes into handle"},
		"a server is no actor":        {Mastodon, "https://social.example/", "", "is no URI of an actor"},
		"an actor with a password":    {Mastodon, "https://a:b@social.example/users/ana", "", "is no URI of an actor"},
		"an actor at an address":      {Mastodon, "https://127.0.0.1/users/ana", "", "is no URI of an actor"},
		"a handle":                    {Handle, "@Ana@Social.example", "ana@social.example", ""},
		"a handle with a space":       {Handle, "ana maria", "", "is no handle"},
		"zeros":                       {"external:shop", "0000", "", "is a placeholder"},
		"null":                        {"external:shop", " NULL ", "", "is a placeholder"},
		"an id of one digit":          {"external:shop", "0", "0", ""},
		"an id of ones":               {"external:shop", "111", "111", ""},
		"an address of nobody":        {"email", "Test@Test.com", "", "is a placeholder"},
		"half an address of nobody":   {"email", "test@test", "", "is a placeholder"},
		"a number of nobody":          {"phone", "+34 000 000 000", "", "is a placeholder"},
		"a number of ones":            {"phone", "+1 111 111 1111", "", "is a placeholder"},
		"a number with many zeros":    {"phone", "+34 600 000 000", "+34600000000", ""},
		"a type that is none":         {"emial", "ana@example.com", "", `unknown type "emial": did you mean "email"?`},
		"a source that is none":       {"external:My Shop", "C1", "", "unknown type"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Normalize(c.kind, c.value)
			switch {
			case got != c.want, (err != nil) != (c.problem != ""):
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			case err != nil && !strings.Contains(err.Error(), c.problem):
				t.Errorf("got %q, which lacks %q", err, c.problem)
			}
		})
	}
}

func FuzzNormalize(f *testing.F) {
	for name := range types {
		f.Add(name, "https://social.example/users/ana")
		f.Add(name, "did:plc:ewvi7nxzyoun6zhxrhs64oiz")
		f.Add(name, "@Ana@Social.example\x00")
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		if isExternal(name) {
			name = "external:shop"
		}
		once, err := Normalize(name, value)
		if err != nil {
			return
		}
		if twice, err := Normalize(name, once); err != nil || twice != once {
			t.Errorf("%s %q becomes %q and then %q, %v", name, value, once, twice, err)
		}
		if len(once) > 2*maxValue || strings.ContainsRune(once, 0) {
			t.Errorf("%s %q becomes %q", name, value, once)
		}
	})
}

// isExternal tells whether a type is that of another system's ids.
func isExternal(name string) bool { return strings.HasPrefix(name, external) }
