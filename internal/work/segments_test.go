package work_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// followed brings a segment into force that follows an attribute.
func (h *house) followed(name, source string) {
	h.t.Helper()
	compiled, err := expr.Compile(crm.Schema{Attributes: []crm.Attribute{{Name: "first_name", Type: crm.String}, {Name: "value", Type: crm.Decimal}}}, source)
	if err != nil {
		h.t.Fatal(err)
	}
	_, _, err = h.db.SaveSegment(context.Background(), store.SegmentDefinition{
		Name: name, Match: source, Digest: compiled.Digest, Predicate: compiled.Predicate, Arguments: compiled.Arguments, Dependencies: &compiled.Dependencies,
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// apart counts the contacts whose membership is not what they are, and the changes that wait.
func (h *house) apart(segment, condition string) (n int) {
	h.t.Helper()
	err := h.db.Pool.QueryRow(context.Background(), fmt.Sprintf(`
		select (select count(*) from contact c full join (select m.contact_id from segment_member m join segment g on g.id = m.segment_id and g.name = $1) m
				on m.contact_id = c.id where (m.contact_id is not null) <> coalesce(%s, false))
			+ (select count(*) from segment_change) + (select count(*) from segment where name = $1 and built_digest is distinct from digest)`, condition), segment).Scan(&n)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// TestWorkersFollowChanges waits for what workers make of a change, with the right of the runtime role and no more.
func TestWorkersFollowChanges(t *testing.T) {
	h := newHouse(t, 20)
	h.followed("rich", `contact.value > 10.0`)
	o := h.options()
	o.VerifyPoll, o.VerifyInterval = 20*time.Millisecond, time.Millisecond
	h.worker(o)
	h.worker(h.options())
	come := func() {
		t.Helper()
		gomega.NewWithT(t).Eventually(func() int { return h.apart("rich", "c.attr_value > 10.0") }, patience, 20*time.Millisecond).Should(gomega.BeZero())
	}
	come()
	h.exec("update contact set attr_value = 100 - attr_value")
	come()
	h.exec("alter table segment_member disable trigger user; delete from segment_member where contact_id = 3; alter table segment_member enable trigger user")
	come() // the verification has found it
	var repaired int
	if err := h.db.Pool.QueryRow(context.Background(), "select count(*) from segment_event where reason = 'Repair'").Scan(&repaired); err != nil || repaired != 1 {
		t.Errorf("%d memberships were repaired, %v; want 1", repaired, err)
	}
	gomega.NewWithT(t).Eventually(func() (counts [2]int64) { // as the tally is, and as the segment's status tells it
		err := h.db.Pool.QueryRow(context.Background(), "select members, (select sum(n) from segment_tally where segment_id = id) from segment where name = 'rich'").
			Scan(&counts[0], &counts[1])
		if err != nil {
			t.Fatal(err)
		}
		return counts
	}, patience, 20*time.Millisecond).Should(gomega.Equal([2]int64{20, 20}), "members, after what was deleted past the triggers has come back")
}

// TestWorkersAreKilledDuringAnImport imports, while workers that follow the changes are killed and replaced.
func TestWorkersAreKilledDuringAnImport(t *testing.T) {
	h := newHouse(t, 10)
	h.followed("rich", `contact.value > 500.0`)
	h.followed("anas", `contact.first_name.startsWith("Ana")`)
	columns := store.ContactColumns{Attributes: []crm.Attribute{{Name: "first_name", Type: crm.String}, {Name: "value", Type: crm.Decimal}}}
	im := h.db.NewContactImport("shop", columns, store.ImportOptions{})
	ctx := context.Background()
	worker := h.process()
	for batch := range 20 {
		rows := make([]store.ContactRow, 500)
		for i := range rows {
			n := batch*500 + i
			rows[i] = store.ContactRow{ExternalID: fmt.Sprint(n), Attributes: []string{[]string{"Ana", "Juan"}[n%2], fmt.Sprint(n % 1000)}}
		}
		if _, err := im.Apply(ctx, rows); err != nil {
			t.Fatal(err)
		}
		if batch%4 == 3 {
			h.send(worker, syscall.SIGKILL)
			worker = h.process()
		}
	}
	im.Close(ctx)
	for segment, condition := range map[string]string{"rich": "c.attr_value > 500", "anas": "starts_with(c.attr_first_name, 'Ana')"} {
		gomega.NewWithT(t).Eventually(func() int { return h.apart(segment, condition) }, patience, 50*time.Millisecond).Should(gomega.BeZero())
	}
	var wrong int
	err := h.db.Pool.QueryRow(ctx, `select count(*) from (select segment_id, contact_id, count(*) filter (where entered) - count(*) filter (where not entered) n
		from segment_event group by 1, 2) e where n not in (0, 1)`).Scan(&wrong)
	if err != nil || wrong != 0 {
		t.Errorf("%d contacts entered or left twice, %v", wrong, err)
	}
}

// TestFreezeSeesWhatWasCommittedBefore freezes an audience right after people changed, before any worker followed it.
func TestFreezeSeesWhatWasCommittedBefore(t *testing.T) {
	h := newHouse(t, 10)
	h.followed("rich", `contact.value > 5.0`)
	o := h.options()
	stop := h.worker(o)
	gomega.NewWithT(t).Eventually(func() int { return h.apart("rich", "c.attr_value > 5") }, patience, 20*time.Millisecond).Should(gomega.BeZero())
	stop()
	h.exec("update contact set attr_value = 11 - attr_value where id <> 1")
	h.campaign(func(c *store.SendConfig) { c.Segments = []string{"rich"} })
	o.SegmentPoll = time.Hour
	h.worker(o)
	gomega.NewWithT(t).Eventually(func() (list string) {
		err := h.db.Pool.QueryRow(context.Background(), "select coalesce(string_agg(contact_id::text, ',' order by contact_id), '') from ledger").Scan(&list)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}, patience, 20*time.Millisecond).Should(gomega.Equal("2,3,4,5"))
}
