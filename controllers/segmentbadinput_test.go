package controllers_test

import (
	"strings"
	"testing"

	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// TestSegmentsThatCannotComeIntoForce edits a segment that has a membership into what is refused, and then takes the ground from under
// it: each is told with its place, and the membership stays what it was.
func TestSegmentsThatCannotComeIntoForce(t *testing.T) {
	h := newHome(t)
	const good = `contact.plan != "club" && events("purchase").count() == 0`
	free := v1alpha1.Attribute{Name: "plan", Type: v1alpha1.StringType}
	h.create(h.contact(free), h.event("purchase", v1alpha1.Property{Name: "amount", Type: v1alpha1.DecimalType}), h.segment("others", good))
	object, record := &v1alpha1.Segment{}, &v1alpha1.RecordType{}
	h.verdict(object, "others", v1alpha1.BuildingReason, "InProgress")
	h.sql("insert into contact (locale) values ('es')")
	h.sql("insert into segment_member (segment_id, contact_id) select g.id, c.id from segment g, contact c")
	h.built("others", 1)
	h.current(object, "others")
	stays := func(why string) {
		t.Helper()
		if match := ask[string](h, "select match from segment where name = 'others' and built_digest = digest and dormant_since is null"); match != good {
			t.Errorf("%s: in force is %q", why, match)
		}
		if n := ask[int](h, "select count(*)::int from segment_member"); n != 1 || object.Status.Members == nil || *object.Status.Members != 1 {
			t.Errorf("%s: it has %d members, and its status says %v", why, n, object.Status.Members)
		}
	}
	for name, tc := range map[string]struct{ match, want string }{
		"over the cost limit":    {strings.Repeat(`events("purchase") || `, 30) + "true", "1:1: the expression costs 1200, and at most 1000 is allowed"},
		"a window of 100 years":  {`events("purchase").within("36500d")`, "1:27: the duration 36500d is too long: at most 3650d are allowed"},
		"a regular expression":   {`contact.plan.matches("^(a+)+$")`, "1:14: regular expressions are not part of the language"},
		"a missing attribute":    {`contact.plann == "club"`, `1:9: contact has no attribute "plann": did you mean "plan"?`},
		"a missing event":        {`events("purchas")`, `1:8: there is no event type "purchas": did you mean "purchase"?`},
		"who singles out people": {`"ana@velo.example" in contact.tags`, "1:1: an address or a number of a person must not stand in an expression"},
	} {
		edit(h, object, "others", func(o *v1alpha1.Segment) { o.Spec.Match = tc.match })
		expectParts(t, h.verdict(object, "others", v1alpha1.ExpressionInvalidReason, "Failed"), "spec.match: "+tc.want)
		stays(name)
		edit(h, object, "others", func(o *v1alpha1.Segment) { o.Spec.Match = good })
		h.current(object, "others")
	}

	// A column that holds something keeps its type, and nobody notices.
	h.sql("update contact set attr_plan = 'free'")
	retype := func(a v1alpha1.Attribute) {
		edit(h, record, "contact", func(o *v1alpha1.RecordType) { o.Spec.Attributes = []v1alpha1.Attribute{a} })
	}
	retype(v1alpha1.Attribute{Name: "plan", Type: v1alpha1.IntegerType})
	expectParts(t, h.verdict(record, "contact", v1alpha1.LossyChangeReason, "Failed"), "restore type String")
	h.current(object, "others")
	stays("a type that would lose values")
	retype(free)
	h.current(record, "contact")

	// One that holds nothing gets another type under the segment, and then goes.
	h.sql("update contact set attr_plan = null")
	retype(v1alpha1.Attribute{Name: "plan", Type: v1alpha1.IntegerType})
	h.current(record, "contact")
	expectParts(t, h.verdict(object, "others", v1alpha1.ExpressionInvalidReason, "Failed"), "spec.match: 1:14: cannot compare contact.plan (Integer) with a String")
	stays("another type")
	retype(v1alpha1.Attribute{Name: "rank", Type: v1alpha1.IntegerType})
	h.current(record, "contact")
	h.eventually(func(g gomega.Gomega) { // the verdict before has the same reason
		message := h.verdict(object, "others", v1alpha1.ExpressionInvalidReason, "Failed")
		g.Expect(message).To(gomega.ContainSubstring(`spec.match: 1:9: contact has no attribute "plan"`))
	})
	stays("no attribute any more")
	retype(free)
	h.current(object, "others")
	stays("the type of before")
}
