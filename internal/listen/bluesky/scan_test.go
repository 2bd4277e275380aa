package bluesky

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// told is what an event says, as encoding/json reads it: of a member that is there twice the last counts, for both.
type told struct {
	DID, Kind, Operation, Collection, RKey, CID, Status string
	TimeUS                                              int64
	Active                                              bool
	Record                                              string
}

// plainly reads an event by encoding/json. ok is false for what the scanner need not read alike: escapes in identifiers, which none has.
func plainly(message []byte) (t told, ok bool) {
	var e map[string]json.RawMessage
	if json.Unmarshal(message, &e) != nil || bytes.Contains(message, []byte(`\`)) || !utf8.Valid(message) {
		return t, false
	}
	text := func(m map[string]json.RawMessage, name string) (s string) { _ = json.Unmarshal(m[name], &s); return s }
	t.DID, t.Kind = text(e, "did"), text(e, "kind")
	if s := string(e["time_us"]); strings.Trim(s, "0123456789") == "" && len(s) <= 18 {
		_ = json.Unmarshal(e["time_us"], &t.TimeUS)
	}
	var commit, account map[string]json.RawMessage
	_ = json.Unmarshal(e["commit"], &commit)
	_ = json.Unmarshal(e["account"], &account)
	t.Operation, t.Collection, t.RKey, t.CID = text(commit, "operation"), text(commit, "collection"), text(commit, "rkey"), text(commit, "cid")
	t.Record = string(commit["record"])
	t.Status, t.Active = text(account, "status"), string(account["active"]) == "true"
	return t, true
}

var events = map[string]string{
	"a post": `{"did":"did:plc:abc","time_us":1725911162329308,"kind":"commit","commit":{"rev":"3l3qo2vutsw2b","operation":"create",` +
		`"collection":"app.bsky.feed.post","rkey":"3l3qo2vuowo2b","record":{"$type":"app.bsky.feed.post","text":"a } \" [ b"},"cid":"bafyrei"}}`,
	"spaces, and another order": "\n{ \"commit\" : { \"record\" : [ ] , \"rkey\":\"a\" } ,\t\"kind\":\"commit\" , \"time_us\" : 5 , \"did\":\"did:web:a.example\" }\n",
	"an account":                `{"did":"did:plc:abc","time_us":1,"kind":"account","account":{"active":false,"did":"did:plc:abc","seq":3,"status":"deleted","time":"t"}}`,
	"other types":               `{"did":["did:plc:abc"],"time_us":"1","kind":{"a":1},"commit":[{"rkey":"a"}],"account":null}`,
	"a number too long":         `{"did":"did:plc:abc","time_us":99999999999999999999999,"kind":"commit"}`,
	"a negative number":         `{"did":"did:plc:abc","time_us":-5,"kind":"commit"}`,
	"a fraction":                `{"did":"did:plc:abc","time_us":1.5e3,"kind":"commit"}`,
	"no object":                 `[1,2]`, "nothing": ``, "half": `{"did":"did:plc:abc","commit":{"record":{"text":"`,
	"a bracket only": `{`, "deep": strings.Repeat(`{"commit":`, 10_000), "deep lists": `{"x":` + strings.Repeat("[", 100_000),
	"a lone quote": `{"did":"`, "an escaped quote at the end": `{"did":"\"`, "commas": `{,,,"did":"did:plc:abc",,}`, "a colon": `{"did"::"x"}`,
}

func TestReadEvent(t *testing.T) {
	for name, message := range events {
		t.Run(name, func(t *testing.T) { compareEvent(t, []byte(message)) })
	}
	var e event
	if !readEvent([]byte(events["a post"]), &e) || string(e.rkey) != "3l3qo2vuowo2b" || e.timeUS != 1725911162329308 {
		t.Errorf("the post reads as %+v", e)
	}
	if readEvent([]byte(events["other types"]), &e) || readEvent([]byte(events["half"]), &e) {
		t.Error("what is no event is taken for one")
	}
}

func compareEvent(t *testing.T, message []byte) {
	t.Helper()
	var e event
	ok := readEvent(message, &e)
	want, plain := plainly(message)
	if !plain || !onceEach(message) {
		return
	}
	got := told{
		DID: string(e.did), Kind: string(e.kind), Operation: string(e.operation), Collection: string(e.collection), RKey: string(e.rkey), CID: string(e.cid),
		Status: string(e.status), TimeUS: e.timeUS, Active: e.active, Record: string(e.record),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%.200q reads otherwise (-encoding/json +here):\n%s", message, diff)
	}
	if sound := want.TimeUS > 0 && want.Kind != "" && isDID([]byte(want.DID)); ok != sound {
		t.Errorf("%.200q is taken for an event: %t, want %t", message, ok, sound)
	}
}

// onceEach tells whether no name is there twice, for which nobody says what it means.
func onceEach(message []byte) bool {
	for _, name := range []string{"did", "time_us", "kind", "commit", "account", "operation", "collection", "rkey", "cid", "record", "status", "active"} {
		if bytes.Count(message, []byte(`"`+name+`"`)) > 1 && name != "did" || bytes.Count(message, []byte(`"did"`)) > 2 {
			return false
		}
	}
	return true
}

func FuzzReadEvent(f *testing.F) {
	for _, message := range events {
		if len(message) < 1000 { // mutants of the long ones take long
			f.Add([]byte(message))
		}
	}
	f.Fuzz(func(t *testing.T, message []byte) { compareEvent(t, message) })
}
