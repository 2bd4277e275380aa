// Command probe is what the end-to-end test runs in a pod of its own, to see what a pod sees: it answers HTTP requests, and in
// their course asks the Kubernetes API who its ServiceAccount is, or tries to reach an address.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// account is where Kubernetes mounts the ServiceAccount's token.
const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

// patience bounds each try.
const patience = 3 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "here") })
	mux.HandleFunc("GET /api", answer(askAPI))
	mux.HandleFunc("GET /dial", answer(dial))
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: patience}
	go func() {
		<-ctx.Done()
		_ = server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

// answer tells what came of a try: 200 with its words, or 502 with the error.
func answer(try func(context.Context, *http.Request) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		said, err := try(ctx, r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		_, _ = fmt.Fprintln(w, said)
	}
}

// dial opens a TCP connection to the address in the query.
func dial(ctx context.Context, r *http.Request) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", r.URL.Query().Get("address"))
	if err != nil {
		return "", err
	}
	return "connected", conn.Close()
}

// askAPI asks the API server, by its Service, for a path of the query, with the pod's own token.
func askAPI(ctx context.Context, r *http.Request) (string, error) {
	token, tokenErr := os.ReadFile(account + "token")
	ca, caErr := os.ReadFile(account + "ca.crt")
	if err := errors.Join(tokenErr, caErr); err != nil {
		return "", err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, DisableKeepAlives: true}}
	address := "https://" + net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+r.URL.Query().Get("path"), nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	return response.Status + " " + string(body), err
}
