package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// maxFaults is how many faults are told at a time.
const maxFaults = 5

// faults are what is wrong with a request, the first of them with their paths. They repeat nothing that was sent.
type faults struct {
	count int
	told  []string
}

func (f *faults) add(path, format string, args ...any) {
	if f.count++; f.count <= maxFaults {
		f.told = append(f.told, path+": "+fmt.Sprintf(format, args...))
	}
}

// err is nil where nothing is wrong.
func (f *faults) err() error {
	if f.count == 0 {
		return nil
	}
	told := strings.Join(f.told, "; ")
	if more := f.count - len(f.told); more > 0 {
		told += fmt.Sprintf("; and %d more", more)
	}
	return listen.Troublef(listen.Malformed, "%s. Nothing of the request was stored.", told)
}

// read reads the body of a request. It is taken whole or not at all, so that who sends it knows. An error is a *listen.Trouble.
func read(body []byte) (listen.Batch, error) {
	var f faults
	var envelope struct {
		Posts   *[]json.RawMessage `json:"posts"`
		Deleted *[]json.RawMessage `json:"deleted"`
	}
	if !utf8.Valid(body) {
		return listen.Batch{}, listen.Troublef(listen.Malformed, "body: it is not UTF-8. Nothing of the request was stored.")
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		f.add(pathOf("body", err), "%s", wrong(err))
		return listen.Batch{}, f.err()
	}
	if envelope.Posts == nil && envelope.Deleted == nil {
		f.add("body", "it has neither posts nor deleted: write {\"posts\": […]}")
		return listen.Batch{}, f.err()
	}
	var b listen.Batch
	for i, raw := range members(&f, "posts", envelope.Posts) {
		if p := readPost(&f, fmt.Sprintf("posts[%d]", i), raw); f.count == 0 {
			b.Posts = append(b.Posts, p)
		}
	}
	for i, raw := range members(&f, "deleted", envelope.Deleted) {
		if d := readDeletion(&f, fmt.Sprintf("deleted[%d]", i), raw); f.count == 0 {
			b.Deleted = append(b.Deleted, d)
		}
	}
	if err := f.err(); err != nil {
		return listen.Batch{}, err
	}
	return b, nil
}

// members are those of a list, where it is none too long.
func members(f *faults, path string, list *[]json.RawMessage) []json.RawMessage {
	if list == nil {
		return nil
	}
	if len(*list) > listen.MaxBatch {
		f.add(path, "it has %d members, more than %d: send them in several requests", len(*list), listen.MaxBatch)
		return nil
	}
	return *list
}

// readInto decodes an object, and notes where it is none.
func readInto(f *faults, path string, raw json.RawMessage, into any) bool {
	if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		f.add(path, "it is null: write an object")
		return false
	}
	if err := json.Unmarshal(raw, into); err != nil {
		f.add(pathOf(path, err), "%s", wrong(err))
		return false
	}
	return true
}

// pathOf is where a value is that cannot be decoded.
func pathOf(path string, err error) string {
	var mistyped *json.UnmarshalTypeError
	switch {
	case !errors.As(err, &mistyped) || mistyped.Field == "":
		return path
	case path == "body":
		return mistyped.Field
	}
	return path + "." + mistyped.Field
}

// wrong says what is wrong with a value, by its type.
func wrong(err error) string {
	var mistyped *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &mistyped):
		kind, _, _ := strings.Cut(mistyped.Value, " ") // a number stands behind it
		return fmt.Sprintf("it is a JSON %s and should be %s", kind, wanted(mistyped.Type.Kind().String()))
	case errors.As(err, &syntax):
		return fmt.Sprintf("it is no JSON from byte %d on", syntax.Offset)
	}
	return "it is no JSON"
}

func wanted(kind string) string {
	switch kind {
	case "struct", "ptr":
		return "an object"
	case "slice":
		return "an array"
	case "string":
		return "a string"
	case "bool":
		return "true or false"
	case "int64":
		return "a whole number"
	}
	return "a number"
}

func readDeletion(f *faults, path string, raw json.RawMessage) listen.Deletion {
	var d deletion
	if !readInto(f, path, raw, &d) {
		return listen.Deletion{}
	}
	if (d.ID == "") == (d.Author == "") {
		f.add(path, "write either id, of a post, or author, of somebody whose posts are all gone")
	}
	if d.ID != "" {
		checkID(f, path+".id", d.ID)
	} else {
		checkID(f, path+".author", d.Author)
	}
	return listen.Deletion{PostID: d.ID, AuthorID: d.Author}
}

// checkID notes what cannot be an id.
func checkID(f *faults, path, id string) {
	p := listen.Post{ID: id}
	if refused := listen.Normalize(&p, epoch); refused != "" {
		f.add(path, "%s (at most %d bytes, without control characters)", refused, listen.MaxID)
	}
}
