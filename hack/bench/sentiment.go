package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// judgedPosts is how many different posts are judged in turn: enough that no cache of a processor holds the answers.
const judgedPosts = 5000

// measureSentiment tells how many posts a core judges in a second, by the engine that is built in: with the language's tag
// and without. The bound is to split the same texts into words, and to do nothing with them.
func measureSentiment(ctx context.Context, _ Settings) ([]Row, error) {
	engine, err := sentiment.NewLexicon()
	if err != nil {
		return nil, err
	}
	spanish, english := inventPosts(spanishPieces, 1), inventPosts(englishPieces, 2)
	mixed := append(append([]string(nil), spanish[:judgedPosts/2]...), english[:judgedPosts/2]...)
	var rows []Row
	for _, c := range []struct {
		name, language string
		posts          []string
	}{{"es", sentiment.Spanish, spanish}, {"en", sentiment.English, english}, {"untagged", "", mixed}} {
		row, err := measureJudging(ctx, engine, c.language, c.posts)
		if err != nil {
			return nil, fmt.Errorf("judge posts (%s): %w", c.name, err)
		}
		row.Name = "sentiment/" + c.name
		rows = append(rows, row)
	}
	return rows, nil
}

func measureJudging(ctx context.Context, engine *sentiment.Lexicon, language string, posts []string) (Row, error) {
	polar, words, bytes := 0, 0, 0
	for _, text := range posts {
		bytes += len(text)
	}
	ours, err := often(ctx, func() error {
		polar = 0
		for _, text := range posts {
			if engine.Of(sentiment.Post{Text: text, Language: language}).Label != sentiment.Neutral {
				polar++
			}
		}
		return nil
	})
	if err != nil {
		return Row{}, err
	}
	bare, err := often(ctx, func() error {
		words = 0
		for _, text := range posts {
			words += len(strings.Fields(text))
		}
		return nil
	})
	if err != nil {
		return Row{}, err
	}
	n := float64(len(posts))
	row := Rate("", "posts/s", ours*n, bare*n)
	row.Note = fmt.Sprintf("by the time of one core; posts of %d bytes and %d words, %.0f %% of them not neutral; bound: splitting them into words",
		bytes/len(posts), words/len(posts), 100*float64(polar)/n)
	return row, nil
}

// pieces are parts of invented posts.
type pieces struct{ openings, middles, ends []string }

var spanishPieces = pieces{
	openings: []string{
		"@velo", "Hola @velo,", "Ayer pasé por la tienda de Girona y", "Llevo dos semanas esperando el pedido y", "La verdad es que", "Pues nada,", "Vaya,",
		"Después de 300 km con la bici nueva,", "RT @club:", "Qué ganas de que llegue el domingo:",
	},
	middles: []string{
		"me encanta cómo va la bici, muy ligera y cómoda", "el servicio fue pésimo y nadie contesta al teléfono",
		"la app no funciona desde la última actualización",
		"los chicos del taller son unos cracks, rapidísimos", "no está nada mal para el precio que tiene", "el casco llegó roto y no me devuelven el dinero",
		"mañana salimos a las ocho desde la plaza Mayor", "la rueda pesa 900 gramos y el cuadro es de carbono",
		"el color azul es precioso, pero el cambio falla mucho",
		"no sé si comprar la talla M o la L",
	},
	ends: []string{
		"", "¿Alguien más?", "😍😍", "#ciclismo https://velo.example/p/1234", "Gracias!!", "Nunca más.", "Jajaja", "🙄",
		"Un abrazo a todos", "aunque bueno, ya veremos…",
	},
}

var englishPieces = pieces{
	openings: []string{
		"@velo", "Hi @velo,", "I was at the shop in Leeds yesterday and", "Two weeks of waiting and", "To be honest,", "Well,", "So,",
		"After 300 km on the new bike,",
		"RT @club:", "Can't wait for Sunday:",
	},
	middles: []string{
		"I love how the bike rides, really light and comfortable", "the service was terrible and nobody answers the phone",
		"the app hasn't worked since the last update", "the people in the workshop are awesome, super quick", "it's not bad at all for the price",
		"the helmet came broken and they won't refund me", "we leave at eight tomorrow from Main Street", "the wheel weighs 900 grams and the frame is carbon",
		"the blue is gorgeous, but the gears fail a lot", "I don't know whether to take the M or the L",
	},
	ends: []string{
		"", "Anyone else?", "😍😍", "#cycling https://velo.example/p/1234", "Thanks!!", "Never again.", "lol", "🙄", "Cheers all", "although we will see…",
	},
}

// inventPosts puts pieces together, the same ones for the same seed.
func inventPosts(p pieces, seed uint64) []string {
	random := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // the same posts in every run
	pick := func(of []string) string { return of[random.IntN(len(of))] }
	posts := make([]string, judgedPosts)
	for i := range posts {
		posts[i] = strings.TrimSpace(pick(p.openings) + " " + pick(p.middles) + ". " + pick(p.middles) + " " + pick(p.ends))
	}
	return posts
}
