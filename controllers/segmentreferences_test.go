package controllers_test

import (
	"strings"
	"testing"

	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// TestSegmentsThatAskEachOther: a segment waits for those whose membership it asks for, and stalls where that leads back to itself.
func TestSegmentsThatAskEachOther(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.Segment{}
	h.create(h.segment("b", `in_segment("c")`))
	expectParts(t, h.verdict(object, "b", v1alpha1.NotFoundReason("Segment"), "InProgress"), `1:12: there is no Segment "c"`)
	h.create(h.segment("c", `contact.locale == "es"`))
	expectParts(t, h.verdict(object, "b", v1alpha1.DependencyNotReady, "InProgress"), `"c" has no membership yet`)
	if n := ask[int](h, "select count(*) from segment where name = 'b'"); n != 0 {
		t.Error("a segment is in force before there is what it asks for")
	}
	h.verdict(object, "c", v1alpha1.BuildingReason, "InProgress")
	h.built("c", 1)
	h.verdict(object, "b", v1alpha1.BuildingReason, "InProgress")
	h.built("b", 1)
	h.current(object, "b")

	// A third one closes the circle by its creation, and then the first one by an edit.
	h.create(h.segment("a", `contact.locale == "es" && !in_segment("b")`))
	h.verdict(object, "a", v1alpha1.BuildingReason, "InProgress")
	h.built("a", 0)
	h.current(object, "a")
	edit(h, object, "c", func(o *v1alpha1.Segment) { o.Spec.Match = `true || in_segment("a")` })
	for name, want := range map[string]string{"a": "1:39: in_segment leads back to this segment: a → b → c → a", "b": "b → c → a → b", "c": "1:20: in_segment leads back to this segment: c → a → b → c"} {
		expectParts(t, h.verdict(object, name, v1alpha1.SegmentCycleReason, "Failed"), want)
	}
	if match := ask[string](h, "select match from segment where name = 'c'"); strings.Contains(match, "in_segment") {
		t.Errorf("what stands in a circle came into force: %s", match)
	}
	edit(h, object, "c", func(o *v1alpha1.Segment) { o.Spec.Match = `contact.locale == "es"` })
	for _, name := range []string{"c", "b", "a"} {
		h.current(object, name)
	}

	// One that asks itself, and one whose neighbour goes.
	edit(h, object, "c", func(o *v1alpha1.Segment) { o.Spec.Match = `in_segment("c")` })
	expectParts(t, h.verdict(object, "c", v1alpha1.SegmentCycleReason, "Failed"), "c → c")
	h.delete(&v1alpha1.Segment{}, "c")
	h.gone(object, "c")
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.verdict(object, "b", v1alpha1.NotFoundReason("Segment"), "InProgress")).To(gomega.ContainSubstring(`"c"`))
	})
}

// TestSegmentAsksForADeclaredPurpose: where policies declare purposes, a segment that asks for another one would hold nobody.
func TestSegmentAsksForADeclaredPurpose(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.Segment{}
	h.create(h.segment("readers", `consented("newsletter")`))
	h.verdict(object, "readers", v1alpha1.BuildingReason, "InProgress")
	h.built("readers", 1)
	h.current(object, "readers")

	policy := &v1alpha1.ConsentPolicy{ObjectMeta: h.named("people"), Spec: v1alpha1.ConsentPolicySpec{Purposes: []v1alpha1.ConsentPurpose{
		{Name: "news-letter", Basis: v1alpha1.BasisContract}, {Name: "receipts", Basis: v1alpha1.BasisContract},
	}}}
	h.create(policy, h.segment("untracked", `!consented("tracking")`))
	expectParts(t, h.verdict(object, "readers", v1alpha1.ExpressionInvalidReason, "Failed"), "1:11", `did you mean "news-letter"`)
	h.verdict(object, "untracked", v1alpha1.BuildingReason, "InProgress")
	edit(h, &v1alpha1.ConsentPolicy{}, "people", func(p *v1alpha1.ConsentPolicy) { p.Spec.Purposes[0].Name = "newsletter" })
	h.current(object, "readers")
}
