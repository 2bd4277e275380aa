package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kills is how many workers are killed in the middle of their work.
const kills = 3

// perKill is what a killed worker may leave without a known outcome: two micro-batches, each of at most four messages a
// connection.
const perKill = 2 * 4 * connections

var workerKilled = drill{
	name: "worker-killed",
	done: fmt.Sprintf("kill -9 of %d worker containers, at random", kills),
	run: func(ctx context.Context, s *stage, r *result) error {
		return s.sendDisturbed(ctx, r, disturbance{perSecond: 60, mayLose: kills * perKill, do: s.killWorkers})
	},
}

// killWorkers kills one worker after the other, each when mail has come since the last.
func (s *stage) killWorkers(ctx context.Context) error {
	for range kills {
		pod, err := s.anyPod(ctx, velo, "worker")
		if err != nil {
			return err
		}
		id, err := containerID(pod)
		if err != nil {
			return err
		}
		if err := s.node.KillContainer(ctx, id); err != nil {
			return err
		}
		if err := s.awaitRestart(ctx, pod, id); err != nil {
			return err
		}
		before := s.box.Store().Len()
		err = await(ctx, time.Minute, func(context.Context) (string, error) {
			if s.box.Store().Len() < before+20 {
				return "nobody sends any more", nil
			}
			return "", nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// awaitRestart waits until a pod has another container than the one that was killed.
func (s *stage) awaitRestart(ctx context.Context, pod corev1.Pod, killed string) error {
	err := await(ctx, time.Minute, func(ctx context.Context) (string, error) {
		now, err := s.kube.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		for _, container := range now.Status.ContainerStatuses {
			if container.ContainerID != killed && container.State.Running != nil {
				return "", nil
			}
		}
		return "its container has not been restarted", nil
	})
	if err != nil {
		return fmt.Errorf("wait for pod %s: %w", pod.Name, err)
	}
	return nil
}

// anyPod picks a ready pod of a component at random.
func (s *stage) anyPod(ctx context.Context, namespace, component string) (corev1.Pod, error) {
	pods, err := s.pods(ctx, namespace, component)
	if err != nil {
		return corev1.Pod{}, err
	}
	var ready []corev1.Pod
	for _, pod := range pods {
		if isReady(pod) {
			ready = append(ready, pod)
		}
	}
	if len(ready) == 0 {
		return corev1.Pod{}, fmt.Errorf("no pod of %s in %s is ready", component, namespace)
	}
	return ready[rand.IntN(len(ready))], nil
}

var workerDeleted = drill{
	name: "worker-deleted",
	done: "every worker pod is deleted, one after the other, with its grace period",
	run: func(ctx context.Context, s *stage, r *result) error {
		return s.sendDisturbed(ctx, r, disturbance{perSecond: 50, do: func(ctx context.Context) error {
			pods, err := s.pods(ctx, velo, "worker")
			if err != nil {
				return err
			}
			for _, pod := range pods {
				if err := s.kube.CoreV1().Pods(velo).Delete(ctx, pod.Name, metav1.DeleteOptions{}); err != nil {
					return fmt.Errorf("delete pod %s: %w", pod.Name, err)
				}
				if err := s.awaitPods(ctx, velo, "worker", workers); err != nil {
					return err
				}
			}
			return nil
		}})
	},
}

var operatorKilled = drill{
	name: "operator-killed",
	done: "kill -9 of both operators, then both of their pods are deleted; sending goes on",
	run: func(ctx context.Context, s *stage, r *result) error {
		return s.sendDisturbed(ctx, r, disturbance{perSecond: 50, do: s.killOperators})
	},
}

func (s *stage) killOperators(ctx context.Context) error {
	pods, err := s.pods(ctx, system, "operator")
	if err != nil {
		return err
	}
	for _, pod := range pods {
		id, err := containerID(pod)
		if err != nil {
			return err
		}
		if err := s.node.KillContainer(ctx, id); err != nil {
			return err
		}
	}
	if err := s.goesOn(ctx, 2*time.Second); err != nil {
		return err
	}
	var errs []error
	for _, pod := range pods {
		errs = append(errs, s.kube.CoreV1().Pods(system).Delete(ctx, pod.Name, metav1.DeleteOptions{}))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("delete the operators' pods: %w", err)
	}
	return s.awaitPods(ctx, system, "operator", operators)
}

// goesOn lets time pass, and wants mail to have come meanwhile.
func (s *stage) goesOn(ctx context.Context, d time.Duration) error {
	before := s.box.Store().Len()
	if err := pause(ctx, d); err != nil {
		return err
	}
	if s.box.Store().Len() == before {
		return fmt.Errorf("no mail came for %s", d)
	}
	return nil
}

// pause lets time pass.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
