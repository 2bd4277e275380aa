package mailbox

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	protocol "github.com/emersion/go-imap/v2"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

const (
	// maxRecent is how many mails that were there before are read by a source that begins.
	maxRecent = 1000
	// maxPoll is how many mails a page has at most.
	maxPoll = 100
)

var (
	_ listen.Poller   = (*Connector)(nil)
	_ listen.Streamer = (*Connector)(nil)
)

// cursor is how far a mailbox was read.
type cursor struct {
	// Validity says for how long UIDs mean the same (RFC 9051, 2.3.1.1), and UID is the last one that was read.
	Validity uint32 `json:"validity"`
	UID      uint32 `json:"uid"`
	// State is the mailbox's, as of when it was read to its end (HIGHESTMODSEQ, RFC 7162): while it is the same nothing is new.
	State uint64 `json:"state,omitempty"`
	// Since is when the first mail that was read came in: from there a mailbox is read again whose UIDs mean nothing any more.
	Since time.Time `json:"since,omitzero"`
}

// readCursor reads a cursor. One that cannot be read begins anew, which brings nothing twice: mails have ids of their own.
func readCursor(raw listen.Cursor) (at cursor) {
	if json.Unmarshal(raw, &at) != nil {
		return cursor{}
	}
	return at
}

// Poll implements listen.Poller.
func (c *Connector) Poll(ctx context.Context, after listen.Cursor) (listen.Page, error) {
	s, err := c.open(ctx)
	if err != nil {
		return listen.Page{}, c.trouble(ctx, err)
	}
	defer s.end()
	var page listen.Page
	_, err = s.sweep(ctx, readCursor(after), maxPoll, func(b listen.Batch, more bool) error {
		page = listen.Page{Batch: b, More: more}
		return errEnough
	})
	if err != nil && page.Empty() {
		return listen.Page{}, c.trouble(ctx, err)
	}
	return page, nil
}

// errEnough ends a sweep.
var errEnough = errors.New("that is enough")

// Stream implements listen.Streamer.
func (c *Connector) Stream(ctx context.Context, after listen.Cursor, take listen.Take) error {
	s, err := c.open(ctx)
	if err != nil {
		return c.trouble(ctx, err)
	}
	defer s.end()
	at := readCursor(after)
	for {
		var stored error
		at, err = s.sweep(ctx, at, maxPoll, func(b listen.Batch, _ bool) error {
			stored = take(ctx, b)
			return stored
		})
		if stored != nil {
			return stored
		}
		s.box.HighestModSeq = 0 // it is of when the mailbox was opened
		if err == nil {
			err = s.await(ctx)
		}
		if err != nil {
			return c.trouble(ctx, err)
		}
	}
}

// sweep reads what came behind a cursor, and hands it over in batches of so many mails at most.
func (s *session) sweep(ctx context.Context, at cursor, most int, hand func(b listen.Batch, more bool) error) (cursor, error) {
	stored := at
	if at.Validity == s.box.UIDValidity && at.State != 0 && at.State == s.box.HighestModSeq {
		return at, nil
	}
	uids, at, err := s.due(at)
	if err != nil {
		return stored, err
	}
	b := listen.Batch{Network: s.c.network}
	for n := chunk; len(uids) > 0; n += chunk {
		some := uids[:min(chunk, len(uids))]
		uids = uids[len(some):]
		if at, err = s.add(&b, at, some); err != nil {
			return stored, err
		}
		if n+chunk <= most || len(uids) == 0 {
			continue
		}
		at.State = 0
		if stored, err = s.hand(&b, stored, at, true, hand); err != nil || ctx.Err() != nil {
			return stored, errors.Join(err, ctx.Err())
		}
		n = 0
	}
	if at.Validity != stored.Validity || at.UID != stored.UID { // for its own sake nothing is stored
		at.State = s.box.HighestModSeq
	}
	return s.hand(&b, stored, at, false, hand)
}

// hand hands a batch over with the cursor behind it, where there is anything to tell.
func (s *session) hand(b *listen.Batch, before, at cursor, more bool, hand func(listen.Batch, bool) error) (cursor, error) {
	full := *b
	*b = listen.Batch{Network: s.c.network}
	if at == before {
		return at, nil
	}
	next, err := json.Marshal(at)
	if err != nil {
		return before, err
	}
	full.Next = next
	if err := hand(full, more); err != nil {
		return before, err
	}
	return at, nil
}

// due lists what is to be read, and where a cursor stands that begins, anew or at all.
func (s *session) due(at cursor) ([]protocol.UID, cursor, error) {
	if at.Validity == s.box.UIDValidity {
		uids, err := s.above(at.UID)
		return uids, at, err
	}
	fresh := at.Validity == 0
	at = cursor{Validity: s.box.UIDValidity, Since: at.Since}
	switch {
	case fresh && s.box.NumMessages > s.c.recent:
		last := protocol.SeqSet{{Start: s.box.NumMessages - s.c.recent + 1, Stop: s.box.NumMessages}}
		uids, err := s.find(&protocol.SearchCriteria{SeqNum: []protocol.SeqSet{last}}, 1)
		return uids, at, err
	case fresh || at.Since.IsZero():
		uids, err := s.above(0)
		return uids, at, err
	}
	// SINCE looks at days, in the server's own time zone.
	uids, err := s.find(&protocol.SearchCriteria{Since: at.Since.AddDate(0, 0, -1)}, 1)
	if len(uids) == 0 && s.box.UIDNext > 0 {
		at.UID = uint32(s.box.UIDNext) - 1 // all that is there is from before
	}
	return uids, at, err
}

// add reads mails and puts them into a batch. What is left out is counted.
func (s *session) add(b *listen.Batch, at cursor, uids []protocol.UID) (cursor, error) {
	mails, err := s.fetch(uids)
	switch refused := errors.As(err, new(*protocol.Error)); {
	case refused && len(uids) > 1: // one of them: the others come alone
		for i := range uids {
			if at, err = s.add(b, at, uids[i:i+1]); err != nil {
				return at, err
			}
		}
		return at, nil
	case refused:
		b.Refuse(withheld, 1)
	case err != nil:
		return at, err
	}
	for _, m := range mails {
		if at.Since.IsZero() {
			at.Since = m.received.UTC().Truncate(time.Second)
		}
		if p, refused := s.c.post(m); refused != "" {
			b.Refuse(refused, 1)
		} else {
			b.Posts = append(b.Posts, p)
		}
	}
	at.UID = uint32(uids[len(uids)-1])
	return at, nil
}
