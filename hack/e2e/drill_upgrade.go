package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var upgraded = drill{
	name: "upgraded",
	done: "helm upgrade to another image and a changed kind; operators, workers and server roll",
	run: func(ctx context.Context, s *stage, r *result) error {
		return s.sendDisturbed(ctx, r, disturbance{perSecond: 25, do: func(ctx context.Context) error { return s.upgrade(ctx, r.Drill) }})
	},
}

// campaignKind is the definition that the second release changes.
const campaignKind = "campaigns.crm.tertulia.dev"

// changedDescription is how the second release's definition is told from the first's.
const changedDescription = "As the second release describes it, "

// upgrade goes to the second release while a campaign is sent, and wants everything to be of it before that has ended.
func (s *stage) upgrade(ctx context.Context, sendKey string) error {
	chart, err := s.secondChart()
	if err != nil {
		return err
	}
	if _, err := s.helm(ctx, append([]string{"upgrade", release, chart}, helmValues(secondRelease)...)...); err != nil {
		return err
	}
	s.second = chart // whoever installs again installs this one: a release is not taken back
	if err := s.awaitRelease(ctx, secondRelease); err != nil {
		return err
	}
	l, err := s.ledger(ctx, sendKey)
	if err != nil {
		return err
	}
	if l.Pending == 0 {
		return errors.New("the send had ended before the upgrade: the drill proves nothing")
	}
	var kind apiextensionsv1.CustomResourceDefinition
	if err := s.client.Get(ctx, client.ObjectKey{Name: campaignKind}, &kind); err != nil {
		return fmt.Errorf("read the kind of campaigns: %w", err)
	}
	if !strings.HasPrefix(kind.Spec.Versions[0].Schema.OpenAPIV3Schema.Description, changedDescription) {
		return errors.New("the kind of campaigns was not upgraded")
	}
	return nil
}

// secondChart copies the chart and changes a kind in it.
func (s *stage) secondChart() (string, error) {
	folder := s.path("chart-" + secondRelease)
	if err := os.CopyFS(folder, os.DirFS("charts/tertulia")); err != nil {
		return "", fmt.Errorf("copy the chart: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "templates", "crds", "*campaigns.yaml"))
	if err != nil || len(files) != 1 {
		return "", fmt.Errorf("find the kind of campaigns in the chart: %d files, %w", len(files), err)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		return "", fmt.Errorf("read the kind of campaigns: %w", err)
	}
	before := "openAPIV3Schema:\n        description: "
	changed := strings.Replace(string(content), before, before+changedDescription, 1)
	if changed == string(content) {
		return "", errors.New("the chart's kind of campaigns has no description to change")
	}
	return folder, os.WriteFile(files[0], []byte(changed), 0o600)
}

// awaitRelease waits until operators, workers and server have been rolled to an image.
func (s *stage) awaitRelease(ctx context.Context, tag string) error {
	err := await(ctx, 4*time.Minute, func(ctx context.Context) (string, error) {
		for _, namespace := range []string{system, velo} {
			var list appsv1.DeploymentList
			if err := s.client.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{"app.kubernetes.io/name": "tertulia"}); err != nil {
				return err.Error(), nil
			}
			for _, d := range list.Items {
				if missing := notRolled(d, tag); missing != "" {
					return missing, nil
				}
			}
		}
		return "", nil
	})
	if err != nil {
		return fmt.Errorf("wait for the release %s: %w", tag, err)
	}
	return nil
}

// notRolled says what a Deployment lacks to have all of its pods, and only those, of an image; "" when it has.
func notRolled(d appsv1.Deployment, tag string) string {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	switch image := d.Spec.Template.Spec.Containers[0].Image; {
	case !strings.HasSuffix(image, ":"+tag):
		return fmt.Sprintf("deployment %s is to run %s", d.Name, image)
	case d.Status.ObservedGeneration < d.Generation, d.Status.UpdatedReplicas != want, d.Status.AvailableReplicas != want, d.Status.Replicas != want:
		return fmt.Sprintf("deployment %s has %d pods, %d of the new release, %d available, want %d", d.Name,
			d.Status.Replicas, d.Status.UpdatedReplicas, d.Status.AvailableReplicas, want)
	}
	return ""
}
