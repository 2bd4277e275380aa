package mastodon

import "github.com/tertulia-crm/tertulia/internal/deliver/post"

// Limits are those of a server that says what it takes, and where it does not say, those of Mastodon.
func Limits(t post.Takes) post.Limits {
	perURL := within(t.PerURL, 1000, usualPerURL)
	return post.Limits{
		Graphemes:  within(t.Characters, 1<<20, usualCharacters),
		Images:     within(t.Images, 100, usualImages),
		ImageBytes: within(t.ImageBytes, 64<<20, usualImageBytes),
		Pixels:     within(t.Pixels, 1<<30, 0),
		Alt:        within(t.Alt, 1<<16, usualAlt),
		MIME:       t.MIME[:min(len(t.MIME), 100)],
		Count:      func(text string) int { return count(text, perURL) },
	}
}
