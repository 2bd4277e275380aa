package mastodon

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

func TestEarlier(t *testing.T) {
	for id, want := range map[string]string{
		"115480000000000000":         "115479960678367232", // ten minutes of milliseconds, and 16 bits
		"68739215":                   "68739215",           // a notification's
		"01HZX3Y1V6E2Q4M8W0R5T7K9PA": "01HZX3Y1V6E2Q4M8W0R5T7K9PA",
		"0":                          "0",
		"":                           "",
		"99999999999999999999999":    "99999999999999999999999",
	} {
		if got := earlier(id, overlap); got != want {
			t.Errorf("earlier(%q) is %q, want %q", id, got, want)
		}
	}
}

func TestStart(t *testing.T) {
	tag, mentions := timeline{key: "tag:velo"}, timeline{key: "mentions", notifications: true}
	cases := map[string]struct {
		at   cursor
		t    timeline
		want string
	}{
		"GoesOn":        {cursor{Timelines: map[string]place{"tag:velo": {Read: "115480000000000009", At: "115480000000000007"}}}, tag, "115480000000000007"},
		"Overlaps":      {cursor{Timelines: map[string]place{"tag:velo": {Read: "115480000000000000"}}}, tag, "115479960678367232"},
		"Floor":         {cursor{Timelines: map[string]place{"tag:velo": {Read: "115480000000000000"}}, Floor: "115479999999999999"}, tag, "115479999999999999"},
		"FloorOfOthers": {cursor{Timelines: map[string]place{"tag:velo": {Read: "115480000000000000"}}, Floor: "115490000000000000"}, tag, "115480000000000000"},
		"Notifications": {cursor{Timelines: map[string]place{"mentions": {Read: "115480000000000000"}}}, mentions, "115480000000000000"},
	}
	for name, tc := range cases {
		if got := tc.at.start(tc.t); got != tc.want {
			t.Errorf("%s: behind %q, want %q", name, got, tc.want)
		}
	}
}

func TestCursorRemembers(t *testing.T) {
	at, _ := readCursor(nil, nil)
	steps := []struct {
		id, revision, counts string
		want                 bool
	}{
		{"1", "", "0/0/0", true},
		{"1", "", "0/0/0", false},
		{"1", "", "3/0/0", true},
		{"1", "2026-11-02T10:00:00.000Z", "3/0/0", true},
		{"1", "2026-11-02T10:00:00.000Z", "3/0/0", false},
		{"1", "", "9/0/0", false}, // the first edition comes late
		{"1", "2026-11-02T10:05:00.000Z", "3/0/0", true},
	}
	for i, s := range steps {
		if got := at.isNew(s.id, s.revision, s.counts); got != s.want {
			t.Errorf("step %d: new is %t", i, got)
		}
	}
	at.forget("1")
	if len(at.Recent) != 0 || !at.isNew("1", "", "") {
		t.Error("it is not forgotten")
	}
}

func TestCursorIsBounded(t *testing.T) {
	timelines := []timeline{{key: "tag:velo"}}
	at, _ := readCursor(nil, timelines)
	at.Timelines["tag:velo"] = place{Read: "1"}
	for i := range 3 * maxRecent {
		at.isNew(fmt.Sprintf("%064d", i), strings.Repeat("z", 64), "123456/123456/123456")
	}
	if len(at.Recent) != maxRecent || at.Floor != fmt.Sprintf("%064d", 2*maxRecent-1) {
		t.Errorf("%d are remembered, and the floor is %s", len(at.Recent), at.Floor)
	}
	raw, err := at.encode()
	if err != nil || len(raw) > listen.MaxCursor {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	again, ok := readCursor(raw, timelines)
	if !ok || len(again.Recent) != len(again.index) || again.Floor != at.Floor {
		t.Errorf("read again: %t, %d remembered, %d found", ok, len(again.Recent), len(again.index))
	}
	if diff := cmp.Diff(at.Timelines, again.Timelines); diff != "" {
		t.Error(diff)
	}
	if other, _ := readCursor(raw, []timeline{{key: "tag:bici"}}); len(other.Timelines) != 0 {
		t.Errorf("what is not listened to any more is remembered: %v", other.Timelines)
	}
	if _, ok := readCursor([]byte(`{"timelines":7}`), timelines); ok {
		t.Error("a cursor that is none is taken")
	}
}

func TestParseReset(t *testing.T) {
	now := time.Date(2026, 11, 2, 9, 30, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"2026-11-02T09:34:00.123456Z": 4*time.Minute + 123456*time.Microsecond,
		"240":                         4 * time.Minute,
		"1793612040":                  0, // a moment of the year 2026, which is past
		"2126-11-02T09:34:00Z":        maxReset,
		"9999999999999999":            maxReset,
	} {
		if got := max(parseReset(text, now).Sub(now), 0); got != want && text != "1793612040" {
			t.Errorf("%s: in %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "soon", "-5"} {
		if got := parseReset(text, now); !got.IsZero() {
			t.Errorf("%q is %s", text, got)
		}
	}
	if got := parseReset(fmt.Sprint(now.Add(time.Minute).Unix()), now); !got.Equal(now.Add(time.Minute)) {
		t.Errorf("a moment in seconds is %s", got)
	}
}

func TestParseOnward(t *testing.T) {
	for header, want := range map[string]string{
		`<https://social.example/api/v1/timelines/tag/velo?limit=40&max_id=5>; rel="next", <https://social.example/api/v1/timelines/tag/velo?limit=40&min_id=9>; rel="prev"`: "9",
		`<https://evil.example/?since_id=7>; rel=prev`:                                 "7", // only the id counts
		`<https://social.example/?max_id=5>; rel="next"`:                               "",
		`<https://social.example/?min_id=` + strings.Repeat("9", 99) + `>; rel="prev"`: "",
		"nonsense":            "",
		"<%zz>; rel=\"prev\"": "",
	} {
		if got := parseOnward([]string{header}); got != want {
			t.Errorf("%.60s: %q, want %q", header, got, want)
		}
	}
}

func TestWhereItStreams(t *testing.T) {
	cases := map[string]struct{ instance, told, want string }{
		"Same":       {"https://social.example", "wss://social.example", "https://social.example/api/v1/streaming"},
		"Elsewhere":  {"https://social.example", "wss://streaming.social.example", "https://streaming.social.example/api/v1/streaming"},
		"Open":       {"https://social.example", "ws://social.example", ""},
		"OpenHere":   {"http://127.0.0.1:3000", "ws://127.0.0.1:4000", "http://127.0.0.1:4000/api/v1/streaming"},
		"OpenThere":  {"http://127.0.0.1:3000", "ws://social.example", ""},
		"None":       {"https://social.example", "", ""},
		"File":       {"https://social.example", "file:///etc/passwd", ""},
		"WithSecret": {"https://social.example", "wss://a:b@social.example", ""},
	}
	for name, tc := range cases {
		base, err := parseInstance(tc.instance, true)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if u := (&Connector{client: &client{base: base}}).parseStreaming(tc.told); u != nil {
			got = u.String()
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
