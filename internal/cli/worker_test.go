package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	"github.com/spf13/cobra"

	"github.com/tertulia-crm/tertulia/internal/local/ports/portstest"
)

func TestProcessesTellTheirHealth(t *testing.T) {
	for name, command := range map[string]*cobra.Command{"worker": NewWorkerCommand(Tuning{}), "server": NewServerCommand()} {
		t.Run(name, func(t *testing.T) {
			health, metrics, tenants := portstest.Address(t), portstest.Address(t), filepath.Join(t.TempDir(), "tenants")
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			args := []string{"--tenants", tenants, "--health-listen", health, "--metrics-listen", metrics}
			if name == "server" {
				args = append(args, "--listen", portstest.Address(t), "--drain-delay", "0s")
			}
			command.SetArgs(args)
			done := make(chan error, 1)
			go func() { done <- command.ExecuteContext(ctx) }()
			get := func(address, path string) string {
				response, err := http.Get("http://" + address + path)
				if err != nil {
					return err.Error()
				}
				defer func() { _ = response.Body.Close() }()
				body, _ := io.ReadAll(response.Body)
				return fmt.Sprint(response.StatusCode, " ", string(body))
			}
			ready := func() string { return get(health, "/readyz") }
			g := gomega.NewWithT(t)
			g.Eventually(ready).WithTimeout(planePatience).Should(gomega.And(gomega.HavePrefix("503"), gomega.ContainSubstring(tenants)))
			g.Expect(get(health, "/livez")).To(gomega.Equal("200 ok\n"))
			g.Expect(os.Mkdir(tenants, 0o700)).To(gomega.Succeed())
			g.Eventually(ready).WithTimeout(planePatience).Should(gomega.Equal("200 ok\n"))
			g.Expect(get(metrics, "/metrics")).To(gomega.ContainSubstring("go_goroutines"))
			cancel()
			if err := <-done; err != nil {
				t.Errorf("it failed: %v", err)
			}
		})
	}
}

func TestWorkerNeedsTenants(t *testing.T) {
	command := NewWorkerCommand(Tuning{})
	command.SetArgs(nil)
	command.SilenceUsage, command.SilenceErrors = true, true
	if err := command.Execute(); err == nil || !strings.Contains(err.Error(), "tenant") {
		t.Errorf("the error should name the flags: %v", err)
	}
}
