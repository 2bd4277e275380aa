package judge

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/sentiment/learned"
)

// Models are where a tenant's models are kept.
type Models interface {
	SentimentModelVersion(ctx context.Context) (string, error)
	SentimentModelsInUse(ctx context.Context) (map[string][]byte, error)
}

// native judges without asking anybody: by what was learned from the tenant's corrections, and where nothing was, by the lexicon.
type native struct {
	lexicon *sentiment.Lexicon
	current atomic.Pointer[learned.Engine] // nil: nothing was learned

	mu      sync.Mutex // of who adopts
	version string
}

// Judge implements sentiment.Engine.
func (n *native) Judge(ctx context.Context, posts []sentiment.Post) ([]sentiment.Verdict, error) {
	if engine := n.current.Load(); engine != nil {
		return engine.Judge(ctx, posts)
	}
	return n.lexicon.Judge(ctx, posts)
}

// Adopt has posts judged from now on by the models that are in use now, in the place of the lexicon. It reads them only where they are others
// than before. A model that cannot be read is told to unread, and its language is judged by the lexicon; the error is the database's.
func (j *Judge) Adopt(ctx context.Context, from Models, unread func(error)) error {
	n := j.native
	n.mu.Lock()
	defer n.mu.Unlock()
	version, err := from.SentimentModelVersion(ctx)
	if err != nil || version == n.version {
		return err
	}
	blobs, err := from.SentimentModelsInUse(ctx)
	if err != nil {
		return err
	}
	models := make(map[string]*learned.Model, len(blobs))
	for language, blob := range blobs {
		model, err := learned.Decode(blob)
		if err != nil {
			unread(fmt.Errorf("the model of the language %q: %w", language, err))
			continue
		}
		models[language] = model
	}
	if len(models) == 0 {
		n.current.Store(nil)
	} else {
		n.current.Store(learned.New(n.lexicon, models))
	}
	n.version = version
	return nil
}
