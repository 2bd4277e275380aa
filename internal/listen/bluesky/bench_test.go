package bluesky

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/egress"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/bluesky/blueskytest"
	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
)

// recorded are events in the shape of the public network's, one of a hundred with the keyword.
func recorded(n int) (all [][]byte, size int) {
	f := &blueskytest.Firehose{Seed: 1, Start: time.Now().Add(-time.Hour), Rate: 5000, Share: 100, Keyword: "velo"}
	for i := range n {
		e := f.Event(nil, int64(i)+10_000)
		all, size = append(all, e), size+len(e)
	}
	return all, size / n
}

func benchMatcher(b testing.TB) *match.Matcher {
	b.Helper()
	m, err := match.Compile([]match.Topic{{Name: "keywords", Any: []match.Term{
		{Word: "velo"}, {Phrase: "velo ciclismo"}, {Hashtag: "velociclismo"}, {Account: "velo.example"}, {Link: "velo.example"},
	}}})
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// BenchmarkJudge is what one event costs, from the message to the verdict.
func BenchmarkJudge(b *testing.B) {
	events, size := recorded(20_000)
	j := judge{matcher: benchMatcher(b), now: time.Now}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	wanted := 0
	for i := 0; b.Loop(); i++ {
		if v := j.judge(events[i%len(events)]); v.post != nil {
			wanted++
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	if b.N >= len(events) && (wanted < b.N/200 || wanted > b.N/50) {
		b.Errorf("of %d events %d are wanted, where one of a hundred should be", b.N, wanted)
	}
}

// BenchmarkDecode is the same events decoded by encoding/json, and nothing more.
func BenchmarkDecode(b *testing.B) {
	events, size := recorded(20_000)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		var e struct {
			DID    string `json:"did"`
			TimeUS int64  `json:"time_us"`
			Kind   string `json:"kind"`
			Commit struct {
				Operation, Collection, RKey, CID string
				Record                           record
			} `json:"commit"`
		}
		if err := json.Unmarshal(events[i%len(events)], &e); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkStream is a stream that is read as fast as it can be, over a WebSocket on this machine, with batches that are taken and thrown away. The
// server that makes the events runs in the same process, and takes about as much.
func BenchmarkStream(b *testing.B) {
	f := &blueskytest.Firehose{Seed: 1, Start: time.Now().Add(-24 * time.Hour), Rate: 5000, Share: 100, Keyword: "velo"}
	server := httptest.NewServer(f)
	defer server.Close()
	settings := Settings{Service: server.URL, AppView: server.URL, Jetstream: "ws" + server.URL[4:] + "/subscribe", Keywords: []match.Term{{Word: "velo"}}}
	data, err := json.Marshal(settings)
	if err != nil {
		b.Fatal(err)
	}
	c, err := New(listen.Options{
		Settings: data, UserAgent: "bench", Now: time.Now, Dial: dialHere.dial, Client: fetch.NewClient(fetch.Options{Dialer: egress.Dialer(dialHere)}),
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	from := f.Start.UnixMicro()
	var last atomic.Int64
	b.ResetTimer()
	cursor := fmt.Appendf(nil, `{"server":%q,"time_us":%d}`, server.Listener.Addr().String(), from+overlap.Microseconds())
	err = c.(listen.Streamer).Stream(ctx, cursor, func(_ context.Context, batch listen.Batch) error {
		at, err := readCursor(batch.Next)
		last.Store((at.TimeUS - from) * 5000 / 1e6)
		if last.Load() >= int64(b.N) {
			cancel()
		}
		return err
	})
	b.StopTimer()
	if ctx.Err() == nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(last.Load())/b.Elapsed().Seconds(), "events/s")
}
