// Package judge understands what came in: it makes posts safe, sorts out languages that nobody wants, tells how each post
// speaks, and finds the topics that it is about. What it gives is what is stored.
package judge

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Judge understands posts for one tenant. It is safe for many goroutines.
type Judge struct {
	lexicon *sentiment.Lexicon
	native  *native
	engine  sentiment.Engine
	asked   asked
	topics  topics
}

// Options of a Judge. The zero value works.
type Options struct {
	// Engine tells how posts speak. Default: the lexicon that is built in, and what was learned besides (Adopt).
	Engine sentiment.Engine
}

// New makes a Judge that knows no topics yet.
func New(o Options) (*Judge, error) {
	lexicon, err := builtIn()
	if err != nil {
		return nil, err
	}
	n := &native{lexicon: lexicon}
	if o.Engine == nil {
		o.Engine = n
	}
	return &Judge{lexicon: lexicon, native: n, engine: o.Engine}, nil
}

// builtIn is the lexicon, of which a process needs one: it does not change and takes a few megabytes.
var builtIn = sync.OnceValues(sentiment.NewLexicon)

// Lexicon is the engine that is built in, of which a process has one.
func Lexicon() (*sentiment.Lexicon, error) { return builtIn() }

// Wanted say which posts of a source are kept.
type Wanted struct {
	// Languages are those of which posts are kept, as two letters; none keeps all. A post whose language nobody can tell is kept.
	Languages []string
	// Now is when the posts came.
	Now time.Time
}

// Judged is a batch as it is understood.
type Judged struct {
	// Batch is what is stored beside posts: deletions, gaps, the cursor, and what was refused. It has no posts.
	listen.Batch
	// Posts are those that are kept, in their order.
	Posts []store.Judged
	// Unwanted is how many were left out for their language.
	Unwanted int
}

// Batch understands a batch. The error is a *listen.Trouble where the batch cannot be stored; else the context has ended, or the engine
// failed and has no fall-back. The batch's posts must not be used afterwards.
func (j *Judge) Batch(ctx context.Context, b listen.Batch, w Wanted) (Judged, error) {
	if err := b.Tidy(w.Now); err != nil {
		return Judged{}, err
	}
	judged := Judged{Batch: b, Posts: make([]store.Judged, 0, len(b.Posts))}
	judged.Batch.Posts = nil
	for i := range b.Posts {
		p := &b.Posts[i]
		if refused := listen.Normalize(p, w.Now); refused != "" {
			judged.Refuse(refused, 1)
			continue
		}
		language := j.languageOf(p)
		if len(w.Languages) > 0 && language != sentiment.Unknown && !slices.Contains(w.Languages, language) {
			judged.Unwanted++
			continue
		}
		judged.Posts = append(judged.Posts, store.Judged{Post: *p, Language: language}) // or Unknown, until it was judged
	}
	if err := j.weigh(ctx, judged.Posts); err != nil {
		return Judged{}, err
	}
	j.topics.find(judged.Posts)
	return judged, nil
}

// languageOf is the language that a post says it has, else the one that it shows, else sentiment.Unknown.
func (j *Judge) languageOf(p *listen.Post) string {
	if language := sentiment.LanguageOf(p.Language); language != sentiment.Unknown {
		return language
	}
	return j.lexicon.Identify(textOf(p))
}

// textOf is what a post says: its title and its text.
func textOf(p *listen.Post) string {
	switch {
	case p.Title == "":
		return p.Text
	case p.Text == "":
		return p.Title
	}
	return p.Title + "\n\n" + p.Text
}

// weigh tells how posts speak.
func (j *Judge) weigh(ctx context.Context, posts []store.Judged) error {
	if len(posts) == 0 {
		return nil
	}
	asked := make([]sentiment.Post, len(posts))
	for i := range posts {
		asked[i] = sentiment.Post{Text: textOf(&posts[i].Post), Language: posts[i].Language}
	}
	verdicts, err := j.verdicts(ctx, asked)
	if err != nil {
		return err
	}
	if len(verdicts) != len(posts) {
		return fmt.Errorf("judge posts: %d verdicts on %d posts", len(verdicts), len(posts))
	}
	for i, v := range verdicts {
		posts[i].Sentiment, posts[i].Engine = v, v.Engine
		if posts[i].Language == sentiment.Unknown {
			posts[i].Language = ""
		}
	}
	return nil
}
