package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/store"
)

var vocabulary = strings.Fields(`la bicicleta eléctrica de velo es rapidísima y el servicio ha sido excelente muy recomendable para ir por ciudad cada día gracias al
	equipo tienda su paciencia avería pésimo atención cliente pedido llega tarde reparación frenos rueda nunca más compro aquí the bike arrived broken support was great`)

// manyPosts are posts as networks bring them: some 25 words, of many authors, and now and then a reply, a mention, a tag and a picture.
func manyPosts(random *rand.Rand, first, n int, topic int64) []store.Judged {
	posts := make([]store.Judged, n)
	now := time.Now()
	for i := range posts {
		words := make([]string, 15+random.IntN(20))
		for j := range words {
			words[j] = vocabulary[random.IntN(len(vocabulary))]
		}
		author := random.IntN(20_000)
		p := post(fmt.Sprint(first+i), by(fmt.Sprint("a", author)))
		p.Text, p.CreatedAt = strings.Join(words, " "), now.Add(-time.Duration(random.IntN(30*86400))*time.Second)
		p.Language = []string{"es", "es", "en", "und"}[random.IntN(4)]
		p.Sentiment.Label = sentiment.Labels()[random.IntN(3)]
		p.Sentiment.Words = []sentiment.Word{{Text: "pésimo", Weight: -2}, {Text: "nunca", Weight: -1}}
		p.Engagement = &listen.Engagement{Likes: int64(random.IntN(10))}
		p.Tags = []string{"velo"}
		if i%3 == 0 {
			p.Kind, p.Parent, p.Thread = listen.Reply, fmt.Sprint(random.IntN(first+i+1)), fmt.Sprint(random.IntN(first+i+1))
			p.Mentions = []listen.Account{{ID: fmt.Sprint("https://social.example/users/a", random.IntN(20_000)), Handle: "x"}}
		}
		if topic != 0 {
			p.Topics = []store.TopicMatch{{Topic: topic, Terms: []string{`word "velo"`}}}
		}
		posts[i] = p
	}
	return posts
}

// BenchmarkTakeMentions stores posts in full batches from one worker.
func BenchmarkTakeMentions(b *testing.B) {
	l := newListening(b, "a")
	l.exec("insert into monitor (name) values ('velo')")
	l.exec("insert into topic (monitor_id, name, role, definition) select id, 'Velo', 'Brand', '{}' from monitor")
	lease := l.lease("a")
	random := rand.New(rand.NewPCG(1, 2))
	stored := 0
	ctx := context.Background()
	for b.Loop() {
		b.StopTimer()
		posts := manyPosts(random, stored, listen.MaxBatch, 1)
		b.StartTimer()
		if _, err := l.TakeMentions(ctx, lease, listen.Batch{Network: social}, posts); err != nil {
			b.Fatal(err)
		}
		stored += len(posts)
	}
	b.ReportMetric(float64(stored)/b.Elapsed().Seconds(), "mentions/s")
}
