package crash

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// followed are segments that follow the import, by what they ask: an attribute, a consent, an identifier, and each other.
var followed = []struct{ name, match string }{
	{"club", `contact.plan == "club"`},
	{"readers", `consented("newsletter") && has_identifier("email")`},
	{"club-readers", `in_segment("club") && in_segment("readers")`},
	{"without-plan", `!has(contact.plan)`},
}

// standstill is how long no message may arrive while an import is under way and the send is not over: many times what a chunk takes.
const standstill = 15 * time.Second

// importAsMany imports as many people as the audience holds while it is sent to: half of them are in the audience and get a plan, the others
// are new and get nothing of it.
func importAsMany(ctx context.Context, w *world) error {
	s, err := w.startServer(ctx)
	if err != nil {
		return err
	}
	if err := w.makeFollowed(ctx); err != nil {
		return err
	}
	if _, err := w.begin(ctx, 2); err != nil {
		return err
	}
	if err := w.awaitFollowed(ctx); err != nil { // built, so that they follow what comes
		return err
	}
	var meanwhile string
	err = w.disturb(ctx, w.shares(1)[0]/2, func() (err error) {
		meanwhile, err = w.sendDuring(ctx, func() error { return s.importPlans(ctx, w.parameters.Size) })
		return err
	})
	if err != nil {
		return err
	}
	w.result.Disturbed += meanwhile
	return errors.Join(w.awaitEnd(ctx), w.awaitFollowed(ctx), w.expectFollowed(ctx))
}

// makeFollowed brings segments into force as the operator does.
func (w *world) makeFollowed(ctx context.Context) error {
	for _, statement := range []string{
		"alter table contact add column attr_plan text",
		"insert into attribute (record_type, name, column_name, type) values ('contact', 'plan', 'attr_plan', 'String')",
	} {
		if _, err := w.db.Pool.Exec(ctx, statement); err != nil {
			return fmt.Errorf("declare an attribute: %w", err)
		}
	}
	schema, err := w.db.LoadSchema(ctx)
	if err != nil {
		return err
	}
	for _, f := range followed {
		compiled, err := expr.Compile(schema, f.match)
		if err != nil {
			return fmt.Errorf("compile segment %q: %w", f.name, err)
		}
		_, _, err = w.db.SaveSegment(ctx, store.SegmentDefinition{
			Name: f.name, Match: f.match, Digest: compiled.Digest, Predicate: compiled.Predicate, Arguments: compiled.Arguments,
			Dependencies: &compiled.Dependencies,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// importPlans imports every other person of the audience with a plan, and as many who are new.
func (s *server) importPlans(ctx context.Context, size int) error {
	var file strings.Builder
	file.WriteString("external_id,email,first_name,plan,consent:newsletter\n")
	for i := range size {
		person := i + 1
		if i%2 == 1 {
			person += size
		}
		fmt.Fprintf(&file, "C%d,%s,n%d,%s,true\n", person, addressOf(person), person, planOf(person))
	}
	return s.importFile(ctx, file.String(), size)
}

func planOf(person int) string { return []string{"club", "free", "pro"}[person%3] }

// sendDuring does something that takes a while, and wants messages to go on arriving meanwhile, as long as there is somebody left to send to.
// It tells how many did.
func (w *world) sendDuring(ctx context.Context, do func() error) (told string, err error) {
	before, err := w.relay.record.Counts()
	if err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- do() }()
	last, since := before.Dots, began
	ticker := time.NewTicker(ask)
	defer ticker.Stop()
	var stood time.Duration
	for {
		select {
		case err := <-ended:
			if err != nil {
				return "", err
			}
			arrived := last - before.Dots
			switch {
			case arrived == 0:
				return "", errors.New("no message arrived during the import")
			case stood > standstill:
				return "", fmt.Errorf("no message arrived for %s during the import", stood)
			}
			return fmt.Sprintf(" (and %d in the %.1f s of the import)", arrived, time.Since(began).Seconds()), nil
		case <-ticker.C:
		}
		counts, err := w.relay.record.Counts()
		if err != nil {
			return "", err
		}
		if counts.Dots > last || w.over(ctx) {
			last, since = counts.Dots, time.Now()
		}
		stood = max(stood, time.Since(since))
	}
}

// over tells whether everybody has an outcome.
func (w *world) over(ctx context.Context) bool {
	s, err := w.db.SendStatus(ctx, campaignName)
	return err == nil && s.State == campaign.Completed
}

// awaitFollowed waits until each membership is what its definition says of everybody.
func (w *world) awaitFollowed(ctx context.Context) error {
	for _, f := range followed {
		err := w.await(ctx, fmt.Sprintf("segment %q holds whom it should", f.name), func() (bool, string, error) {
			wrong, err := w.misplaced(ctx, f.name)
			return wrong == 0, fmt.Sprintf("%d are misplaced", wrong), err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// misplaced counts who is in a segment or is not against its definition. Of one that has not been built, everybody is.
func (w *world) misplaced(ctx context.Context, name string) (n int64, err error) {
	var id int64
	var predicate string
	var arguments []string
	var built bool
	err = w.db.Pool.QueryRow(ctx, "select id, predicate, arguments, built_digest is not distinct from digest from segment where name = $1", name).
		Scan(&id, &predicate, &arguments, &built)
	if err != nil {
		return 0, fmt.Errorf("read segment %q: %w", name, err)
	}
	values := make([]any, len(arguments))
	for i, a := range arguments {
		values[i] = a
	}
	err = w.db.Pool.QueryRow(ctx, fmt.Sprintf(`select count(*) from contact c left join segment_member x on x.segment_id = %d and x.contact_id = c.id
		where (x.contact_id is not null) <> coalesce((%s), false) or not %t`, id, predicate, built), values...).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("compare segment %q with its definition: %w", name, err)
	}
	return n, nil
}

// expectFollowed compares what the segments hold with what was imported, and wants nothing to have been repaired.
func (w *world) expectFollowed(ctx context.Context) error {
	size := w.parameters.Size
	want := map[string]int64{"readers": int64(size + size/2), "without-plan": int64(size / 2)}
	for i := range size {
		person := i + 1
		if i%2 == 1 {
			person += size
		}
		if planOf(person) == "club" {
			want["club"]++
			want["club-readers"]++
		}
	}
	var wrong []error
	for _, f := range followed {
		var members int64
		err := w.db.Pool.QueryRow(ctx, "select count(*) from segment_member where segment_id = (select id from segment where name = $1)", f.name).Scan(&members)
		if err != nil {
			return fmt.Errorf("count the members of segment %q: %w", f.name, err)
		}
		if members != want[f.name] {
			wrong = append(wrong, fmt.Errorf("segment %q has %d members, want %d", f.name, members, want[f.name]))
		}
	}
	var repaired int64
	if err := w.db.Pool.QueryRow(ctx, "select count(*) from segment_event where reason = 'Repair'").Scan(&repaired); err != nil {
		return fmt.Errorf("count the repairs: %w", err)
	}
	if repaired > 0 {
		wrong = append(wrong, fmt.Errorf("%d memberships were repaired", repaired))
	}
	return errors.Join(wrong...)
}
