// Command image builds an OCI image archive of one static binary, without a container engine: one layer with the
// binary and root certificates, running as a user without privileges. The archive is an OCI
// layout that also carries Docker's manifest.json, so that docker load, podman load and ctr images import read it. Beside
// it stands a list of what the binary is made of, an SBOM in SPDX.
package main

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

// user is nobody's by convention, and not root.
const user = "65532:65532"

// options are what the command is told.
type options struct {
	binary, version, revision, output, certificates string
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/tertulia", "static binary, for Linux")
	flag.StringVar(&o.version, "version", "unknown", "tag of the image")
	flag.StringVar(&o.revision, "revision", "", "commit that the binary was built from")
	flag.StringVar(&o.output, "output", "bin/tertulia-image.tar", "archive to write; the SBOM gets the same name with .spdx.json")
	flag.StringVar(&o.certificates, "certificates", "/etc/ssl/certs/ca-certificates.crt", "root certificates to trust")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	program, err := os.ReadFile(o.binary)
	if err != nil {
		return err
	}
	roots, err := os.ReadFile(o.certificates)
	if err != nil {
		return fmt.Errorf("the image needs root certificates to verify mail servers: %w", err)
	}
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return fmt.Errorf("read what %s was built from: %w", o.binary, err)
	}
	about := description{version: o.version, revision: o.revision, architecture: setting(info, "GOARCH")}
	if system := setting(info, "GOOS"); system != "linux" {
		return fmt.Errorf("%s is for %s: build it with GOOS=linux", o.binary, system)
	}
	layer, err := layerOf(map[string]file{
		"usr/local/bin/tertulia":            {content: program, mode: 0o755},
		"etc/ssl/certs/ca-certificates.crt": {content: roots, mode: 0o644},
		"etc/passwd":                        {content: []byte("tertulia:x:65532:65532::/:/sbin/nologin\n"), mode: 0o644},
	})
	if err != nil {
		return err
	}
	image, err := newImage(layer, about)
	if err != nil {
		return err
	}
	f, err := os.Create(o.output)
	if err != nil {
		return err
	}
	if err := errors.Join(image.write(f), f.Close()); err != nil {
		return err
	}
	parts, err := billOfMaterials(info, about, digest(program))
	if err != nil {
		return err
	}
	sbom := strings.TrimSuffix(o.output, ".tar") + ".spdx.json"
	if err := os.WriteFile(sbom, parts, 0o644); err != nil { //nolint:gosec // for everybody to read
		return err
	}
	fmt.Printf("%s: tertulia:%s for linux/%s, %.1f MB; made of %s\n", o.output, o.version, about.architecture, float64(len(layer.compressed))/1e6, sbom)
	return nil
}

// description is what an image says about itself.
type description struct {
	version, revision, architecture string
}

// labels are those of the OCI image specification.
func (d description) labels() map[string]string {
	labels := map[string]string{
		"org.opencontainers.image.title":       "tertulia",
		"org.opencontainers.image.description": "Operator, worker and server of Tertulia, a Social CRM as Kubernetes custom resources",
		"org.opencontainers.image.version":     d.version,
		"org.opencontainers.image.source":      source,
		"org.opencontainers.image.licenses":    license,
	}
	if d.revision != "" {
		labels["org.opencontainers.image.revision"] = d.revision
	}
	return labels
}

const (
	source  = "https://github.com/tertulia-crm/tertulia"
	license = "Apache-2.0"
)
