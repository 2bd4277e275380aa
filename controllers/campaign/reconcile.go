package campaign

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Reconcile declares one campaign's send, or says why it cannot, and shows how the send goes.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	return tenancy.Reconcile(ctx, r.Controller, request, &v1alpha1.Campaign{}, r.enforce, sleep)
}

func (r *Reconciler) enforce(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.Campaign, tenant tenancy.Tenant) error {
	pass.Count(counts)
	found, err := r.gather(ctx, object, tenant)
	if err != nil {
		return err
	}
	declared, refused := r.declare(ctx, object, tenant, found)
	declared.where = found.where()
	if declared.unsure {
		pass.LookAgainAfter(serverWait)
	}
	status, err := loadSend(ctx, object, tenant.DB)
	if err != nil {
		return err
	}
	// After the numbers: where the ledger is the permitted one now, they are its own.
	permitted, err := tenant.DB.SendPermitted(ctx)
	if err != nil {
		return err
	}
	if !permitted || status != nil && status.Quarantined {
		reportQuarantine(pass, object, declared)
		return refused
	}
	report(pass, object, declared, status)
	return refused
}

func sleep(ctx context.Context, object *v1alpha1.Campaign, tenant tenancy.Tenant) error {
	return tenant.DB.DormantSend(ctx, object.Name)
}

// declare writes down what is to be sent. What cannot be accepted pauses the send, so that nothing goes on under an older
// declaration than the one that its author sees.
func (r *Reconciler) declare(ctx context.Context, object *v1alpha1.Campaign, tenant tenancy.Tenant, found facts) (declaration, error) {
	config, err := planSend(object, tenant.TimeZone, r.now())
	if err == nil {
		err = planReferences(found)
	}
	if err == nil {
		err = planKind(object, found)
	}
	if err == nil {
		err = r.judge(ctx, object, tenant, found)
	}
	unsure := false
	if err == nil && object.Spec.Publication != nil {
		unsure, err = r.preparePublication(ctx, object, tenant, found, &config)
	}
	if err == nil && object.Spec.Publication == nil {
		err = checkSubjects(ctx, tenant, found)
	}
	var applied store.AppliedSend
	if err == nil {
		applied, err = tenant.DB.UpsertSend(ctx, config)
	}
	var taken *store.SendKeyTakenError
	if errors.As(err, &taken) {
		return declaration{}, reconciling.Stall(v1alpha1.SendKeyTakenReason,
			"spec.sendKey belongs to campaign %q: write this campaign anew with another key, or delete that one to let this one go on in its place.",
			taken.Campaign)
	}
	if err == nil {
		return declaration{startsAt: config.StartsAt, ignored: applied.Ignored}, nil
	}
	if found.send != nil && reconciling.IsVerdict(err) {
		if paused := tenant.DB.SuspendSend(ctx, object.Name); paused != nil {
			return declaration{}, paused
		}
	}
	return declaration{startsAt: config.StartsAt, unsure: unsure}, err
}

// declaration is what came of a campaign's spec.
type declaration struct {
	startsAt time.Time // zero where the schedule cannot be read
	ignored  []string  // fields that have no effect any more
	where    string    // it leaves
	unsure   bool      // a server has to be asked yet what it takes
}

// facts are what a campaign's acceptance depends on.
type facts struct {
	channel   reference
	kind      v1alpha1.ChannelType // the channel's; "" where it is not there
	templates []reference
	segments  []reference
	send      *store.SendStatus // nil before there is one
}

// reference is an object that a campaign names.
type reference struct {
	kind, name string
	found      bool
	underWay   bool // an edit of it has not been looked at yet
	settled    bool // it is in force
}

func (r *Reconciler) gather(ctx context.Context, object *v1alpha1.Campaign, tenant tenancy.Tenant) (facts, error) {
	var found facts
	var err error
	channel := &v1alpha1.MessageChannel{}
	if found.channel, err = r.look(ctx, object.Namespace, object.Spec.ChannelRef.Name, "MessageChannel", channel); err != nil {
		return facts{}, err
	}
	found.kind = channel.Spec.Type
	for _, name := range templateNames(object.Spec) {
		template, err := r.look(ctx, object.Namespace, name, "MessageTemplate", &v1alpha1.MessageTemplate{})
		if err != nil {
			return facts{}, err
		}
		found.templates = append(found.templates, template)
	}
	for _, name := range segmentNames(object.Spec) {
		segment, err := r.look(ctx, object.Namespace, name, "Segment", &v1alpha1.Segment{})
		if err != nil {
			return facts{}, err
		}
		found.segments = append(found.segments, segment)
	}
	found.send, err = loadSend(ctx, object, tenant.DB)
	return found, err
}

func (r *Reconciler) look(ctx context.Context, namespace, name, kind string, into v1alpha1.Object) (reference, error) {
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, into)
	if apierrors.IsNotFound(err) {
		return reference{kind: kind, name: name}, nil
	}
	if err != nil {
		return reference{}, fmt.Errorf("read %s %q: %w", kind, name, err)
	}
	return reference{
		kind: kind, name: name, found: true, settled: reconciling.IsSettled(into),
		underWay: into.CommonStatus().ObservedGeneration != into.GetGeneration(),
	}, nil
}

// loadSend reads how the campaign's send goes, and returns nil before there is one.
func loadSend(ctx context.Context, object *v1alpha1.Campaign, db *store.DB) (*store.SendStatus, error) {
	status, err := db.SendStatus(ctx, object.Name)
	if errors.Is(err, store.ErrNotFound) || err == nil && status.SendKey != object.Spec.SendKey {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &status, nil
}
