package judge

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/sentiment/learned"
)

// kept are models as a database keeps them.
type kept struct {
	version string
	models  map[string][]byte
	failed  error
	read    int
}

func (k *kept) SentimentModelVersion(context.Context) (string, error) { return k.version, k.failed }

func (k *kept) SentimentModelsInUse(context.Context) (map[string][]byte, error) {
	k.read++
	return k.models, k.failed
}

// slang is a model by which "salió rana" is bad.
func slang(t *testing.T) []byte {
	t.Helper()
	lexicon, err := Lexicon()
	if err != nil {
		t.Fatal(err)
	}
	var corrections []learned.Correction
	for i := range 300 {
		texts := []string{"La tabla salió rana", "Hoy llega el lunes", "El eje va que mata"}
		corrections = append(corrections, learned.Correction{
			Key: fmt.Append(nil, i), Text: fmt.Sprintf("%s, dice %c%c", texts[i%3], 'a'+i%26, 'a'+i/26), Label: sentiment.Labels()[i%3],
		})
	}
	m, trial, err := learned.Try(t.Context(), lexicon, sentiment.Spanish, corrections, nil)
	if err != nil || m == nil {
		t.Fatalf("%+v, %v", trial, err)
	}
	blob, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

func TestModelsInUseJudge(t *testing.T) {
	j, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	says := func(want string) {
		t.Helper()
		p := post("1", "La tabla salió rana")
		p.Language = "es"
		judged, err := j.Batch(t.Context(), listen.Batch{Network: "test", Posts: []listen.Post{p}}, Wanted{Now: now})
		if err != nil || len(judged.Posts) != 1 {
			t.Fatalf("%+v, %v", judged, err)
		}
		if got := judged.Posts[0].Engine + " " + string(judged.Posts[0].Sentiment.Label); got != want {
			t.Errorf("it says %s, want %s", got, want)
		}
	}
	var unread []error
	k := &kept{}
	adopt := func() error {
		return j.Adopt(t.Context(), k, func(err error) { unread = append(unread, err) })
	}
	if err := adopt(); err != nil || k.read != 0 {
		t.Errorf("without any: %v, read %d times", err, k.read)
	}
	says("lexicon neutral")
	k.version, k.models = "1", map[string][]byte{"es": slang(t)}
	for range 2 {
		if err := adopt(); err != nil || k.read != 1 {
			t.Errorf("one: %v, read %d times", err, k.read)
		}
	}
	says("learned negative")
	k.failed = errors.New("away")
	if err := adopt(); !errors.Is(err, k.failed) {
		t.Errorf("when the database is away: %v", err)
	}
	says("learned negative")
	k.version, k.models, k.failed = "2", map[string][]byte{"es": []byte("of a later version")}, nil
	if err := adopt(); err != nil || len(unread) != 1 {
		t.Errorf("one that cannot be read: %v, told %v", err, unread)
	}
	says("lexicon neutral")
}
