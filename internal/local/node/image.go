package node

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed" // the source of the pause program
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

//go:embed pause/main.go
var pauseSource []byte

// pauseImage is the image of every pod's sandbox.
const pauseImage = "tertulia.invalid/pause:1"

// Image is a container image of one static program.
type Image struct {
	// Tag is the image's name, such as probe:1.
	Tag string
	// Program is the program's file; in the image it stands at /<base name> and is what is run.
	Program string
}

// Write makes an archive in the form of docker save, which ImportImage, and ctr, podman and docker, read.
func (i Image) Write(archive string) error {
	program, err := os.ReadFile(i.Program)
	if err != nil {
		return fmt.Errorf("pack the image %s: %w", i.Tag, err)
	}
	name := filepath.Base(i.Program)
	layer, err := tarOf(map[string][]byte{name: program}, name)
	if err != nil {
		return fmt.Errorf("pack the image %s: %w", i.Tag, err)
	}
	sum := sha256.Sum256(layer)
	config, configErr := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/" + name}, "User": "65532:65532", "WorkingDir": "/"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
	})
	manifest, manifestErr := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{i.Tag}, "Layers": []string{"layer.tar"}}})
	if err := errors.Join(configErr, manifestErr); err != nil {
		return fmt.Errorf("pack the image %s: %w", i.Tag, err)
	}
	whole, err := tarOf(map[string][]byte{"config.json": config, "layer.tar": layer, "manifest.json": manifest}, "config.json", "layer.tar", "manifest.json")
	if err != nil {
		return fmt.Errorf("pack the image %s: %w", i.Tag, err)
	}
	if err := os.WriteFile(archive, whole, 0o600); err != nil {
		return fmt.Errorf("pack the image %s: %w", i.Tag, err)
	}
	return nil
}

// tarOf packs files in the given order, each for everybody to read and run.
func tarOf(files map[string][]byte, order ...string) ([]byte, error) {
	var packed bytes.Buffer
	archive := tar.NewWriter(&packed)
	for _, name := range order {
		header := &tar.Header{Name: path.Clean(name), Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(files[name]))}
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := archive.Write(files[name]); err != nil {
			return nil, err
		}
	}
	err := archive.Close()
	return packed.Bytes(), err
}

// writePauseImage builds the pause program from its source, which this program carries, and packs it.
func writePauseImage(ctx context.Context, folder, archive string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("build the pause program: %w", err)
	}
	for name, content := range map[string][]byte{"main.go": pauseSource, "go.mod": []byte("module pause\n\ngo 1.26\n")} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			return fmt.Errorf("build the pause program: %w", err)
		}
	}
	program := filepath.Join(folder, "pause")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, ".") //nolint:gosec // our own paths
	build.Dir, build.Env = folder, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the pause program: %w: %s", err, out)
	}
	return Image{Tag: pauseImage, Program: program}.Write(archive)
}

// ImportImage gives the images of an archive (docker save's form, or an OCI layout that names them) to the node. Pods that use
// one must not ask for it to be pulled always.
func (n *Node) ImportImage(ctx context.Context, archive string) error {
	if out, err := n.ctr(ctx, "images", "import", archive).CombinedOutput(); err != nil {
		return fmt.Errorf("import the images of %s: %w: %s", archive, err, out)
	}
	return nil
}

// KillContainer ends a container's processes with SIGKILL, as an out-of-memory kill or a crash does, behind Kubernetes' back.
// id is that of the pod's status, with or without its containerd:// in front.
func (n *Node) KillContainer(ctx context.Context, id string) error {
	id = strings.TrimPrefix(id, "containerd://")
	if out, err := n.ctr(ctx, "tasks", "kill", "--all", "--signal", "SIGKILL", id).CombinedOutput(); err != nil {
		return fmt.Errorf("kill container %s: %w: %s", id, err, out)
	}
	return nil
}

// ctr runs containerd's own client, which sees what Kubernetes has there.
func (n *Node) ctr(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ctr", append([]string{"--address", n.dir.socket(), "--namespace", "k8s.io"}, args...)...) //nolint:gosec // fixed arguments
}
