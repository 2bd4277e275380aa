package automationrule

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/automate"
)

// facts are what a rule's acceptance depends on.
type facts struct {
	known   automate.Known // with the schema that is in force
	needed  []dependency   // what the rule names and cannot do without
	changes bool           // what the schema is made of is being looked at
	posts   []string       // templates that say something without a subject: no mails
}

// dependency is an object that is there.
type dependency struct {
	kind, name string
	underWay   bool // an edit of it has not been looked at yet
	settled    bool // it is in force
}

// gather reads what a rule may name, and how what it names stands.
func (r *Reconciler) gather(ctx context.Context, object *v1alpha1.AutomationRule) (facts, error) {
	found := facts{known: automate.Known{
		Name: object.Name, Starts: map[string][]string{},
		Segments: []string{}, Templates: []string{}, Campaigns: []string{}, Rules: []string{}, Queues: []string{},
		Channels: map[string]string{}, Monitors: map[string][]string{},
	}}
	named := referencesOf(&object.Spec)
	for _, kind := range []struct {
		name string
		list client.ObjectList
	}{
		{segmentKind, &v1alpha1.SegmentList{}},
		{templateKind, &v1alpha1.MessageTemplateList{}},
		{channelKind, &v1alpha1.MessageChannelList{}},
		{monitorKind, &v1alpha1.MonitorList{}},
		{campaignKind, &v1alpha1.CampaignList{}},
		{queueKind, &v1alpha1.ServiceQueueList{}},
		{ruleKind, &v1alpha1.AutomationRuleList{}},
	} {
		if err := r.Client.List(ctx, kind.list, client.InNamespace(object.Namespace), client.UnsafeDisableDeepCopy); err != nil {
			return found, fmt.Errorf("list the objects of kind %s: %w", kind.name, err)
		}
		err := meta.EachListItem(kind.list, func(item runtime.Object) error {
			found.note(item.(v1alpha1.Object), named)
			return nil
		})
		if err != nil {
			return found, fmt.Errorf("read the objects of kind %s: %w", kind.name, err)
		}
	}
	var err error
	found.changes, err = reconciling.AnyUnderWay(ctx, r.Client, object.Namespace,
		&v1alpha1.RecordTypeList{}, &v1alpha1.EventTypeList{}, &v1alpha1.ConsentPolicyList{})
	return found, err
}

// note keeps what counts of an object. One that is about to go is not there.
func (f *facts) note(o v1alpha1.Object, named references) {
	if !o.GetDeletionTimestamp().IsZero() {
		return
	}
	name := o.GetName()
	switch object := o.(type) {
	case *v1alpha1.Segment:
		f.known.Segments = append(f.known.Segments, name)
		f.need(segmentKind, o, named)
	case *v1alpha1.MessageTemplate:
		f.known.Templates = append(f.known.Templates, name)
		if slices.ContainsFunc(object.Spec.Content, func(c v1alpha1.LocalizedContent) bool { return c.Subject == "" }) {
			f.posts = append(f.posts, name)
		}
		f.need(templateKind, o, named)
	case *v1alpha1.MessageChannel:
		f.known.Channels[name] = string(object.Spec.Type)
		f.need(channelKind, o, named)
	case *v1alpha1.Monitor:
		topics := make([]string, 0, len(object.Spec.Topics))
		for i := range object.Spec.Topics {
			topics = append(topics, object.Spec.Topics[i].Name)
		}
		f.known.Monitors[name] = topics
	case *v1alpha1.Campaign:
		f.known.Campaigns = append(f.known.Campaigns, name)
	case *v1alpha1.ServiceQueue:
		f.known.Queues = append(f.known.Queues, name)
		f.need(queueKind, o, named)
	case *v1alpha1.AutomationRule:
		f.known.Rules = append(f.known.Rules, name)
		f.known.Starts[name] = starts(object)
	}
}

// need notes how an object stands that the rule cannot do without.
func (f *facts) need(kind string, o v1alpha1.Object, named references) {
	if slices.Contains(named[kind], o.GetName()) {
		f.needed = append(f.needed, dependency{
			kind: kind, name: o.GetName(), settled: reconciling.IsSettled(o), underWay: o.CommonStatus().ObservedGeneration != o.GetGeneration(),
		})
	}
}
