package controlplane

import (
	"fmt"
	"os"
	"path/filepath"
)

// auditPolicy writes who asked for what and whether it was allowed, once for each request, and nobody's content.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// auditArguments are those of an API server that keeps a log of all requests, where one is wanted.
func (c *ControlPlane) auditArguments() ([]string, error) {
	if c.options.Audit == "" {
		return nil, nil
	}
	policy := filepath.Join(c.options.Dir, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, fmt.Errorf("write the policy of the audit: %w", err)
	}
	// The log's default mode is to write before the next request of a connection is read, so it misses nothing.
	return []string{"--audit-policy-file=" + policy, "--audit-log-path=" + c.options.Audit}, nil
}
