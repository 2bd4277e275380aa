package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// cluster reads the objects of the example.
type cluster struct {
	client client.Client
}

func connect(kubeconfig string) (*cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", kubeconfig, err)
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	return &cluster{client: c}, nil
}

// await asks again and again until a question is answered. While it is not, the answer says what is missing; an error
// ends the wait.
func await(ctx context.Context, ask func(context.Context) (missing string, err error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("it took longer than "+patience.String()))
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		missing, err := ask(ctx)
		if err != nil || missing == "" {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", context.Cause(ctx), missing)
		case <-tick.C:
		}
	}
}

// list reads all objects of a kind in the example's namespace.
func (c *cluster) list(ctx context.Context, into client.ObjectList) ([]v1alpha1.Object, error) {
	if err := c.client.List(ctx, into, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list objects: %w", err)
	}
	items, err := meta.ExtractList(into)
	if err != nil {
		return nil, fmt.Errorf("read a list of objects: %w", err)
	}
	objects := make([]v1alpha1.Object, 0, len(items))
	for _, item := range items {
		object, ok := item.(v1alpha1.Object)
		if !ok {
			return nil, fmt.Errorf("%T is none of our kinds", item)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// notReady says why an object is not in force yet: "" when it is. What only an edit can mend is an error.
func notReady(o v1alpha1.Object) (string, error) {
	name := strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", o), "*v1alpha1.")) + "/" + o.GetName()
	status := o.CommonStatus()
	if status.ObservedGeneration != o.GetGeneration() {
		return name + " has not been looked at", nil
	}
	if stalled := meta.FindStatusCondition(status.Conditions, v1alpha1.StalledCondition); stalled != nil && stalled.Status == metav1.ConditionTrue {
		return "", fmt.Errorf("%s is stalled (%s): %s", name, stalled.Reason, stalled.Message)
	}
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ReadyCondition)
	switch {
	case ready == nil:
		return name + " has no condition", nil
	case ready.Status != metav1.ConditionTrue:
		return fmt.Sprintf("%s is not ready (%s): %s", name, ready.Reason, ready.Message), nil
	}
	return "", nil
}
