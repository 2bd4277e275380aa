package overview

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

func object(o v1alpha1.Object, conditions ...metav1.Condition) v1alpha1.Object {
	o.SetName("one")
	o.SetNamespace("velo")
	o.CommonStatus().Conditions = append(o.CommonStatus().Conditions, conditions...)
	return o
}

func TestPlanWaiting(t *testing.T) {
	at := metav1.NewTime(now.Add(time.Hour))
	until := at.UTC()
	campaign := func(phase v1alpha1.CampaignPhase) *v1alpha1.Campaign {
		return &v1alpha1.Campaign{Status: v1alpha1.CampaignStatus{Phase: phase, ScheduledFor: &at}}
	}
	stopped := isNot(v1alpha1.HealthyCondition, v1alpha1.StoppedReason, "Nothing is sent while the channel is suspended.")
	for name, c := range map[string]struct {
		object v1alpha1.Object
		want   string
		until  *time.Time
	}{
		"scheduled":                         {object(campaign(v1alpha1.CampaignScheduled)), "scheduled", &until},
		"freezing":                          {object(campaign(v1alpha1.CampaignFreezing)), "its recipients are being chosen", nil},
		"paused":                            {object(campaign(v1alpha1.CampaignPaused)), "paused: goes on when spec.suspend is removed", nil},
		"sending waits for nothing":         {object(campaign(v1alpha1.CampaignSending)), "", nil},
		"sending that was stopped":          {object(campaign(v1alpha1.CampaignSending), stopped), stopped.Message, nil},
		"completed":                         {object(campaign(v1alpha1.CampaignCompleted)), "", nil},
		"an edit that was not looked at":    {edited(object(&v1alpha1.Segment{}, inForce)), "the operator has not looked at the newest edit yet", nil},
		"what is deleted":                   {deleted(object(&v1alpha1.Segment{}, inForce)), "being deleted", nil},
		"what is in force waits for nobody": {object(&v1alpha1.Segment{}, inForce), "", nil},
		"suspended":                         {object(&v1alpha1.Segment{Spec: v1alpha1.SegmentSpec{Suspend: true}}, inForce), "suspended: goes on when spec.suspend is removed", nil},
		"not ready for good":                {object(&v1alpha1.Segment{}, isNot(v1alpha1.ReadyCondition, v1alpha1.ExpressionInvalidReason, "no")), "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			w, waits := planWaiting(c.object)
			if waits != (c.want != "") || w.What != c.want || !cmp.Equal(w.Until, c.until) {
				t.Errorf("got %v %q until %v, want %q until %v", waits, w.What, w.Until, c.want, c.until)
			}
		})
	}
}

func edited(o v1alpha1.Object) v1alpha1.Object {
	o.SetGeneration(2)
	return o
}

func deleted(o v1alpha1.Object) v1alpha1.Object {
	at := metav1.NewTime(now)
	o.SetDeletionTimestamp(&at)
	return o
}

func TestPlanProblems(t *testing.T) {
	tenantDown := object(&v1alpha1.CRMTenant{}, isNot(v1alpha1.ReadyCondition, v1alpha1.DatabaseDownReason, "away"))
	waits := object(&v1alpha1.Segment{}, isNot(v1alpha1.ReadyCondition, v1alpha1.TenantNotReadyReason, "The CRMTenant is not ready."))
	typo := object(&v1alpha1.Segment{}, isNot(v1alpha1.ReadyCondition, v1alpha1.ExpressionInvalidReason, "no"),
		is(v1alpha1.StalledCondition, v1alpha1.ExpressionInvalidReason, "no"))
	for name, c := range map[string]struct {
		objects []v1alpha1.Object
		reasons []string
		waiting int
	}{
		"the cause and not what follows":      {[]v1alpha1.Object{waits, tenantDown, waits}, []string{v1alpha1.DatabaseDownReason}, 2},
		"a consequence without a cause":       {[]v1alpha1.Object{waits, waits}, []string{v1alpha1.TenantNotReadyReason}, 0},
		"the tenant comes first":              {[]v1alpha1.Object{typo, tenantDown}, []string{v1alpha1.DatabaseDownReason, v1alpha1.ExpressionInvalidReason}, 0},
		"stalled says nothing that is new":    {[]v1alpha1.Object{typo}, []string{v1alpha1.ExpressionInvalidReason}, 0},
		"an answer about an older edit":       {[]v1alpha1.Object{edited(object(&v1alpha1.Segment{}, isNot(v1alpha1.ReadyCondition, v1alpha1.ExpressionInvalidReason, "no")))}, nil, 0},
		"a standby that lags is no problem":   {[]v1alpha1.Object{object(&v1alpha1.CRMTenant{}, isNot(v1alpha1.FailoverSafeCondition, v1alpha1.AsynchronousStandbysReason, "lags"))}, nil, 0},
		"a rollout is no problem":             {[]v1alpha1.Object{object(&v1alpha1.CRMTenant{}, isNot(v1alpha1.WorkloadsReadyCondition, v1alpha1.RollingOutReason, "soon"))}, nil, 0},
		"a source that cannot be read":        {[]v1alpha1.Object{object(&v1alpha1.SocialSource{}, isNot(v1alpha1.HealthyCondition, v1alpha1.SourceUnauthorizedReason, "401"))}, []string{v1alpha1.SourceUnauthorizedReason}, 0},
		"a crisis is nothing to be mended":    {[]v1alpha1.Object{object(&v1alpha1.Monitor{}, is(v1alpha1.CrisisCondition, v1alpha1.IncidentOpenReason, "burst"))}, nil, 0},
		"a ledger that was permitted is none": {[]v1alpha1.Object{object(&v1alpha1.CRMTenant{}, isNot(v1alpha1.QuarantinedCondition, v1alpha1.PermittedReason, "ours"))}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			problems, _, waiting := planProblems(c.objects)
			var reasons []string
			for _, p := range problems {
				reasons = append(reasons, p.Reason)
			}
			if diff := cmp.Diff(c.reasons, reasons); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
			if waiting != c.waiting {
				t.Errorf("%d only wait, want %d", waiting, c.waiting)
			}
		})
	}
}

func TestImageVersion(t *testing.T) {
	for image, want := range map[string]string{
		"tertulia:1.4.0":                                      "1.4.0",
		"registry.example:5000/crm/tertulia":                  "latest",
		"registry.example:5000/crm/tertulia:1.4.0":            "1.4.0",
		"tertulia:1.4.0@sha256:0123456789abcdef0123456789abc": "sha256:0123456789ab",
	} {
		if got := imageVersion(image); got != want {
			t.Errorf("imageVersion(%q) is %q, want %q", image, got, want)
		}
	}
}

// saysAll are the reasons of problems whose messages tell what to do, and those of what is no problem.
var saysAll = strings.Fields(`
	InForce Suspended Progressing Delivering Running RollingOut NoProcessesWanted Separate Permitted Migrating Building
	QuarantineReleased FailedOver SendingStarted NoStandby SynchronousStandbys StandbysHidden CredentialsNotYetInUse Stopped
	TenantNotReady DependencyNotReady Quarantined
	SecretNotLabelled SecretKeyMissing SecretKeyTooLong SecretKeyInvalid ConfigMapKeyMissing ForeignDatabase
	TemplateInvalid ContentWarnings NothingFound ExpressionInvalid SegmentCycle SendKeyTaken PurposeTaken TextChanged DailyCapReached WorkloadNotOurs WorkloadsNotApplied
	Listening Moved NotReadYet Throttled ServerAsked TopicInvalid TooManyTerms IncidentOpened IncidentsClosed RuleInvalid RuleTrouble EntriesStuck QueueTrouble PostInvalid PostsRefused`)

// TestEveryReasonHasANextStep: whoever adds a reason decides whether its message says what to do, or a step does.
func TestEveryReasonHasANextStep(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../api/v1alpha1/conditions.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		name := spec.Names[0].Name
		if !ok || strings.HasSuffix(name, "Condition") {
			return true
		}
		reason, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		if reason[0] < 'A' || reason[0] > 'Z' { // a label, a finalizer, a name
			return true
		}
		if _, ok := steps[reason]; !ok && !slices.Contains(saysAll, reason) {
			t.Errorf("%s: add what to do about %q to steps in step.go, or to saysAll here where the message tells it", name, reason)
		}
		return true
	})
}

func TestText(t *testing.T) {
	for got, want := range map[string]string{
		thousands(0):                             "0",
		thousands(-1234):                         "-1,234",
		thousands(999):                           "999",
		thousands(1234567):                       "1,234,567",
		brief(59 * time.Second):                  "59 s",
		brief(61 * time.Minute):                  "1 h 1 min",
		brief(49 * time.Hour):                    "2 d 1 h",
		bar(0.5, 4):                              "[##..]",
		bar(2, 4):                                "[####]",
		cut("conversación", 9):                   "conversa…",
		printable("a\x1b]0;b\x07c\nd"):           "a�]0;b�c d",
		strings.Join(wrap("ab cd e", 5), "|"):    "ab cd|e",
		strings.Join(wrap("abcdefgh i", 5), "|"): "abcdefgh|i",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
