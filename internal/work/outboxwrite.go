package work

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/compose"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/publication"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// unpostable is why a posting never leaves as it is, in words that name nobody.
type unpostable string

// Error implements error.
func (u unpostable) Error() string { return string(u) }

// unwritten decides what becomes of a posting that could not be written. What was handed over before may be there.
func unwritten(p store.Posting, err error) store.Posted {
	var flawed *render.Error
	var never unpostable
	s := store.Posted{Posting: p, State: store.PostingFailed, Reply: err.Error()}
	switch {
	case !errors.As(err, &flawed) && !errors.As(err, &never) && !errors.Is(err, store.ErrForgotten):
		s = untried(p, err.Error())
		s.Retry = time.Second
	case p.Look:
		s.State = store.PostingAmbiguous
	case errors.Is(err, store.ErrForgotten):
		s.Reply = store.ErrForgotten.Error()
	}
	return s
}

// write writes what is to be handed over of an answer or a publication: what it was before, where it was.
func (d *desk) write(ctx context.Context, p store.Posting) (w store.WrittenPost, f store.ReplyFacts, err error) {
	ctx, cancel := health.Step(ctx, d.o.StatementLimit)
	defer cancel()
	body, err := p.ReadPost()
	if err != nil {
		return w, f, unpostable(err.Error())
	}
	if p.Kind == store.ReplyKind && (p.Written == nil || !p.Look) {
		if f, err = d.db.LoadReplyFacts(ctx, p, body.Mention); err != nil {
			return w, f, err
		}
	}
	if p.Written != nil {
		w, err = p.ReadWritten()
		return w, f, err
	}
	switch {
	case body.Post != nil:
		w.PostDocument = *body.Post
	case body.Template != "":
		w.PostDocument, err = d.render(ctx, p, body.Template, f)
	default:
		w.Parts = []store.PostPart{{Text: strings.TrimSpace(body.Text)}}
		w.Language = f.Language
	}
	if err != nil {
		return w, f, err
	}
	w.Answers, w.AnswersFor, w.Subject = f.NativeID, f.Visibility, body.Subject
	if len(w.Parts) == 0 || w.Parts[0].Text == "" && len(w.Parts[0].Images) == 0 {
		return w, f, unpostable("its text is empty: write one, or correct the template")
	}
	return w, f, nil
}

// render writes a template's text for an answer, or for a publication that a rule wants: for nobody in particular.
func (d *desk) render(ctx context.Context, p store.Posting, name string, f store.ReplyFacts) (w store.PostDocument, err error) {
	stored, err := d.db.LoadTemplate(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return w, fmt.Errorf("template %q is not there", name)
	}
	if err != nil {
		return w, store.Brief(err)
	}
	template, err := compose.Template(stored)
	if err != nil {
		return w, unpostable(err.Error())
	}
	t, err := d.db.LoadTenant(ctx)
	if err != nil {
		return w, store.Brief(err)
	}
	contact, locale, err := d.contactFields(ctx, f.Contact)
	if err != nil {
		return w, err
	}
	if f.Language != "" {
		locale = f.Language // people are answered in the language that they wrote in
	}
	vars := render.Vars{"contact": contact, "tenant": map[string]any{"display_name": t.DisplayName}, "rule": f.Rule}
	if p.Kind == store.ReplyKind {
		vars["message"] = map[string]any{"subject": f.Title, "text": f.Text, "network": f.Network, "language": f.Language}
	}
	rendered, err := template.Render(locale, vars)
	if err != nil {
		return w, err
	}
	w.Language = rendered.Locale
	texts := []string{strings.TrimSpace(rendered.Text)}
	if p.Kind == store.PublicationKind {
		texts = publication.Split(rendered.Text)
	}
	for _, text := range texts {
		w.Parts = append(w.Parts, store.PostPart{Text: text})
	}
	return w, nil
}

// contactFields are what a template sees of a contact: nothing of one who is not there any more.
func (d *desk) contactFields(ctx context.Context, id string) (fields map[string]any, locale string, err error) {
	fields = map[string]any{}
	if id == "" {
		return fields, "", nil
	}
	schema, err := d.db.LoadSchema(ctx)
	if err != nil {
		return nil, "", store.Brief(err)
	}
	c, err := d.db.LoadContact(ctx, id, schema.Attributes)
	if errors.Is(err, store.ErrNotFound) {
		return fields, "", nil
	}
	if err != nil {
		return nil, "", store.Brief(err)
	}
	for name, raw := range c.Attributes {
		fields[name] = attributeValue(raw)
	}
	fields["tags"], fields["locale"], fields["time_zone"] = c.Tags, c.Locale, c.TimeZone
	return fields, c.Locale, nil
}

func attributeValue(raw json.RawMessage) any {
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return nil
	}
	return value
}
