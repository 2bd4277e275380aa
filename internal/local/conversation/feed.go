package conversation

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// maxEntries is how many articles the feed has at most, as feeds do.
const maxEntries = 40

// article is an entry of the feed.
type article struct {
	at            time.Time
	title, text   string
	author, topic string
	language      string
}

// articles are those that were written between two times, the newest first.
func (t *Timeline) articles(since, now time.Time) []article {
	var list []article
	for day := now.UTC().Truncate(24 * time.Hour); !day.Before(since.Truncate(24 * time.Hour)); day = day.AddDate(0, 0, -1) {
		if len(list) == maxEntries {
			break
		}
		r := rand.New(rand.NewPCG(t.Seed^0x7f4a7c15, uint64(day.Unix()/86_400))) //nolint:gosec // invention, no secret
		if r.IntN(100) >= 70 {
			continue
		}
		a := t.article(r, day.Add(7*time.Hour+time.Duration(r.IntN(13*60))*time.Minute))
		if a.at.After(since) && !a.at.After(now) {
			list = append(list, a)
		}
	}
	return list
}

var magazines = []string{"Redacción", "Marta de Rueda Libre", "The Gravel Letter", "Club Cuestarriba"}

// article invents an article about one of the brands.
func (t *Timeline) article(r *rand.Rand, at time.Time) article {
	language := pick(r, []string{"es", "es", "en"})
	words := phrasesOf(language)
	brand := pick(r, []string{Brand, Brand, Brand, Rival, Second})
	mood := pick(r, []Mood{Positive, Positive, Neutral, Negative})
	w := author{random: r, start: at}
	product, verdict := pick(r, words.products), w.compose(language, brand, words.about[mood])
	a := article{at: at, author: pick(r, magazines), topic: brand, language: language}
	if language == "en" {
		a.title = fmt.Sprintf("We rode with %s: %s", brand, product)
		a.text = fmt.Sprintf("<p>Three weeks, %d km and some rain around %s.</p><p>%s</p>", 200+r.IntN(600), pick(r, cities), verdict)
		return a
	}
	a.title = fmt.Sprintf("Probamos %s de %s", product, brand)
	a.text = fmt.Sprintf("<p>Tres semanas, %d km y algo de lluvia por %s.</p><p>%s</p>", 200+r.IntN(600), pick(r, cities), verdict)
	return a
}

// The elements of an Atom feed (RFC 4287).
type atomFeed struct {
	XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	ID      string      `xml:"id"`
	Title   string      `xml:"title"`
	Updated string      `xml:"updated"`
	Link    []atomLink  `xml:"link"`
	Entries []atomEntry `xml:"entry"`
}

type atomLink struct {
	Rel  string `xml:"rel,attr"`
	Href string `xml:"href,attr"`
}

type atomEntry struct {
	Language  string   `xml:"http://www.w3.org/XML/1998/namespace lang,attr"`
	ID        string   `xml:"id"`
	Title     string   `xml:"title"`
	Published string   `xml:"published"`
	Updated   string   `xml:"updated"`
	Author    string   `xml:"author>name"`
	Link      atomLink `xml:"link"`
	Content   struct {
		Type string `xml:"type,attr"`
		HTML string `xml:",chardata"`
	} `xml:"content"`
}

// serveFeed serves the articles as Atom. A reader that has them already is told so.
func (c *Conversation) serveFeed(w http.ResponseWriter, r *http.Request) {
	now := c.options.Now()
	articles := c.options.Timeline.articles(c.options.Since, now)
	updated := c.options.Since.UTC().Truncate(time.Second)
	if len(articles) > 0 {
		updated = articles[0].at
	}
	text, err := xml.MarshalIndent(feedOf("http://"+r.Host, articles, updated), "", " ")
	if err != nil {
		http.Error(w, "the feed cannot be written", http.StatusInternalServerError)
		return
	}
	sum := sha256.Sum256(text)
	w.Header().Set("Content-Type", "application/atom+xml; charset=utf-8")
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	http.ServeContent(w, r, "", updated, bytes.NewReader(append([]byte(xml.Header), text...)))
}

func feedOf(base string, articles []article, updated time.Time) atomFeed {
	feed := atomFeed{
		ID: "tag:bikeblog.example,2026:feed", Title: "Rueda y Manillar", Updated: updated.Format(time.RFC3339),
		Link: []atomLink{{Rel: "self", Href: base + FeedPath}, {Rel: "alternate", Href: "https://bikeblog.example/"}},
	}
	for _, a := range articles {
		at := a.at.Format(time.RFC3339)
		e := atomEntry{
			Language: a.language, ID: "tag:bikeblog.example," + a.at.Format(time.DateOnly) + ":" + strings.ToLower(a.topic), Title: a.title,
			Published: at, Updated: at, Author: a.author,
			Link: atomLink{Rel: "alternate", Href: fmt.Sprintf("https://bikeblog.example/%s-%s", a.at.Format(time.DateOnly), strings.ToLower(a.topic))},
		}
		e.Content.Type, e.Content.HTML = "html", a.text
		feed.Entries = append(feed.Entries, e)
	}
	return feed
}
