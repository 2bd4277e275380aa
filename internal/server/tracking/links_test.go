package tracking

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// linkTable is a database of links; it counts how often it is asked.
type linkTable struct {
	links map[int64][]store.Link
	asked int
}

func (l *linkTable) SendLinks(_ context.Context, send int64) ([]store.Link, error) {
	l.asked++
	return l.links[send], nil
}

func TestLinksAreReadOnceForASend(t *testing.T) {
	table := &linkTable{links: map[int64][]store.Link{1: {
		{ID: 1, SendID: 1, URL: "https://velo.example/1"},
		{ID: 2, SendID: 1, URL: "https://velo.example/2"},
		{ID: 3, SendID: 1, URL: "javascript:alert(1)"},
		{ID: 4, SendID: 1, URL: "https://velo.example/{{ contact.plan }}"},
	}}}
	links := NewLinks(table)
	for _, id := range []int64{1, 2, 1, 2} {
		target, err := links.Find(t.Context(), 1, id)
		if err != nil || target[0] != "https://velo.example/"+strconv.FormatInt(id, 10) {
			t.Errorf("link %d: %v, %v", id, target, err)
		}
	}
	if table.asked != 1 {
		t.Errorf("asked %d times", table.asked)
	}
	for _, key := range []linkKey{{1, 3}, {1, 4}, {1, 99}, {2, 1}} {
		if target, err := links.Find(t.Context(), key.send, key.link); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%v leads to %v, %v", key, target, err)
		}
	}
}

func TestLinksAreBounded(t *testing.T) {
	table := &linkTable{links: map[int64][]store.Link{}}
	links := NewLinks(table)
	long := "https://velo.example/" + strings.Repeat("x", 1900)
	for send := range int64(10_000) { // of 20 MB
		table.links[send] = []store.Link{{ID: send, SendID: send, URL: long}}
		if _, err := links.Find(t.Context(), send, send); err != nil {
			t.Fatal(err)
		}
		if _, ok := links.Known(send, send); !ok {
			t.Fatalf("link %d was forgotten at once", send)
		}
	}
	if links.bytes > maxLinkBytes || links.bytes != len(links.known)*(len(long)+linkOverhead) {
		t.Errorf("%d links of %d bytes are remembered", len(links.known), links.bytes)
	}
}

func TestVisitorsAreBoundedAndToldApart(t *testing.T) {
	v := NewVisitors()
	for i := range 3 * maxAgents {
		v.Read("agent "+strconv.Itoa(i), "192.0.2.1")
	}
	v.Read(strings.Repeat("x", maxAgent+1), "192.0.2.1")
	if len(v.agents) > maxAgents || v.agents[strings.Repeat("x", maxAgent+1)] != (agent{}) {
		t.Errorf("%d agents are remembered", len(v.agents))
	}
	_, one := v.Read("Firefox", "192.0.2.1")
	_, again := v.Read("Firefox", "192.0.2.1")
	_, elsewhere := v.Read("Firefox", "192.0.2.2")
	_, other := v.Read("Chrome", "192.0.2.1")
	if one != again || one == elsewhere || one == other {
		t.Errorf("%x, %x, %x, %x", one, again, elsewhere, other)
	}
	if n := testing.AllocsPerRun(100, func() { v.Read("Firefox", "192.0.2.1") }); n > 0 {
		t.Errorf("%.1f allocations for a visitor", n)
	}
}
