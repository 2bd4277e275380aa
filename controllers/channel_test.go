package controllers_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// TestAChannelThatIsRefusedShowsWhatGoesOn: campaigns are sent over the channel as it was declared before.
func TestAChannelThatIsRefusedShowsWhatGoesOn(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.MessageChannel{}
	h.create(h.channel("news", ""))
	h.current(object, "news")
	lacksSecret := v1alpha1.NotFoundReason("Secret")
	edit(h, object, "news", func(o *v1alpha1.MessageChannel) { o.Spec.Email.SMTP.SecretRef = &v1alpha1.LocalReference{Name: "none"} })
	h.verdict(object, "news", lacksSecret, "InProgress")
	h.sql("update channel set trouble = 'The relay refuses mail.', trouble_since = now()")
	if err := h.db.NoteStatusChange(t.Context(), store.ChannelKind, "news"); err != nil {
		t.Fatal(err)
	}
	h.condition(object, "news", v1alpha1.HealthyCondition, "False", v1alpha1.ChannelTroubleReason)
	h.verdict(object, "news", lacksSecret, "InProgress")

	// Of one that was deleted nothing goes on.
	h.delete(&v1alpha1.MessageChannel{}, "news")
	h.gone(object, "news")
	h.create(h.channel("news", "none"))
	h.verdict(object, "news", lacksSecret, "InProgress")
	if c := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.HealthyCondition); c != nil {
		t.Errorf("one that is not in force has a health: %+v", c)
	}
}
