package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Template is a message template's row. Its content has been compiled once and is known to be sound.
type Template struct {
	Name          string
	DefaultLocale string
	Content       []TemplateContent
	Digest        string // of the content in force
	Suspended     bool
}

// TemplateContent is a template in one language, in Liquid.
type TemplateContent struct {
	Locale  string `json:"locale"`
	Subject string `json:"subject"`
	HTML    string `json:"html"`
	Text    string `json:"text"` // "" is made from the HTML
}

// SaveTemplate brings a template into force. It writes only what differs and tells whether it wrote.
func (db *DB) SaveTemplate(ctx context.Context, t Template) (changed bool, err error) {
	tag, err := db.Pool.Exec(ctx, `
		insert into template (name, default_locale, content, digest, suspended)
		select $1, $2, $3, $4, $5 where not exists (
			select from template where name = $1 and default_locale = $2 and content = $3 and digest = $4 and suspended = $5 and dormant_since is null)
		on conflict (name) do update set default_locale = excluded.default_locale, content = excluded.content, digest = excluded.digest,
			suspended = excluded.suspended, dormant_since = null`,
		t.Name, t.DefaultLocale, t.Content, t.Digest, t.Suspended)
	if err != nil {
		return false, fmt.Errorf("save template %q: %w", t.Name, err)
	}
	return tag.RowsAffected() > 0, nil
}

// LoadTemplate reads a template that is in force. It returns ErrNotFound for one that was never declared or is dormant.
func (db *DB) LoadTemplate(ctx context.Context, name string) (Template, error) {
	var t Template
	err := db.Pool.QueryRow(ctx, `select name, default_locale, content, digest, suspended from template
		where name = $1 and dormant_since is null`, name).Scan(&t.Name, &t.DefaultLocale, &t.Content, &t.Digest, &t.Suspended)
	if errors.Is(err, pgx.ErrNoRows) {
		return Template{}, fmt.Errorf("read template %q: %w", name, ErrNotFound)
	}
	if err != nil {
		return Template{}, fmt.Errorf("read template %q: %w", name, err)
	}
	return t, nil
}

// DormantTemplate records that a template's object was deleted: nothing is written with it until it is declared again.
func (db *DB) DormantTemplate(ctx context.Context, name string) error {
	return db.sleep(ctx, "update template set dormant_since = now() where name = $1 and dormant_since is null", name)
}
