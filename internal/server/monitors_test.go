package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// get reads what stands at an address.
func (l *listening) get(path string, into any) {
	l.t.Helper()
	answer := l.request(http.MethodGet, path, "")
	if answer.status != http.StatusOK {
		l.t.Fatalf("%s: %d %s", path, answer.status, answer.body)
	}
	answer.json(l.t, into)
}

func TestMonitorsTellWhatIsSaid(t *testing.T) {
	l := newListening(t)
	l.take("forum", l.said("1", 1, "Velo mal", "es", sentiment.Negative), l.said("2", 2, "Velo bien", "es", sentiment.Positive),
		l.said("3", 3, "Pedalia bien", "es", sentiment.Positive))
	l.take("reviews", l.said("4", 4, "Velo mal", "es", sentiment.Negative))
	window := url.Values{"from": {l.begun.Add(-10 * time.Minute).Format(time.RFC3339)}, "to": {l.begun.Add(time.Hour).Format(time.RFC3339)}}.Encode()

	var monitors struct {
		Monitors []struct {
			Name, Baseline string
			Topics         []struct{ Name, Role string }
		}
	}
	l.get("/v1/monitors", &monitors)
	if m := monitors.Monitors; len(m) != 1 || m[0].Name != "velo" || m[0].Baseline != "Learning" || len(m[0].Topics) != 2 {
		t.Errorf("monitors: %+v", monitors)
	}
	var series struct {
		Topics []string
		Points []struct{ Mentions, Negatives, Positives, Engagement int }
	}
	counted := func(query string) string {
		t.Helper()
		l.get("/v1/monitors/velo/series?"+window+query, &series)
		var sum struct{ mentions, negatives, positives, engagement int }
		for _, p := range series.Points {
			sum.mentions, sum.negatives = sum.mentions+p.Mentions, sum.negatives+p.Negatives
			sum.positives, sum.engagement = sum.positives+p.Positives, sum.engagement+p.Engagement
		}
		return fmt.Sprint(series.Topics, sum)
	}
	for query, want := range map[string]string{
		"":               "[brand] {3 2 1 9}",
		"&topic=rival":   "[rival] {1 0 1 3}",
		"&source=forum":  "[brand] {2 1 1 6}",
		"&step=5m":       "[brand] {3 2 1 9}",
		"&source=nobody": "[brand] {0 0 0 0}",
	} {
		if got := counted(query); got != want {
			t.Errorf("series %s: %s, want %s", query, got, want)
		}
	}
	var share struct {
		Topics []struct {
			Topic    string
			Mentions int
			Share    float64
		}
	}
	l.get("/v1/monitors/velo/share?"+window, &share)
	if got := fmt.Sprint(share.Topics); got != "[{brand 3 0.75} {rival 1 0.25}]" {
		t.Errorf("share of voice: %s", got)
	}
	var engagement struct {
		Sources []struct{ Source, Topic string }
	}
	l.get("/v1/monitors/velo/engagement?"+window, &engagement)
	if len(engagement.Sources) != 3 {
		t.Errorf("engagement: %+v", engagement)
	}
	for _, path := range []string{"/responses?" + window, "/terms?topic=brand", "/incidents"} {
		l.get("/v1/monitors/velo"+path, &struct{}{})
	}
	for path, want := range map[string]int{
		"/v1/monitors/none": 404, "/v1/monitors/none/series": 404, "/v1/monitors/none/share": 404, "/v1/monitors/none/incidents": 404,
		"/v1/monitors/velo/series?topic=none": 422, "/v1/monitors/velo/series?step=2h": 422, "/v1/monitors/velo/series?time_zone=Nowhere": 422,
		"/v1/monitors/velo/series?from=2026-11-22T00:00:00Z&to=2026-11-21T00:00:00Z": 422, "/v1/monitors/velo/share?from=2010-01-01T00:00:00Z": 422,
		"/v1/monitors/velo/incidents/00000000-0000-4000-8000-000000000000": 404, "/v1/monitors/velo/incidents?after=x": 422,
	} {
		if answer := l.request(http.MethodGet, path, ""); answer.status != want {
			t.Errorf("%s: %d, want %d: %.300s", path, answer.status, want, answer.body)
		}
	}
}

func TestCountsAreFilledIn(t *testing.T) {
	l := newListening(t)
	var text strings.Builder
	text.WriteString("time,mentions,negatives,authors\n")
	began := time.Now().UTC().Truncate(time.Hour).Add(-48 * time.Hour)
	for i := range 24 {
		fmt.Fprintf(&text, "%s,%d,1,1\n", began.Add(time.Duration(i)*time.Hour).Format(time.RFC3339), 10+i)
	}
	fill := func(path, body string) answer {
		t.Helper()
		return l.request(http.MethodPost, path, body, "Content-Type", "text/csv")
	}
	filled := fill("/v1/monitors/velo/counts", text.String()+"x,1,1,1\n")
	var got struct {
		Topic    string
		Steps    int
		BadCount int `json:"bad_count"`
		BadLines []struct {
			Line  int
			Error string
		} `json:"bad_lines"`
	}
	filled.json(t, &got)
	if filled.status != http.StatusOK || got.Topic != "brand" || got.Steps != 288 || got.BadCount != 1 || got.BadLines[0].Line != 26 {
		t.Errorf("filled in: %d %s", filled.status, filled.body)
	}
	if sum := l.rows("select sum(mentions)::int from monitor_tally"); !cmp.Equal(sum, []string{fmt.Sprint(24*10 + 23*24/2)}) {
		t.Errorf("counted: %v", sum)
	}
	for name, c := range map[string]struct {
		path, body string
		want       int
	}{
		"no monitor": {"/v1/monitors/none/counts", text.String(), 404},
		"no topic":   {"/v1/monitors/velo/counts?topic=none", text.String(), 422},
		"no columns": {"/v1/monitors/velo/counts", "a,b\n1,2\n", 422},
		"no counts":  {"/v1/monitors/velo/counts", "time,mentions,negatives,authors\n", 422},
		"nothing":    {"/v1/monitors/velo/counts", "", 400},
		"too much":   {"/v1/monitors/velo/counts", strings.Repeat("x", 16<<20+1), 413},
	} {
		if answer := fill(c.path, c.body); answer.status != c.want {
			t.Errorf("%s: %d, want %d: %.300s", name, answer.status, c.want, answer.body)
		}
	}
}

func TestSourcesTellHowListeningGoes(t *testing.T) {
	l := newListening(t)
	var list struct {
		Sources []struct {
			Name, Type, State string
			Brought, Gaps     int
			MovedTo           string `json:"moved_to"`
			LastGap           *struct {
				From   *time.Time
				Reason string
			} `json:"last_gap"`
		}
	}
	l.take("forum", l.said("1", 1, "Velo", "es", sentiment.Neutral))
	gap := listen.Gap{To: l.begun, Reason: "The network keeps a day."}
	if _, err := l.db.TakeHooked(context.Background(), "forum", listen.Batch{Network: "webhook:forum", Gaps: []listen.Gap{gap}}, nil); err != nil {
		t.Fatal(err)
	}
	l.exec("update social_source_state t set moved = 'https://velo.example/new' from social_source s where s.id = t.source_id and s.name = 'forum'")
	l.get("/v1/sources", &list)
	s := list.Sources
	if len(s) != 2 || s[0].Name != "forum" || s[0].State != "Listening" || s[0].Brought != 1 || s[0].Gaps != 1 || s[0].LastGap == nil ||
		s[0].LastGap.From != nil || s[0].LastGap.Reason != gap.Reason || s[0].MovedTo != "https://velo.example/new" || s[1].State != "Waiting" {
		t.Errorf("sources: %+v", list)
	}
}
