package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// ReplyFacts is what an answer is written with: what it answers, and whom. It is read when the answer is about to leave, and kept nowhere.
type ReplyFacts struct {
	Network, NativeID  string
	Visibility         string // as the source tells it
	Kind               string
	Thread, Parent     string
	Title, Text        string
	Language           string
	Author             string // as the network knows them; "" for somebody whom it does not name
	Handle             string
	Address            string // of mail; "" where there is none
	Suppressed         bool   // the address is not written to of ourselves
	Contact            string // public id; "" where nobody is known
	Rule               string
	Conversation       string // public id
	ConversationNumber int64
}

// ErrForgotten says that what is answered, or who wrote it, was forgotten.
var ErrForgotten = errors.New("what it answers was forgotten")

// LoadReplyFacts reads what an answer is written with. It returns ErrForgotten where there is nobody to answer any more.
func (db *DB) LoadReplyFacts(ctx context.Context, p Posting, mention int64) (f ReplyFacts, err error) {
	err = db.Pool.QueryRow(ctx, `
		select m.network, m.native_id, m.visibility, m.kind, coalesce(m.thread, ''), coalesce(m.parent, ''), m.title, m.text, m.language,
			coalesce(a.native_id, ''), coalesce(a.handle, ''), case when i.type = $3 then i.value else '' end,
			exists (select from suppression x where x.address_hash = keyed_hash(k.key, i.value) and (x.expires_at is null or x.expires_at > now())),
			coalesce((select c.public_id::text from identifier_link l join contact c on c.id = l.contact_id where l.identifier_id = i.id and l.verified
				order by l.contact_id limit 1), ''),
			coalesce((select r.name from automation_rule r join outbox o on o.rule_id = r.id where o.id = $2), ''),
			coalesce(v.public_id::text, ''), coalesce(v.number, 0)
		from mention m left join author a on a.id = m.author_id left join identifier i on i.id = a.identifier_id
			left join secret_key k on k.purpose = 'address' left join message g on g.id = $4 left join conversation v on v.id = g.conversation_id
		where m.id = $1 and m.forgotten_at is null`, mention, p.ID, crm.EmailIdentifier, p.Message).Scan(
		&f.Network, &f.NativeID, &f.Visibility, &f.Kind, &f.Thread, &f.Parent, &f.Title, &f.Text, &f.Language, &f.Author, &f.Handle, &f.Address,
		&f.Suppressed, &f.Contact, &f.Rule, &f.Conversation, &f.ConversationNumber)
	if errors.Is(err, pgx.ErrNoRows) {
		return f, ErrForgotten
	}
	if err != nil {
		return f, fmt.Errorf("read what is answered: %w", err)
	}
	return f, nil
}
