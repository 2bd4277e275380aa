package mastodon

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
)

// known is what was asked of the server and the account.
type known struct {
	at       time.Time
	id, acct string // the account's
	domain   string // of the instance, as it stands behind names
	limits   post.Limits
	perURL   int // characters that an address counts as
}

const credentialsPath = "/api/v1/accounts/verify_credentials"

// fresh is for how long it holds.
const fresh = time.Hour

// What Mastodon takes where a server does not say.
const (
	usualCharacters = 500
	usualPerURL     = 23
	usualImages     = 4
	usualImageBytes = 16 << 20
	usualAlt        = 1500
)

// know asks for what publishing needs, once an hour. A token that does not hold is found out here, before anything is handed over.
func (p *Publisher) know(ctx context.Context) (*known, *wire.Stop) {
	p.mu.Lock()
	k := p.known
	p.mu.Unlock()
	if k != nil && p.client.Now().Sub(k.at) < fresh {
		return k, nil
	}
	var account struct {
		ID   string `json:"id"`
		Acct string `json:"acct"`
	}
	if _, stop := p.read(ctx, credentialsPath, nil, &account); stop != nil {
		if stop.Code == http.StatusNotFound {
			return nil, wire.Troubled(p.client.Trouble("GET "+credentialsPath, stop.Code, "the server speaks no Mastodon API: check the address", nil))
		}
		return nil, stop
	}
	if account.ID == "" || !isID(account.ID) {
		return nil, wire.Deferred(0, "the server does not say whose the access token is")
	}
	k = &known{at: p.client.Now(), id: account.ID, acct: account.Acct}
	if stop := p.knowLimits(ctx, k); stop != nil {
		return nil, stop
	}
	p.mu.Lock()
	p.known = k
	p.mu.Unlock()
	return k, nil
}

// Account implements post.Publisher.
func (p *Publisher) Account(ctx context.Context) (post.Account, error) {
	p.forget()
	k, stop := p.know(ctx)
	if stop != nil {
		return post.Account{}, stop.Err()
	}
	return post.Account{ID: k.id, Handle: handleOf(k, p.client.Host()), Takes: k.limits.Takes(k.perURL)}, nil
}

// handleOf is an account's name as people of other servers write it.
func handleOf(k *known, host string) string {
	domain := k.domain
	if !isName("a@" + domain) {
		domain = host // an instance on this machine
	}
	name, _, _ := strings.Cut(k.acct, "@")
	if !isName(name) {
		return "@" + domain
	}
	return "@" + name + "@" + domain
}

// forget makes the next post ask anew.
func (p *Publisher) forget() {
	p.mu.Lock()
	p.known = nil
	p.mu.Unlock()
}

// configuration is what instances say of what they take.
type configuration struct {
	Statuses struct {
		MaxCharacters int `json:"max_characters"`
		MaxMedia      int `json:"max_media_attachments"`
		PerURL        int `json:"characters_reserved_per_url"`
	} `json:"statuses"`
	Media struct {
		Types  []string `json:"supported_mime_types"`
		Size   int      `json:"image_size_limit"`
		Pixels int      `json:"image_matrix_limit"`
		Alt    int      `json:"description_limit"`
	} `json:"media_attachments"`
}

func (p *Publisher) knowLimits(ctx context.Context, k *known) *wire.Stop {
	var instance struct {
		Configuration configuration `json:"configuration"`
		MaxTootChars  int           `json:"max_toot_chars"` // of Pleroma and some forks, in version 1
		Domain        string        `json:"domain"`
		URI           string        `json:"uri"` // the same, in version 1
	}
	_, stop := p.read(ctx, "/api/v2/instance", nil, &instance)
	if stop != nil && stop.Code == http.StatusNotFound { // before 4.0
		_, stop = p.read(ctx, "/api/v1/instance", nil, &instance)
	}
	if stop != nil {
		return stop
	}
	k.domain = strings.TrimPrefix(cmp.Or(instance.Domain, instance.URI), "https://")
	c := &instance.Configuration
	k.perURL = within(c.Statuses.PerURL, 1000, usualPerURL)
	k.limits = post.Limits{
		Graphemes:  within(max(c.Statuses.MaxCharacters, instance.MaxTootChars), 1<<20, usualCharacters),
		Images:     within(c.Statuses.MaxMedia, 100, usualImages),
		ImageBytes: within(c.Media.Size, 64<<20, usualImageBytes),
		Pixels:     within(c.Media.Pixels, 1<<30, 0),
		Alt:        within(c.Media.Alt, 1<<16, usualAlt),
		MIME:       c.Media.Types[:min(len(c.Media.Types), 100)],
		Count:      func(text string) int { return count(text, k.perURL) },
	}
	return nil
}

// within is a number that a server says, or the usual one where it says none that could be meant.
func within(said, most, usual int) int {
	if said < 1 || said > most {
		return usual
	}
	return said
}

// isID tells whether a text can be an id: it becomes a part of a path.
func isID(text string) bool {
	return text != "" && len(text) <= 64 && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// count counts a text as the server does: addresses as so many characters, names without their domain.
func count(text string, perURL int) int {
	total, last := 0, 0
	for _, e := range post.Entities(text) {
		total += post.Graphemes(text[last:e.Start])
		switch e.Kind {
		case post.Link:
			total += perURL
		case post.Name:
			name, _, _ := strings.Cut(e.Value, "@")
			total += 1 + len(name)
		default:
			total += post.Graphemes(text[e.Start:e.End])
		}
		last = e.End
	}
	return total + post.Graphemes(text[last:])
}
