package overview

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// Plan draws conclusions from what was read.
func Plan(f *Facts, now time.Time) Overview {
	o := Overview{At: now, Unseen: f.unseen}
	o.Operator, o.Problems = planOperator(f)
	for _, namespace := range f.Namespaces() {
		o.Tenants = append(o.Tenants, planTenant(f.homes[namespace], now))
	}
	return o
}

// planOperator adds up what runs as operator. Where no Deployment is found nothing is said to be wrong: `tertulia up` runs
// the operator without one, and its namespace may be another than the one that was asked for.
func planOperator(f *Facts) (*Process, []Problem) {
	if len(f.operators) == 0 {
		return nil, nil
	}
	p := addUp(f.operators)
	var problems []Problem
	if p.Ready == 0 {
		name := f.operators[0].Name
		problems = append(problems, Problem{
			Kind: "Deployment", Names: []string{name}, Reason: "OperatorDown",
			Message: "No operator is ready: edits are not put in force and status does not move. What is being sent goes on.",
			Do:      fmt.Sprintf("kubectl describe pods -n %s -l %s=%s; kubectl logs -n %[1]s deploy/%[4]s", p.Namespace, componentLabel, operatorPart, name),
		})
	}
	return p, problems
}

// addUp makes one line of Deployments of a sort. A rollout that has not reached every pod shows both versions.
func addUp(deployments []appsv1.Deployment) *Process {
	p := &Process{Namespace: deployments[0].Namespace}
	for i := range deployments {
		d := &deployments[i]
		if d.Spec.Replicas != nil {
			p.Desired += *d.Spec.Replicas
		} else {
			p.Desired++
		}
		p.Ready += d.Status.ReadyReplicas
		for _, c := range d.Spec.Template.Spec.Containers {
			if v := imageVersion(c.Image); !slices.Contains(p.Versions, v) {
				p.Versions = append(p.Versions, v)
			}
		}
	}
	return p
}

// imageVersion is what tells one image from another of the same name: its tag, or the beginning of its digest.
func imageVersion(image string) string {
	if _, digest, ok := strings.Cut(image, "@"); ok {
		return digest[:min(len(digest), len("sha256:")+12)]
	}
	name := image[strings.LastIndexByte(image, '/')+1:]
	if _, tag, ok := strings.Cut(name, ":"); ok {
		return tag
	}
	return "latest"
}

func planTenant(h *home, now time.Time) Tenant {
	spec, status := h.tenant.Spec, h.tenant.Status
	t := Tenant{
		Namespace: h.tenant.Namespace, ID: spec.ID, DisplayName: spec.DisplayName, URL: spec.PublicURL, TimeZone: spec.TimeZoneOrDefault(),
		Suspended: spec.Suspend, Database: status.Database, SchemaVersion: status.SchemaVersion,
	}
	t.Workers = planProcess(h, workerPart, status.Workers)
	t.Servers = planProcess(h, serverPart, status.Servers)
	t.Objects = countKinds(h.objects)
	began := sendingBegan(h.events)
	for _, o := range h.objects {
		if c, ok := o.(*v1alpha1.Campaign); ok && c.Status.Phase == v1alpha1.CampaignSending {
			t.Sending = append(t.Sending, planSending(c, began[c.Name], now))
		}
		if w, ok := planWaiting(o); ok {
			t.Waiting = append(t.Waiting, w)
		}
	}
	t.Finished = planFinished(h.objects)
	slices.SortFunc(t.Waiting, sooner)
	t.Problems, t.Hints, t.Consequences = planProblems(h.objects)
	t.Well = len(t.Problems) == 0
	return t
}

// planProcess prefers what the operator says: it knows what it wants to run, also while a Deployment is being made.
func planProcess(h *home, part string, counted *v1alpha1.ProcessCount) *Process {
	var p *Process
	var ours []appsv1.Deployment
	for _, d := range h.deployments {
		if d.Labels[componentLabel] == part {
			ours = append(ours, d)
		}
	}
	if len(ours) > 0 {
		p = addUp(ours)
	}
	if counted != nil {
		if p == nil {
			p = &Process{}
		}
		p.Desired, p.Ready = counted.Desired, counted.Ready
	}
	return p
}

func countKinds(objects []v1alpha1.Object) []Kind {
	counted := map[string]*Kind{}
	for _, o := range objects {
		kind := KindOf(o)
		if counted[kind] == nil {
			counted[kind] = &Kind{Kind: kind}
		}
		counted[kind].Total++
		if meta.IsStatusConditionTrue(o.CommonStatus().Conditions, v1alpha1.ReadyCondition) && !underWay(o) {
			counted[kind].Ready++
		}
	}
	var kinds []Kind
	for _, name := range slices.Sorted(maps.Keys(counted)) {
		kinds = append(kinds, *counted[name])
	}
	return kinds
}

// KindOf is an object's kind, which lists of typed objects leave out.
func KindOf(o v1alpha1.Object) string { return reflect.TypeOf(o).Elem().Name() }

// underWay tells whether the newest edit has not been looked at yet.
func underWay(o v1alpha1.Object) bool {
	return o.CommonStatus().ObservedGeneration != o.GetGeneration()
}

// sooner sorts what goes on at a known time first, by that time.
func sooner(a, b Waiting) int {
	switch {
	case a.Until != nil && b.Until != nil && !a.Until.Equal(*b.Until):
		return a.Until.Compare(*b.Until)
	case (a.Until == nil) != (b.Until == nil):
		if a.Until != nil {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}
