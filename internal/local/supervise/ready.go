package supervise

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// readyInterval is how often a program that is starting is asked whether it is ready.
const readyInterval = 50 * time.Millisecond

// AwaitReady asks until ready answers without an error, or the time is up. A program that ends meanwhile will never be ready, so
// the error then shows the end of its log.
func (p *Process) AwaitReady(ctx context.Context, atMost time.Duration, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	ticker := time.NewTicker(readyInterval)
	defer ticker.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.Done():
			return fmt.Errorf("%s ended while starting (%s); the end of its log:\n%s", p.command.Name, describe(p), endOfLog(p.command.Log))
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w (last: %w); its log is %s", p.command.Name, ctx.Err(), err, p.command.Log)
		case <-ticker.C:
		}
	}
}

// Healthy asks an HTTP endpoint, such as http://127.0.0.1:8081/readyz, for a status of 200.
func Healthy(url string) func(context.Context) error {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		if err := response.Body.Close(); err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answered %s", url, response.Status)
		}
		return nil
	}
}

func endOfLog(path string) string {
	const keep = 15
	content, err := os.ReadFile(path) //nolint:gosec // our own file
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	if len(lines) > keep {
		lines = lines[len(lines)-keep:]
	}
	return strings.Join(lines, "\n")
}
