package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
)

func TestWorkerServesItsHealth(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- runWorker(ctx, workerFlags{tenants: t.TempDir(), healthListen: address}) }()
	get := func(path string) string {
		response, err := http.Get("http://" + address + path)
		if err != nil {
			return err.Error()
		}
		defer func() { _ = response.Body.Close() }()
		body, _ := io.ReadAll(response.Body)
		return fmt.Sprint(response.StatusCode, " ", string(body))
	}
	g := gomega.NewWithT(t)
	g.Eventually(func() string { return get("/readyz") }).WithTimeout(10 * time.Second).Should(gomega.Equal("200 ok\n"))
	g.Expect(get("/healthz")).To(gomega.Equal("200 ok\n"))
	if metrics := get("/metrics"); !strings.Contains(metrics, "go_goroutines") {
		t.Errorf("unexpected metrics: %s", metrics)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the worker failed: %v", err)
	}
}

func TestWorkerNeedsTenants(t *testing.T) {
	command := NewWorkerCommand()
	command.SetArgs(nil)
	command.SilenceUsage, command.SilenceErrors = true, true
	if err := command.Execute(); err == nil || !strings.Contains(err.Error(), "tenant") {
		t.Errorf("the error should name the flags: %v", err)
	}
}
