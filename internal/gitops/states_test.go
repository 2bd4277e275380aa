package gitops

import (
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// seen waits until kstatus and Argo CD read the object of a kind as wanted, and Argo CD's message says this.
func (v *team) seen(kind string, kstatus status.Status, argo, says string) {
	v.t.Helper()
	v.eventually(func(g gomega.Gomega) {
		found := v.live(v.manifest(kind))
		g.Expect(found).NotTo(gomega.BeNil())
		read, err := status.Compute(found)
		g.Expect(err).NotTo(gomega.HaveOccurred())
		health, message := argoHealth(v.t, found)
		g.Expect(message).To(gomega.ContainSubstring(says), kind)
		g.Expect([]string{string(read.Status), health}).To(gomega.Equal([]string{string(kstatus), argo}), "%s: %s", kind, message)
	})
}

// set changes fields of the object of a kind, given as "a.b" and values, as its author would.
func (v *team) set(kind string, fields map[string]any) {
	v.t.Helper()
	o := v.manifest(kind)
	for path, value := range fields {
		if err := unstructured.SetNestedField(o.Object, value, strings.Split(path, ".")...); err != nil {
			v.t.Fatal(err)
		}
	}
	v.must([]*unstructured.Unstructured{o}, "apply", "--server-side", "--force-conflicts", "-f", "-")
}

// back gives the object of a kind its first content again.
func (v *team) back(kind string) {
	v.t.Helper()
	v.must([]*unstructured.Unstructured{v.manifest(kind)}, "apply", "--server-side", "--force-conflicts", "-f", "-")
}

func TestNewObjectsAreInProgress(t *testing.T) {
	v := newTeam(t)
	for _, kind := range v.kinds() {
		// A dry run gives the object as it is stored, before any operator can have seen it.
		o := v.manifest(kind)
		if err := v.api.Create(t.Context(), o, client.DryRunAll); err != nil {
			t.Fatal(err)
		}
		read, err := status.Compute(o)
		if err != nil || read.Status != status.InProgressStatus {
			t.Errorf("%s: kstatus reads %v, %v", kind, read, err)
		}
		if observed, found, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration"); !found || observed != -1 {
			t.Errorf("%s: observedGeneration is %d, %v; want -1", kind, observed, found)
		}
		if health, message := argoHealth(t, o); health != "Progressing" || !strings.Contains(message, "not looked at") {
			t.Errorf("%s: Argo CD reads %s %q", kind, health, message)
		}
	}
}

// TestWhatIsMissingIsInProgress has each kind wait for what another object must bring.
func TestWhatIsMissingIsInProgress(t *testing.T) {
	v := newTeam(t)
	v.applied(without(v.all(), "CRMTenant", "Secret", "ConfigMap")...)
	for _, kind := range v.kinds() {
		if kind != "CRMTenant" {
			v.seen(kind, status.InProgressStatus, "Progressing", "CRMTenantNotFound: ")
		}
	}
	tenant := v.manifest("CRMTenant")
	_ = unstructured.SetNestedField(tenant.Object, "absent", "spec", "database", "secretRef", "name")
	v.applied(tenant)
	v.seen("CRMTenant", status.InProgressStatus, "Progressing", "SecretNotFound: ")
	v.seen("EventType", status.InProgressStatus, "Progressing", "TenantNotReady: ")
	v.back("CRMTenant")
	v.seen("CRMTenant", status.CurrentStatus, "Healthy", "")
	v.seen("MessageChannel", status.InProgressStatus, "Progressing", "SecretNotFound: ")
	v.seen("MessageTemplate", status.InProgressStatus, "Progressing", "ConfigMapNotFound: ")
	v.seen("Campaign", status.InProgressStatus, "Progressing", "DependencyNotReady: ")
	v.must(nil, "delete", "segment", "club")
	v.seen("Campaign", status.InProgressStatus, "Progressing", "SegmentNotFound: ")
	v.must(nil, "delete", "socialsource", "blog")
	v.seen("Monitor", status.InProgressStatus, "Progressing", "SocialSourceNotFound: ")
	v.must(nil, "delete", "messagetemplate", "spring")
	v.seen("AutomationRule", status.InProgressStatus, "Progressing", "MessageTemplateNotFound: ")
	v.applied(v.all()...)
	v.settled()
	v.seen("EventType", status.CurrentStatus, "Healthy", "")
}

// TestWhatOnlyAnEditMendsIsFailed stalls each kind that can stall, and mends it.
func TestWhatOnlyAnEditMendsIsFailed(t *testing.T) {
	v := newTeam(t)
	v.peopled(v.applied)
	v.applied(v.all()...)
	v.settled()
	plan := map[string]any{"name": "plan", "type": "Integer"}
	content := map[string]any{"locale": "es", "subject": "Hola", "html": "{% if contact.first_name %}Hola"}
	topic := map[string]any{"name": "velo", "role": "Brand", "any": []any{map[string]any{"phrase": "…"}}}
	for _, tc := range []struct {
		kind   string
		fields map[string]any
		reason string
	}{
		{"CRMTenant", map[string]any{"spec.timeZone": "Nowhere/At_All"}, "InvalidSpec: "},
		{"RecordType", map[string]any{"spec.attributes": []any{plan}}, "LossyChange: "},
		{"MessageChannel", map[string]any{"spec.email.from": "Velo, S.L. <hola@velo.example>"}, "InvalidSpec: "},
		{"MessageTemplate", map[string]any{"spec.content": []any{content}}, "TemplateInvalid: "},
		{"Segment", map[string]any{"spec.match": "contact.plam == 'club'"}, "ExpressionInvalid: "},
		{"SendPolicy", map[string]any{"spec.rules": []any{map[string]any{"name": "r", "expression": "campaign.nom == ''", "message": "m"}}}, "ExpressionInvalid: "},
		{"ConsentPolicy", map[string]any{"spec.retention": map[string]any{"unconfirmedRequests": "1d"}}, "InvalidSpec: "},
		{"SocialSource", map[string]any{"spec.interval": "5s"}, "InvalidSpec: "},
		{"Monitor", map[string]any{"spec.topics": []any{topic}}, "TopicInvalid: "},
		{"AutomationRule", map[string]any{"spec.when": "event.amoun > 50.0"}, "ExpressionInvalid: "},
		{"ServiceQueue", map[string]any{"spec.hours.timeZone": "Nowhere/At_All"}, "InvalidSpec: spec.hours.timeZone: "},
		{"Campaign", map[string]any{"spec.schedule.timeZone": "Nowhere/At_All"}, "InvalidSpec: "},
	} {
		v.set(tc.kind, tc.fields)
		v.seen(tc.kind, status.FailedStatus, "Degraded", tc.reason)
		v.back(tc.kind)
		v.seen(tc.kind, status.CurrentStatus, "Healthy", "")
	}
	v.settled()
}

// TestSuspendedAndDeletedObjects suspends and deletes each kind. An object that is suspended is in force.
func TestSuspendedAndDeletedObjects(t *testing.T) {
	v := newTeam(t)
	for _, o := range v.manifests { // not before its year
		if o.GetKind() == "Campaign" {
			_ = unstructured.SetNestedField(o.Object, "2099-03-21T09:00:00", "spec", "schedule", "at")
		}
	}
	v.peopled(v.applied)
	v.applied(v.all()...)
	v.settled()
	v.seen("Campaign", status.CurrentStatus, "Healthy", "Scheduled for 2099-03-21T09:00:00Z. ")
	for _, kind := range v.kinds() {
		v.set(kind, map[string]any{"spec.suspend": true})
		v.seen(kind, status.CurrentStatus, "Suspended", "")
		if kind == "CRMTenant" {
			v.seen("Campaign", status.CurrentStatus, "Suspended", "Stopped: ")
		}
		v.back(kind)
		v.seen(kind, status.CurrentStatus, "Healthy", "")
	}
	for _, o := range v.all() {
		if !ours(o) {
			continue
		}
		v.hold(o)
		v.must(nil, "delete", "--wait=false", o.GetKind(), o.GetName())
		v.seen(o.GetKind(), status.TerminatingStatus, "Progressing", "Pending deletion")
		v.letGo(o)
		v.gone(o)
		v.applied(o)
		v.settled()
	}
}

// TestLifeOfACampaignInColours follows a campaign through its phases.
func TestLifeOfACampaignInColours(t *testing.T) {
	v := newTeam(t)
	v.peopled(v.applied)
	v.applied(without(v.all(), "Campaign")...)
	v.set("Campaign", map[string]any{"spec.audience.maxRecipients": int64(3)})
	v.seen("Campaign", status.CurrentStatus, "Degraded", "AttentionNeeded: ")
	v.phase(v1alpha1.CampaignHeld)
	v.set("Campaign", map[string]any{"spec.schedule.at": "2020-03-21T09:00:00"})
	v.phase(v1alpha1.CampaignExpired)
	v.seen("Campaign", status.CurrentStatus, "Degraded", "AttentionNeeded: The starting deadline passed")
	v.back("Campaign")
	v.seen("Campaign", status.CurrentStatus, "Healthy", "Sending: 5 of 10 sent, 5 pending. The relay asks to be tried again later (4.7.1)")
	v.set("Campaign", map[string]any{"spec.suspend": true})
	v.seen("Campaign", status.CurrentStatus, "Suspended", "Paused: 5 of 10 sent, 5 pending. ")
	v.back("Campaign")
	v.set("Secret", map[string]any{"stringData.password": "another"})
	v.relay.Drop() // who is logged in stays so
	v.seen("MessageChannel", status.CurrentStatus, "Degraded", "ChannelTrouble: ")
	v.seen("Campaign", status.CurrentStatus, "Degraded", "ChannelTrouble: ")
	v.back("Secret")
	v.seen("MessageChannel", status.CurrentStatus, "Healthy", "")
	v.gate.open.Store(true)
	v.seen("Campaign", status.CurrentStatus, "Healthy", "Completed: 10 of 10 sent. Every outcome is known.")
	v.set("Campaign", map[string]any{"spec.suspend": true})
	v.seen("Campaign", status.CurrentStatus, "Healthy", "Completed: 10 of 10 sent. ")
	v.back("Campaign")
	v.completes()
}
