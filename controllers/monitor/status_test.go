package monitor

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// TestWhatFallsSilentIsLookedAtAgain: nobody tells that a mention is older than a day.
func TestWhatFallsSilentIsLookedAtAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		state store.MonitorState
		want  time.Duration
	}{
		"somebody talks": {store.MonitorState{Topics: 1, Mentions24h: 40, Negatives24h: 9}, time.Hour},
		"nobody does":    {store.MonitorState{Topics: 1}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			object := monitor(v1alpha1.MonitorSpec{Topics: []v1alpha1.MonitorTopic{brand(v1alpha1.TopicTerm{Word: "velo"})}})
			scheme := runtime.NewScheme()
			if err := v1alpha1.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(object).WithStatusSubresource(object).Build()
			passes := &reconciling.Recorder{Client: api, Events: events.NewFakeRecorder(10), Clock: time.Now}
			for range 2 { // the second has nothing to write
				pass := passes.Begin(object)
				report(pass, object, tc.state, true, false)
				result, err := pass.End(t.Context(), nil)
				if err != nil || result.RequeueAfter != tc.want {
					t.Errorf("it is looked at again after %v, want %v (%v)", result.RequeueAfter, tc.want, err)
				}
			}
		})
	}
}
