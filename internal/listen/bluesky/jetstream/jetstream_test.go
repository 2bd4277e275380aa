package jetstream_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen/bluesky/jetstream"
)

// serve hands streams to who serves them until the test ends.
func serve(t *testing.T, play func(*jetstream.Stream)) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s, ok := jetstream.Accept(w, r); ok {
			defer s.Close()
			play(s)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestWhatIsAskedFor(t *testing.T) {
	asked := make(chan jetstream.Asked, 1)
	address := serve(t, func(s *jetstream.Stream) { asked <- s.Asked })
	for query, want := range map[string]*jetstream.Asked{
		"": {},
		"wantedCollections=app.bsky.feed.*&wantedCollections=app.bsky.feed.post&wantedDids=did:plc:a&cursor=17&maxMessageSizeBytes=9": {
			Collections: []string{"app.bsky.feed.*", "app.bsky.feed.post"}, Accounts: []string{"did:plc:a"}, Cursor: 17, Longest: 9,
		},
		"maxMessageSizeBytes=x":                       {},
		"cursor=x":                                    nil,
		"cursor=-1":                                   nil,
		"wantedCollections=app":                       nil,
		"wantedCollections=app.bsky.feed.p*":          nil,
		"compress=true":                               nil,
		strings.Repeat("wantedDids=d&", 10_001):       nil,
		strings.Repeat("wantedCollections=a.b&", 101): nil,
	} {
		conn, response, err := websocket.Dial(within(t), address+"/subscribe?"+query, nil) //nolint:bodyclose // the library reads it
		if want == nil {
			if err == nil || response.StatusCode != http.StatusBadRequest {
				t.Errorf("%.60q is given a stream", query)
			}
			continue
		}
		if err != nil {
			t.Errorf("%.60q: %v", query, err)
			continue
		}
		if diff := cmp.Diff(*want, <-asked); diff != "" {
			t.Errorf("%.60q (-want +got):\n%s", query, diff)
		}
		_ = conn.CloseNow()
	}
}

func TestWants(t *testing.T) {
	a := jetstream.Asked{Collections: []string{"app.bsky.feed.post", "com.example.*"}, Accounts: []string{"did:plc:a"}, Longest: 10}
	for name, tt := range map[string]struct {
		collection, account string
		size                int
		want                bool
	}{
		"a collection":         {"app.bsky.feed.post", "did:plc:a", 10, true},
		"one of many":          {"com.example.any", "did:plc:a", 10, true},
		"another collection":   {"app.bsky.feed.like", "did:plc:a", 10, false},
		"an account":           {"", "did:plc:a", 10, true},
		"another account":      {"", "did:plc:b", 10, false},
		"one that is too long": {"app.bsky.feed.post", "did:plc:a", 11, false},
	} {
		if got := a.Wants(tt.collection, tt.account, tt.size); got != tt.want {
			t.Errorf("%s is wanted: %t", name, got)
		}
	}
	if all := (&jetstream.Asked{}); !all.Wants("app.bsky.feed.like", "did:plc:b", 1<<20) {
		t.Error("who asks for nothing in particular is not told of all")
	}
}

// TestWhoSpeaks: a reader may send its options anew; one that sends nonsense, or goes, is told nothing more.
func TestWhoSpeaks(t *testing.T) {
	for said, stays := range map[string]bool{`{"type":"options_update","payload":{}}`: true, "{": false, "": false} {
		ended := make(chan struct{})
		address := serve(t, func(s *jetstream.Stream) {
			defer close(ended)
			for n := 0; s.Send(fmt.Append(nil, n)) == nil; n++ {
				select {
				case <-s.Done():
					return
				case <-time.After(time.Millisecond):
				}
			}
		})
		conn, _, err := websocket.Dial(within(t), address, nil) //nolint:bodyclose // the library reads it
		if err != nil {
			t.Fatal(err)
		}
		if said == "" {
			_ = conn.CloseNow()
		} else if err := conn.Write(within(t), websocket.MessageText, []byte(said)); err != nil {
			t.Fatal(err)
		}
		for read := 0; stays && read < 50; read++ {
			if _, _, err := conn.Read(within(t)); err != nil {
				t.Fatalf("%q: %v", said, err)
			}
		}
		if stays {
			_ = conn.CloseNow()
		}
		for !stays && said != "" {
			if _, _, err := conn.Read(within(t)); err != nil {
				break
			}
		}
		select {
		case <-ended:
		case <-within(t).Done():
			t.Errorf("%q: the stream does not end", said)
		}
	}
}

// TestEnd: who is cut off is told so by the end of the connection.
func TestEnd(t *testing.T) {
	address := serve(t, func(s *jetstream.Stream) {
		s.End()
		<-s.Done()
		if s.Send([]byte("{}")) == nil {
			t.Error("who was cut off is told of an event")
		}
	})
	conn, _, err := websocket.Dial(within(t), address, nil) //nolint:bodyclose // the library reads it
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.Read(within(t)); err == nil {
		t.Error("it goes on")
	}
}
