package controllers_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// columns are what kubectl get shows of a campaign, by the name of the column.
func (h *home) columns(name string) map[string]string {
	h.t.Helper()
	return h.columnsOf("campaigns", name)
}

// columnsOf are what kubectl get shows of an object, by the name of the column; a column that shows nothing is left out.
func (h *home) columnsOf(resource, name string) map[string]string {
	h.t.Helper()
	config := rest.CopyConfig(shared.world.config)
	config.APIPath, config.NegotiatedSerializer = "/apis", scheme.Codecs.WithoutConversion()
	config.GroupVersion = &schema.GroupVersion{Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version}
	api, err := rest.RESTClientFor(config)
	if err != nil {
		h.t.Fatal(err)
	}
	raw, err := api.Get().Namespace(h.namespace).Resource(resource).Name(name).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	var table metav1.Table
	if err := json.Unmarshal(raw, &table); err != nil || len(table.Rows) != 1 {
		h.t.Fatalf("%d rows, %v", len(table.Rows), err)
	}
	shown := map[string]string{}
	for i, c := range table.ColumnDefinitions {
		if cell := table.Rows[0].Cells[i]; cell != nil {
			shown[c.Name] = fmt.Sprint(cell)
		}
	}
	return shown
}

// A campaign that recurs tells of what comes next and of the last occurrence: as it is sent, and when it is over.
func TestCampaignThatRecursTellsOfItsOccurrences(t *testing.T) {
	h := withReferences(t)
	daily := h.campaign("daily")
	hour := time.Now().UTC().Add(12 * time.Hour).Hour() // far from now, so that no occurrence begins while this test runs
	daily.Spec.Schedule = v1alpha1.Schedule{Cron: fmt.Sprintf("0 %d * * *", hour), TimeZone: "UTC"}
	h.create(daily)
	object := &v1alpha1.Campaign{}
	h.current(object, "daily")
	if s := object.Status; s.Phase != v1alpha1.CampaignScheduled || s.Occurrence != "" || s.LastPhase != "" || s.Planned != nil || s.ScheduledFor == nil {
		t.Fatalf("nothing was sent yet: %+v", s)
	}
	first := object.Status.ScheduledFor.UTC()
	if first.Hour() != hour || first.Before(time.Now()) {
		t.Errorf("the next occurrence is at %d:00, and not at %s", hour, first)
	}

	// A worker comes to the occurrence, and sends it.
	id := ask[int64](h, "select id from send where cron is not null")
	if err := h.db.AdvanceDeclaration(t.Context(), id, first); err != nil {
		t.Fatal(err)
	}
	h.sql(`insert into send_tally select s.id, 1, o, n from send s, (values ('planned', 10), ('sent', 4), ('skipped:NoConsent', 2)) t(o, n) where s.occurrence <> ''`)
	h.occurs("state = 'Sending', frozen_at = now(), audience = 10")
	object = h.phase("daily", v1alpha1.CampaignSending)
	local, next := first.Format("2006-01-02T15:04"), first.Add(24*time.Hour)
	n := func(value int64) *int64 { return &value }
	want := v1alpha1.CampaignStatus{
		Status: object.Status.Status, Phase: v1alpha1.CampaignSending, ScheduledFor: object.Status.ScheduledFor, Occurrence: local,
		LastPhase: v1alpha1.CampaignSending, Planned: n(10), Sent: n(4), Failed: n(0), Ambiguous: n(0), Skipped: n(2), Pending: n(4), Progress: "4/10",
		SkippedByReason: []v1alpha1.SkipCount{{Reason: "NoConsent", Count: 2}}, Where: "news (Email)", What: "spring",
	}
	if diff := cmp.Diff(want, object.Status); diff != "" {
		t.Errorf("while it is sent: -want +got:\n%s", diff)
	}
	if !object.Status.ScheduledFor.Time.Equal(next) {
		t.Errorf("the next occurrence is at %s, and not at %s", next, object.Status.ScheduledFor)
	}

	// When it is over the campaign waits for the next one, and shows the numbers of the last.
	h.sql("update send_tally set n = 8 where outcome = 'sent'")
	h.occurs("state = 'Completed', finished_at = now()")
	object = h.phase("daily", v1alpha1.CampaignScheduled)
	h.eventually(func(g gomega.Gomega) {
		shown := h.columns("daily")
		g.Expect([]string{
			shown["Phase"], shown["Sent"], shown["Skipped"], shown["Failed"], shown["Ambiguous"], shown["Ready"], shown["Occurrence"],
		}).To(gomega.Equal([]string{"Scheduled", "8/10", "2", "0", "0", "True", local}))
		g.Expect(strings.HasPrefix(shown["At"], next.Format("2006-01-02T15:04"))).To(gomega.BeTrue(), shown["At"])
	})
	if s := object.Status; s.LastPhase != v1alpha1.CampaignCompleted || s.Occurrence != local || *s.Pending != 0 {
		t.Errorf("the last occurrence is completed: %+v", s)
	}

	// One that nobody began in time is told of, too.
	if err := h.db.AdvanceDeclaration(t.Context(), id, next.Add(7*time.Hour)); err != nil {
		t.Fatal(err)
	}
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(t.Context(), h.key("daily"), object)).To(gomega.Succeed())
		g.Expect(object.Status.LastPhase).To(gomega.Equal(v1alpha1.CampaignExpired))
		g.Expect(object.Status.Occurrence).To(gomega.Equal(next.Format("2006-01-02T15:04")))
		g.Expect(object.Status.Phase).To(gomega.Equal(v1alpha1.CampaignScheduled))
		g.Expect(object.Status.ScheduledFor.Time.Equal(next.Add(24 * time.Hour))).To(gomega.BeTrue())
	})
}

// occurs does what a worker does for the only occurrence there is.
func (h *home) occurs(change string) {
	h.t.Helper()
	h.sql("update send set " + change + " where occurrence <> ''")
	if err := h.db.NoteStatusChange(h.t.Context(), store.CampaignKind, "daily"); err != nil {
		h.t.Fatal(err)
	}
}
