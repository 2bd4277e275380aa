package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// missingRelease is an image that nobody has built.
const missingRelease = "e2e-never-built"

var wrongImage = drill{
	name: "wrong-image",
	done: "helm upgrade to an image that does not exist, then helm rollback; the pods that run stay",
	run: func(ctx context.Context, s *stage, r *result) error {
		return s.sendDisturbed(ctx, r, disturbance{perSecond: 80, do: func(ctx context.Context) error {
			return s.unrestarted(ctx, s.upgradeToNothing)
		}})
	},
}

// upgradeToNothing wants the new operator to be stuck, the old ones to work on, and tenants' pods never to hear of the image.
func (s *stage) upgradeToNothing(ctx context.Context) error {
	if _, err := s.helm(ctx, append([]string{"upgrade", release, s.chart()}, helmValues(missingRelease)...)...); err != nil {
		return err
	}
	err := await(ctx, time.Minute, func(ctx context.Context) (string, error) {
		pods, err := s.pods(ctx, system, "operator")
		if err != nil {
			return "", err
		}
		ready, waiting := 0, 0
		for _, pod := range pods {
			if isReady(pod) {
				ready++
			}
			if waitsForImage(pod) {
				waiting++
			}
		}
		if ready != operators || waiting == 0 {
			return fmt.Sprintf("%d operators are ready, %d wait for the image", ready, waiting), nil
		}
		return "", nil
	})
	if err != nil {
		return fmt.Errorf("wait for the upgrade to get stuck: %w", err)
	}
	if err := s.goesOn(ctx, 2*time.Second); err != nil {
		return err
	}
	if _, err := s.helm(ctx, "rollback", release, "--namespace", system); err != nil {
		return err
	}
	return s.awaitRelease(ctx, s.tag())
}

// waitsForImage tells whether a pod cannot start because its image is not there.
func waitsForImage(pod corev1.Pod) bool {
	for _, container := range pod.Status.ContainerStatuses {
		if waiting := container.State.Waiting; waiting != nil && waiting.Reason == "ErrImageNeverPull" {
			return true
		}
	}
	return false
}
