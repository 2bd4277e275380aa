package conversation

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
)

// start serves a conversation whose clock the test moves.
func start(t *testing.T, since time.Duration) (base string, o Options, clock *atomic.Int64) {
	t.Helper()
	clock = &atomic.Int64{}
	clock.Store(noon.UnixNano())
	o = Options{
		Listen: "127.0.0.1:0", Since: noon.Add(-since), Timeline: Timeline{Seed: 1, Crisis: noon.Add(-time.Hour)},
		Now: func() time.Time { return time.Unix(0, clock.Load()).UTC() },
	}
	c, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c.Addr(), o, clock
}

func dial(t *testing.T, address, query string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	connection, response, err := websocket.Dial(ctx, "ws://"+address+StreamPath+query, nil)
	if err != nil {
		t.Fatalf("%v: %+v", err, response)
	}
	t.Cleanup(func() { _ = connection.CloseNow() })
	return connection
}

func receive(t *testing.T, connection *websocket.Conn) (m message) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, text, err := connection.Read(ctx)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTheStreamGoesOnFromItsCursor(t *testing.T) {
	address, o, clock := start(t, 6*time.Hour)
	var want []message
	for e := range o.Timeline.Events(o.Since, noon) {
		want = append(want, messageOf(e))
	}
	first := dial(t, address, "?wantedCollections=app.bsky.feed.post")
	var got []message
	for range len(want) / 2 {
		got = append(got, receive(t, first))
	}
	_ = first.CloseNow()
	second := dial(t, address, fmt.Sprintf("?cursor=%d&wantedCollections=app.bsky.*", got[len(got)-1].TimeUS))
	if again := receive(t, second); !cmp.Equal(again, got[len(got)-1]) {
		t.Errorf("it does not begin with what was at the cursor: %+v", again)
	}
	for len(got) < len(want) {
		got = append(got, receive(t, second))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("streamed (-want +got):\n%s", diff)
	}
	deleted := 0
	for _, m := range got {
		if m.Commit.Operation == "delete" {
			deleted++
			if m.Commit.Record != nil {
				t.Errorf("a deletion repeats what was written: %+v", m)
			}
		}
	}
	if deleted == 0 {
		t.Error("nobody deletes anything")
	}
	clock.Store(noon.Add(time.Hour).UnixNano())
	if next := receive(t, second); next.TimeUS <= noon.UnixMicro() {
		t.Errorf("what comes next was before: %+v", next)
	}
}

func TestOfTheStreamOnlyWhatIsWanted(t *testing.T) {
	address, o, clock := start(t, 6*time.Hour)
	var by *Person
	for e := range o.Timeline.Events(noon, noon.Add(time.Hour)) {
		by = e.Post.Author
	}
	one := dial(t, address, fmt.Sprintf("?cursor=%d&wantedDids=%s", noon.UnixMicro(), by.DID))
	clock.Store(noon.Add(time.Hour).UnixNano())
	if m := receive(t, one); m.DID != by.DID {
		t.Errorf("by somebody else: %+v", m)
	}
	for _, query := range []string{"?compress=true", "?cursor=x", "?cursor=-1"} {
		response, err := http.Get("http://" + address + StreamPath + query)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", query, response.Status)
		}
	}
}

func TestFacetsAreBytesOfTheText(t *testing.T) {
	text := "Qué gozada 😍 #VeloCiclismo @velo.example."
	var marked []string
	for _, f := range facetsOf(text) {
		marked = append(marked, text[f.Index.ByteStart:f.Index.ByteEnd]+" "+f.Features[0].Tag+f.Features[0].DID)
	}
	if diff := cmp.Diff([]string{"#VeloCiclismo VeloCiclismo", "@velo.example " + theShop.DID}, marked); diff != "" {
		t.Error(diff)
	}
}

func TestTheFeedIsAskedForOnce(t *testing.T) {
	address, _, clock := start(t, 35*24*time.Hour)
	get := func(tag string) (*http.Response, string) {
		t.Helper()
		request, err := http.NewRequest(http.MethodGet, "http://"+address+FeedPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tag != "" {
			request.Header.Set("If-None-Match", tag)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(text)
	}
	response, text := get("")
	var feed struct {
		Entries []struct {
			ID      string `xml:"id"`
			Updated string `xml:"updated"`
			Content string `xml:"content"`
		} `xml:"entry"`
	}
	if err := xml.Unmarshal([]byte(text), &feed); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for i, e := range feed.Entries {
		ids[e.ID] = true
		if i > 0 && e.Updated > feed.Entries[i-1].Updated || !strings.HasPrefix(e.Content, "<p>") {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
	if n := len(feed.Entries); n < 15 || n > maxEntries || len(ids) != n {
		t.Errorf("%d entries, %d ids", n, len(ids))
	}
	tag := response.Header.Get("ETag")
	if response, _ := get(tag); response.StatusCode != http.StatusNotModified {
		t.Errorf("asked again: %s", response.Status)
	}
	clock.Add(int64(4 * 24 * time.Hour))
	if response, text := get(tag); response.StatusCode != http.StatusOK || !strings.Contains(text, "2026-11-2") {
		t.Errorf("after four days: %s", response.Status)
	}
}

func TestProfilesNameAuthors(t *testing.T) {
	address, _, _ := start(t, time.Hour)
	response, err := http.Get("http://" + address + ProfilesPath + "?actors=" + ShopDID + "&actors=did:plc:nobody&actors=" + people[7].DID)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct{ Profiles []profile }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if len(answer.Profiles) != 2 || answer.Profiles[0].Handle != "velo.example" || answer.Profiles[1].Followers < 12 {
		t.Errorf("profiles: %+v", answer.Profiles)
	}
	handles := map[string]bool{}
	for _, p := range people {
		if handles[p.Handle] || len(accounts) != population+1 {
			t.Errorf("%s is there twice", p.Handle)
		}
		handles[p.Handle] = true
	}
}
