package webhook

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

const (
	documentPath = "../../../docs/networks/webhook.md"
	schemaPath   = "../../../docs/networks/webhook.schema.json"
)

// blocks are the examples of a language in the document.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	document, err := os.ReadFile(documentPath)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, block := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(document), -1) {
		list = append(list, block[1])
	}
	return list
}

// TestTheDocumentsExamples are taken as they stand there.
func TestTheDocumentsExamples(t *testing.T) {
	examples := blocks(t, "json")
	if len(examples) < 3 {
		t.Fatalf("the document has %d examples", len(examples))
	}
	for _, example := range examples {
		batch, err := receive(t, example)
		if err != nil || len(batch.Posts) == 0 {
			t.Errorf("%s: %v", example, err)
		}
		for i := range batch.Posts {
			if refused := listen.Normalize(&batch.Posts[i], now); refused != "" {
				t.Errorf("%s: %s", example, refused)
			}
		}
	}
}

// TestTheDocumentsRequest runs what stands there for a shell.
func TestTheDocumentsRequest(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("this machine has no %s", tool)
		}
	}
	var script string
	for _, block := range blocks(t, "sh") {
		if strings.Contains(block, "curl ") {
			script = block
		}
	}
	var batch listen.Batch
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		taken, response, err := open(t).Receive(r.Context(), listen.Request{Method: r.Method, Header: r.Header, Body: body, At: time.Now()})
		if err != nil {
			t.Errorf("receive: %v", err)
			w.WriteHeader(response.Status)
		}
		batch = taken
	}))
	defer server.Close()
	script = regexp.MustCompile(`(?m)^address=.*$`).ReplaceAllLiteralString(script, "address="+server.URL)
	command := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script) //nolint:gosec // the document's example
	command.Env = append(os.Environ(), "key="+key)
	if said, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if len(batch.Posts) != 1 || batch.Posts[0].Rating == nil || batch.Posts[0].Rating.Value != 5 {
		t.Errorf("it brings %+v", batch)
	}
}

// TestTheSchema has the fields that are read, no more and no fewer, and their words.
func TestTheSchema(t *testing.T) {
	content, err := os.ReadFile(schemaPath)
	if err != nil {
		t.Fatal(err)
	}
	type object struct {
		Properties map[string]struct {
			Enum       []string       `json:"enum"`
			MaxItems   int            `json:"maxItems"`
			Properties map[string]any `json:"properties"`
			Items      struct {
				Properties map[string]struct {
					Enum []string `json:"enum"`
				} `json:"properties"`
			} `json:"items"`
		} `json:"properties"`
	}
	var schema struct {
		object
		Defs map[string]object `json:"$defs"`
	}
	if err := json.Unmarshal(content, &schema); err != nil {
		t.Fatal(err)
	}
	ofPost := schema.Defs["post"].Properties
	for name, tc := range map[string]struct {
		of  any
		got []string
	}{
		"post":       {post{}, slices.Sorted(maps.Keys(ofPost))},
		"account":    {account{}, slices.Sorted(maps.Keys(schema.Defs["account"].Properties))},
		"deletion":   {deletion{}, slices.Sorted(maps.Keys(schema.Defs["deletion"].Properties))},
		"media":      {medium{}, slices.Sorted(maps.Keys(ofPost["media"].Items.Properties))},
		"engagement": {engagement{}, slices.Sorted(maps.Keys(ofPost["engagement"].Properties))},
		"rating":     {rating{}, slices.Sorted(maps.Keys(ofPost["rating"].Properties))},
	} {
		var want []string
		for i := range reflect.TypeOf(tc.of).NumField() {
			want = append(want, reflect.TypeOf(tc.of).Field(i).Tag.Get("json"))
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, tc.got); diff != "" {
			t.Errorf("%s (-read +schema):\n%s", name, diff)
		}
	}
	for name, tc := range map[string]struct{ want, got []string }{
		"kinds":        {slices.Sorted(maps.Keys(kinds)), slices.Sorted(slices.Values(ofPost["kind"].Enum))},
		"visibilities": {slices.Sorted(maps.Keys(visibilities)), slices.Sorted(slices.Values(ofPost["visibility"].Enum))},
		"media":        {slices.Sorted(maps.Keys(mediaTypes)), slices.Sorted(slices.Values(ofPost["media"].Items.Properties["type"].Enum))},
	} {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("%s (-read +schema):\n%s", name, diff)
		}
	}
	if schema.Properties["posts"].MaxItems != listen.MaxBatch || schema.Properties["deleted"].MaxItems != listen.MaxBatch {
		t.Error("the schema has other bounds")
	}
}
