package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/local/node"
)

// The two releases that are built of the same source, and the image of the probe.
const (
	firstRelease  = "e2e-1"
	secondRelease = "e2e-2"
	probeImage    = "tertulia-probe:e2e"
)

// artefacts are what is installed.
type artefacts struct {
	program  string   // tertulia, for the verbs of a person
	archives []string // images
	helm     string
}

// build makes two releases' images, whose programs differ in the version that they tell, the probe's, and helm.
func build(ctx context.Context, folder string) (artefacts, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return artefacts{}, fmt.Errorf("make the folder of images: %w", err)
	}
	made := artefacts{program: filepath.Join(folder, "tertulia-"+firstRelease)}
	for _, release := range []string{firstRelease, secondRelease} {
		program, archive := filepath.Join(folder, "tertulia-"+release), filepath.Join(folder, "tertulia-"+release+".tar")
		flags := "-s -w -X github.com/tertulia-crm/tertulia/internal/cli.version=" + release
		if err := goTool(ctx, "build", "-trimpath", "-ldflags", flags, "-o", program, "./cmd/tertulia"); err != nil {
			return artefacts{}, err
		}
		if err := goTool(ctx, "run", "./hack/image", "--binary", program, "--version", release, "--output", archive); err != nil {
			return artefacts{}, err
		}
		made.archives = append(made.archives, archive)
	}
	probe := filepath.Join(folder, "probe")
	if err := goTool(ctx, "build", "-trimpath", "-ldflags", "-s -w", "-o", probe, "./hack/e2e/probe"); err != nil {
		return artefacts{}, err
	}
	if err := (node.Image{Tag: probeImage, Program: probe}).Write(probe + ".tar"); err != nil {
		return artefacts{}, err
	}
	made.archives = append(made.archives, probe+".tar")
	helm, err := exec.CommandContext(ctx, "go", "tool", "-modfile=hack/tools/helm/go.mod", "-n", "helm").Output()
	if err != nil {
		return artefacts{}, fmt.Errorf("build helm: %w", err)
	}
	made.helm = strings.TrimSpace(string(helm))
	return made, nil
}

func goTool(ctx context.Context, args ...string) error {
	command := exec.CommandContext(ctx, "go", args...)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
