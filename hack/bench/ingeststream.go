package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen/bluesky/jetstream"
)

// streamArgument makes this program one that serves a stream of events: see runStream.
const streamArgument = "serve-events"

// ingestEvents are events in the shape of Bluesky's Jetstream, each made of its number alone, so that none has to be kept for who comes
// back: number n was written n gaps after the stream began.
type ingestEvents struct {
	began     time.Time
	perSecond int
	quiet     []string // texts about nothing
	about     []string // texts with a keyword
}

const (
	ingestShare = matchShare // of so many events one has a keyword
	ingestTexts = 20_000
	// deleteShare is how many events there are for one that deletes a post, which nobody had wanted.
	deleteShare = 37
	// ingestTick is how often events are sent.
	ingestTick = 10 * time.Millisecond
)

// ingestKeywords are what the source wants.
var ingestKeywords = []string{"velociclismo", "pedalia", "rodamar", "bicicleteria", "gravelfest"}

func newIngestEvents(began time.Time, perSecond int) *ingestEvents {
	e := &ingestEvents{began: began, perSecond: perSecond}
	world := newMatchWorld()
	for i := range ingestTexts {
		e.quiet = append(e.quiet, strings.TrimSpace(world.text(i*matchShare+1)))
		if i%20 == 0 {
			e.about = append(e.about, ingestKeywords[i/20%len(ingestKeywords)]+" "+strings.TrimSpace(world.text(i*matchShare+1)))
		}
	}
	return e
}

// at is when an event was written, and number the first event that was written then or later.
func (e *ingestEvents) at(n int64) time.Time {
	return e.began.Add(time.Duration(n) * time.Second / time.Duration(e.perSecond))
}

func (e *ingestEvents) number(at time.Time) int64 {
	since := at.Sub(e.began)
	if since <= 0 {
		return 0
	}
	return (since.Nanoseconds()*int64(e.perSecond) + int64(time.Second) - 1) / int64(time.Second)
}

// wanted tells whether an event has a keyword.
func (e *ingestEvents) wanted(n int64) bool { return n%ingestShare == 0 }

func author(n int64) string { return fmt.Sprintf("did:plc:%024d", n%50_000) }

// id is a post's, as a source stores it.
func (e *ingestEvents) id(n int64) string {
	return "at://" + author(n) + "/app.bsky.feed.post/" + recordKey(n)
}

func recordKey(n int64) string { return fmt.Sprintf("3l%011d", n) }

// append writes an event as it is sent.
func (e *ingestEvents) append(to []byte, n int64) []byte {
	at := e.at(n)
	to = append(to, `{"did":"`...)
	if n%deleteShare == 1 && !e.wanted(n) && n > ingestShare {
		old := n - 2
		if e.wanted(old) {
			old--
		}
		to = append(append(to, author(old)...), `","time_us":`...)
		to = strconv.AppendInt(to, at.UnixMicro(), 10)
		to = append(to, `,"kind":"commit","commit":{"rev":"3l3qo2vutsw2b","operation":"delete","collection":"app.bsky.feed.post","rkey":"`...)
		return append(append(to, recordKey(old)...), `"}}`...)
	}
	text, reply := e.quiet[n%int64(len(e.quiet))], "did:plc:z72i7hdynmk6r22z27h6tvur/app.bsky.feed.post/3l3qte3f7zc2k"
	if e.wanted(n) {
		text = e.about[n/ingestShare%int64(len(e.about))]
	}
	to = append(append(to, author(n)...), `","time_us":`...)
	to = strconv.AppendInt(to, at.UnixMicro(), 10)
	to = append(to, `,"kind":"commit","commit":{"rev":"3l3qo2vutsw2b","operation":"create","collection":"app.bsky.feed.post","rkey":"`...)
	to = append(append(to, recordKey(n)...), `","record":{"$type":"app.bsky.feed.post","createdAt":"`...)
	to = at.UTC().AppendFormat(to, "2006-01-02T15:04:05.000Z")
	to = append(to, `","langs":["es"],"reply":{"parent":{"cid":"bafyreib2rxk3rh6kzwq","uri":"at://`...)
	to = append(append(to, reply...), `"},"root":{"cid":"bafyreib2rxk3rh6kzwq","uri":"at://`...)
	to = append(append(to, reply...), `"}},"text":`...)
	quoted, _ := json.Marshal(text) // a string always can be
	to = append(to, quoted...)
	return append(to, `},"cid":"bafyreidwaivazkwu67xztlmuobx35hs2lnfh3kolmgfmucldvhd3sgzcqi"}}`...)
}

// runStream is the process that sends them: how many a second, and how many in all. It prints its address, and begins with the first
// who connects. Who names a cursor gets what came after it again.
func runStream(ctx context.Context, arguments []string) error {
	if len(arguments) != 3 {
		return errors.New("this is started by the benchmark of streams")
	}
	var numbers [3]int64 // when it begins, in microseconds since 1970; events a second; events in all
	for i, argument := range arguments {
		n, err := strconv.ParseInt(argument, 10, 64)
		if err != nil {
			return err
		}
		numbers[i] = n
	}
	events := newIngestEvents(time.UnixMicro(numbers[0]), int(numbers[1]))
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reader, ok := jetstream.Accept(w, r)
		if !ok {
			return
		}
		defer reader.Close()
		from := events.number(time.Now())
		if reader.Cursor > 0 {
			from = events.number(time.UnixMicro(reader.Cursor))
		}
		if err := events.send(reader, from, numbers[2]); err != nil {
			fmt.Fprintln(os.Stderr, "stream:", err)
		}
	})}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	fmt.Println(l.Addr())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// send sends events as they are written, and those that were written before at once.
func (e *ingestEvents) send(reader *jetstream.Stream, next, end int64) error {
	tick := time.NewTicker(ingestTick)
	defer tick.Stop()
	var buffer []byte
	for {
		for now := min(e.number(time.Now()), end); next < now; next++ {
			buffer = e.append(buffer[:0], next)
			if err := reader.Send(buffer); err != nil {
				return err
			}
		}
		select {
		case <-reader.Done():
			return nil
		case <-tick.C:
		}
	}
}
