package sink

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// posts posts a message and returns the status, or 0 where none came.
func posts(t *testing.T, o Options, header, id string, number int) int {
	t.Helper()
	body := fmt.Sprintf(`{"id":%q,"subject":"n%d","contact":{"email":"c%d@people.example"}}`, id, number, number)
	request, err := http.NewRequest(http.MethodPost, "http://"+o.Endpoint+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(idHeader, header)
	request.GetBody = nil // or it is sent again
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode
}

func TestEndpoint(t *testing.T) {
	o, record := running(t, Script{Rules: []Rule{
		{Stage: Dot, Every: 10, Rest: 2, Times: 1, Reply: "503"},
		{Stage: Dot, Every: 10, Rest: 3, Close: true},
	}})
	dial(t, o.Endpoint)
	var got []int
	for _, p := range []struct {
		header, id string
		number     int
	}{{"a.1", "a.1", 1}, {"a.2", "a.2", 2}, {"a.2", "a.2", 2}, {"a.3", "a.3", 3}, {"a.9", "a.4", 4}} {
		got = append(got, posts(t, o, p.header, p.id, p.number))
	}
	if diff := cmp.Diff([]int{200, 503, 200, 0, 422}, got); diff != "" {
		t.Errorf("the answers differ (-want +got):\n%s", diff)
	}
	entries, err := record.Entries()
	if err != nil {
		t.Fatal(err)
	}
	want := []Entry{
		{To: "c1@people.example", Person: 1, Message: "a.1", Answer: 200},
		{To: "c2@people.example", Person: 2, Message: "a.2", Answer: 503},
		{To: "c2@people.example", Person: 2, Message: "a.2", Answer: 200},
		{To: "c3@people.example", Person: 3, Message: "a.3"},
	}
	if diff := cmp.Diff(want, entries); diff != "" {
		t.Errorf("the record differs (-want +got):\n%s", diff)
	}
}
