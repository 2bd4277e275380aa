package node

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNotReady(t *testing.T) {
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	node := func(status corev1.ConditionStatus, said time.Time) *corev1.Node {
		return &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, LastHeartbeatTime: metav1.NewTime(said)},
			{Type: corev1.NodeReady, Status: status, LastHeartbeatTime: metav1.NewTime(said), Message: "no network"},
		}}}
	}
	for name, tc := range map[string]struct {
		reason string
		node   *corev1.Node
		want   string
	}{
		"Ready":        {"said after the start", node(corev1.ConditionTrue, start), ""},
		"Earlier":      {"what a kubelet of before said does not count", node(corev1.ConditionTrue, start.Add(-time.Second)), "the kubelet has said nothing since its start"},
		"NotReady":     {"the kubelet's own words", node(corev1.ConditionFalse, start), "no network"},
		"NoConditions": {"just registered", &corev1.Node{}, "it has no condition yet"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := notReady(tc.node, start); got != tc.want {
				t.Errorf("%s: got %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}

func TestImageHoldsItsProgram(t *testing.T) {
	folder := t.TempDir()
	program, archive := filepath.Join(folder, "probe"), filepath.Join(folder, "probe.tar")
	if err := os.WriteFile(program, []byte("a program"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (Image{Tag: "probe:1", Program: program}).Write(archive); err != nil {
		t.Fatal(err)
	}
	packed, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, packed)
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil || len(manifest) != 1 {
		t.Fatalf("manifest %s: %v", files["manifest.json"], err)
	}
	if diff := cmp.Diff([]string{"probe:1"}, manifest[0].RepoTags); diff != "" {
		t.Error(diff)
	}
	if layer := unpack(t, files[manifest[0].Layers[0]]); string(layer["probe"]) != "a program" {
		t.Errorf("the layer holds %q", layer["probe"])
	}
	var config struct{ Config struct{ Entrypoint []string } }
	if err := json.Unmarshal(files[manifest[0].Config], &config); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/probe"}, config.Config.Entrypoint); diff != "" {
		t.Error(diff)
	}
}

func unpack(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for reader := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Mode&0o111 == 0 {
			t.Errorf("%s cannot be run", header.Name)
		}
		if files[header.Name], err = io.ReadAll(reader); err != nil {
			t.Fatal(err)
		}
	}
}

// A socket's path is cut off silently by some programs, so a directory that is too deep is refused.
func TestALongDirectoryIsRefused(t *testing.T) {
	if err := dir("/var/tmp/e2e").check(); err != nil {
		t.Error(err)
	}
	if err := dir("/" + strings.Repeat("x", 100)).check(); err == nil {
		t.Error("a path of more than 107 bytes was accepted")
	}
}
