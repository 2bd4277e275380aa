package listen

import (
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of a post, in bytes and members. What is longer is cut.
const (
	MaxID      = 512
	MaxTitle   = 1 << 10
	MaxText    = 64 << 10
	MaxName    = 256
	MaxURL     = 2 << 10
	MaxMembers = 64 // of Tags, Mentions, Links, Media, each
	maxTag     = 128
	maxWords   = 4 << 10 // of a medium
)

// Skew is by how much a network's clock may be ahead of ours.
const Skew = 10 * time.Minute

// earliest is before the first network there was. What is said to be older has no date.
var earliest = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)

// Normalize makes a post safe to store and to show: valid UTF-8 without control characters, bounded, with addresses that are http or
// https, and dates that can be. A post that came later than now, or has no date, was written now. It returns what is wrong with a post
// that cannot be kept, in words that repeat nothing of it, and "" otherwise.
func Normalize(p *Post, now time.Time) (refused string) {
	switch {
	case p.ID == "":
		return "it has no id"
	case len(p.ID) > MaxID || !plain(p.ID):
		return "its id is too long, or no text"
	}
	p.Title, p.Text = line(p.Title, MaxTitle), clean(p.Text, MaxText)
	p.URL, p.Language = address(p.URL), line(p.Language, 35)
	p.Thread, p.Parent, p.Subject = reference(p.Thread), reference(p.Parent), reference(p.Subject)
	p.Revision = line(p.Revision, MaxID)
	normalizeDates(p, now)
	normalizeKind(p)
	normalizeAccount(&p.Author, now)
	p.Tags = distinct(p.Tags, func(t string) string { return strings.TrimLeft(line(t, maxTag), "# ") })
	p.Links = distinct(p.Links, address)
	p.Mentions = bounded(p.Mentions)
	for i := range p.Mentions {
		normalizeAccount(&p.Mentions[i], now)
	}
	normalizeMedia(p)
	if e := p.Engagement; e != nil {
		p.Engagement = &Engagement{Likes: max(e.Likes, 0), Reposts: max(e.Reposts, 0), Replies: max(e.Replies, 0), Views: max(e.Views, 0)}
	}
	if r := p.Rating; r != nil && (!(r.Best > 0) || !(r.Value >= 0) || r.Value > r.Best || r.Best > 1000) {
		p.Rating = nil
	}
	return ""
}

func normalizeDates(p *Post, now time.Time) {
	if p.CreatedAt.Before(earliest) || p.CreatedAt.After(now.Add(Skew)) {
		p.CreatedAt = now
	}
	if p.EditedAt.Before(p.CreatedAt) || p.EditedAt.After(now.Add(Skew)) {
		p.EditedAt = time.Time{}
	}
}

func normalizeMedia(p *Post) {
	media := p.Media[:0:0]
	for _, m := range bounded(p.Media) {
		if m.URL = address(m.URL); m.URL == "" {
			continue
		}
		if m.Type != Image && m.Type != Video && m.Type != Audio {
			m.Type = Other
		}
		m.Description = clean(m.Description, maxWords)
		media = append(media, m)
	}
	p.Media = media
}

// normalizeKind sees to it that a post is of a kind that there is, and shown to nobody whom it is not for.
func normalizeKind(p *Post) {
	switch p.Kind {
	case Original, Reply, Repost, Quote, Review, Message, Article:
	default:
		p.Kind = Original
	}
	switch p.Visibility {
	case Public, Unlisted, Private:
	case "":
		p.Visibility = Public
	default:
		p.Visibility = Private
	}
}

func normalizeAccount(a *Account, now time.Time) {
	a.ID, a.Name = reference(a.ID), line(a.Name, MaxName)
	a.Handle = strings.TrimLeft(line(a.Handle, MaxName), "@ ")
	a.URL = address(a.URL)
	if a.Followers != nil && *a.Followers < 0 {
		a.Followers = nil
	}
	if a.CreatedAt.Before(earliest) || a.CreatedAt.After(now.Add(Skew)) {
		a.CreatedAt = time.Time{}
	}
	if reference(a.Identifier.Type) == "" || reference(a.Identifier.Value) == "" {
		a.Identifier = Identifier{}
	}
}

func bounded[T any](list []T) []T { return list[:min(len(list), MaxMembers)] }

// distinct cleans the members of a list and drops what is empty then, or there already.
func distinct(list []string, clean func(string) string) []string {
	var kept []string
	seen := map[string]bool{}
	for _, s := range list {
		if s = clean(s); s != "" && !seen[s] && len(kept) < MaxMembers {
			seen[s] = true
			kept = append(kept, s)
		}
	}
	return kept
}

// reference is an id of something else, or "" where it can be none.
func reference(id string) string {
	if len(id) > MaxID || !plain(id) {
		return ""
	}
	return id
}

func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// address is a URL of the web, or "".
func address(s string) string {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > MaxURL || !plain(s) || strings.ContainsFunc(s, isDirection) {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return ""
	}
	return s
}

// line is a text without line ends.
func line(s string, limit int) string {
	return strings.Join(strings.Fields(clean(s, limit)), " ")
}

// clean makes a text valid UTF-8 without control characters, marks of direction among them, of at most limit bytes. Whatever ends a line
// does so by a line feed.
func clean(s string, limit int) string {
	s = cut(s, limit+utf8.UTFMax) // before the work, and again after it
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\v' || r == '\f' || r == '\u0085' || r == '\u2028' || r == '\u2029':
			return '\n'
		case unicode.IsControl(r), isDirection(r):
			return -1
		}
		return r
	}, lineEnds.Replace(strings.ToValidUTF8(s, "\uFFFD")))
	return strings.TrimSpace(cut(s, limit))
}

var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// cut is what a text begins with, of at most limit bytes. It cuts no character in two.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for i := range utf8.UTFMax {
		if i < limit && utf8.RuneStart(s[limit-i]) {
			return s[:limit-i]
		}
	}
	return s[:limit]
}

// isDirection says that a rune turns the direction of what follows, by which a text can show as another one (Unicode TR 36).
func isDirection(r rune) bool {
	return r >= '\u202A' && r <= '\u202E' || r >= '\u2066' && r <= '\u2069'
}
