package automate_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/automate"
)

func TestMermaid(t *testing.T) {
	want := `flowchart TD
  on(["purchase after 30d without one"])
  when{"event.amount #62; 50 #38;#38; contact.plan != #34;pro#34;"}
  on --> when
  when -->|yes| s0
  s0["hello: send welcome over mail"]
  s0 --> s1
  s1(["week: wait for review where event.order == trigger.order #38;#38; event.stars #62;= 4, 7d at most"])
  s1 -->|"came"| s2
  s1 -->|"not by then"| s3
  s2["thank: tag fan"]
  s2 --> s3
  s3{{"which: split"}}
  s3 -->|"50 #37;"| s4
  s3 -->|"50 #37;"| s5
  s4(["morning: wait until Monday 09:00"])
  s4 --> s5
  s5{"rich: if contact.lifetime#95;value #62; event.amount"}
  s5 -->|"yes"| s6
  s5 -->|"no"| s10
  s6["set: set plan = #34;club#34;, lifetime#95;value = event.amount"]
  s6 --> s7
  s7["tell: notify care"]
  s7 --> s8
  s8["go: start other"]
  s8 --> s9
  s9["off: untag fan"]
  s9 --> s10
  s10(("done: exit: all done"))
  exit[/"leaves at any wait when #34;stop#34; in contact.tags"/]
`
	if diff := cmp.Diff(want, read(t, wholeRule).Mermaid()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := read(t, steps(tell)).Mermaid(); !strings.HasSuffix(got, "  s0 --> ended\n  ended((( )))\n") {
		t.Errorf("the end is not drawn:\n%s", got)
	}
}

// TestMermaidOfHostileNames: nothing of a rule gets out of its box.
func TestMermaidOfHostileNames(t *testing.T) {
	for _, evil := range []string{
		"\"]; click s0 href \"https://evil.example\"", "<script>alert(1)</script>", "a\nb --> c", "a\r  s9[x]", "#quot;]", "%%{init: {}}%%", "`**b**`", "end", "é\u2028日本",
		strings.Repeat("x", 5000),
	} {
		rule := read(t, steps(`{"name": "a", "exit": {}}`))
		rule.Steps[0].Exit.Reason = evil
		plan, err := automate.Compile(rule, known())
		if err != nil {
			t.Fatal(err)
		}
		checkDrawing(t, plan)
	}
}

// line is one of a drawing whose texts are all within quotation marks.
var line = regexp.MustCompile(`^(flowchart TD|  (on|when|exit|ended|s[0-9]+)((\(\[|\{\{?|\[/?|\(\()"[^"<>\x00-\x1f]*"(\]\)|\}\}?|/?\]|\)\))|\(\(\( \)\)\)| -->(\|("[^"<>]*"|yes)\|)? (s[0-9]+|when|ended)))$`)

func checkDrawing(t *testing.T, plan *automate.Plan) {
	t.Helper()
	for _, l := range strings.Split(strings.TrimSuffix(plan.Rule.Mermaid(), "\n"), "\n") {
		if !line.MatchString(l) || len(l) > 2000 {
			t.Errorf("a line is not ours: %.300s", l)
		}
	}
}
