package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// settle is how long an enforcer waits for further changes before it writes rules: a pod's start alone is several.
const settle = 50 * time.Millisecond

// enforcer keeps the rules of netfilter in the node's network namespace as the cluster's network policies say.
type enforcer struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// startEnforcer returns when the policies of now are in force.
func startEnforcer(ctx context.Context, config *rest.Config, log logr.Logger) (*enforcer, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	if err := hookChains(ctx); err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	e := &enforcer{cancel: cancel, done: make(chan struct{})}
	factory := informers.NewSharedInformerFactory(client, 0)
	changed := make(chan struct{}, 1)
	note := func() {
		select {
		case changed <- struct{}{}:
		default: // noted already
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { note() }, UpdateFunc: func(any, any) { note() }, DeleteFunc: func(any) { note() },
	}
	watched := []cache.SharedIndexInformer{
		factory.Core().V1().Pods().Informer(), factory.Core().V1().Namespaces().Informer(), factory.Networking().V1().NetworkPolicies().Informer(),
	}
	var errs []error
	for _, informer := range watched {
		_, err := informer.AddEventHandler(handler)
		errs = append(errs, err)
	}
	factory.Start(running.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			errs = append(errs, fmt.Errorf("read %s: %w", kind, ctx.Err()))
		}
	}
	written := ""
	if err := errors.Join(errs...); err == nil {
		written, err = writeRules(ctx, factory, "")
		errs = append(errs, err)
	}
	go func() {
		defer close(e.done)
		defer factory.Shutdown()
		e.keep(running, factory, changed, written, log)
	}()
	if err := errors.Join(errs...); err != nil {
		e.stop()
		return nil, fmt.Errorf("enforce network policies: %w", err)
	}
	return e, nil
}

// stop ends the watch; the rules stay until the network namespace goes.
func (e *enforcer) stop() {
	if e != nil {
		e.cancel()
		<-e.done
	}
}

// keep writes the rules anew whenever something has changed.
func (e *enforcer) keep(ctx context.Context, factory informers.SharedInformerFactory, changed <-chan struct{}, written string, log logr.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		timer := time.NewTimer(settle)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		now, err := writeRules(ctx, factory, written)
		if err != nil && ctx.Err() == nil {
			log.Error(err, "network policies are not enforced as they stand")
			continue
		}
		written = now
	}
}

// writeRules puts the rules in place, all at once, unless they are those that were written before.
func writeRules(ctx context.Context, factory informers.SharedInformerFactory, before string) (string, error) {
	var c cluster
	var errs [3]error
	var namespaces []*corev1.Namespace
	c.policies, errs[0] = factory.Networking().V1().NetworkPolicies().Lister().List(labels.Everything())
	c.pods, errs[1] = factory.Core().V1().Pods().Lister().List(labels.Everything())
	namespaces, errs[2] = factory.Core().V1().Namespaces().Lister().List(labels.Everything())
	if err := errors.Join(errs[:]...); err != nil {
		return before, err
	}
	c.namespaces = map[string]*corev1.Namespace{}
	for _, namespace := range namespaces {
		c.namespaces[namespace.Name] = namespace
	}
	rules, err := planRules(c)
	if err != nil || rules == before {
		return before, err
	}
	if err := restore(ctx, rules); err != nil {
		return before, err
	}
	return rules, nil
}

// hookChains makes the chains, which hold nothing yet, and leads what the node forwards and what is for the node itself there.
func hookChains(ctx context.Context) error {
	var rules strings.Builder
	rules.WriteString("*mangle\n:" + egressChain + " - [0:0]\n:" + ingressChain + " - [0:0]\n-F FORWARD\n-F INPUT\n")
	for _, chain := range []string{"FORWARD", "INPUT"} {
		fmt.Fprintf(&rules, "-A %[1]s -j %[2]s\n-A %[1]s -j %[3]s\n", chain, egressChain, ingressChain)
	}
	rules.WriteString("COMMIT\n")
	return restore(ctx, rules.String())
}

func restore(ctx context.Context, rules string) error {
	command := inside(ctx, "iptables-restore", "--noflush", "--wait")
	command.Stdin = strings.NewReader(rules)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("write the rules of network policies: %w: %s", err, out)
	}
	return nil
}
