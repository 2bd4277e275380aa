package server

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// brittle is a connector that cannot cope with what it is told.
type brittle struct{}

// Receive implements listen.WebhookReceiver.
func (brittle) Receive(context.Context, listen.Request) (listen.Batch, listen.Response, error) {
	panic("la bici de ana@people.example")
}

// TestAConnectorThatPanics ends one request, and the log tells where it was and nothing of what the request held.
func TestAConnectorThatPanics(t *testing.T) {
	var log strings.Builder
	ctx := logr.NewContext(t.Context(), funcr.New(func(_, line string) { log.WriteString(line + "\n") }, funcr.Options{}))
	_, _, err := receive(ctx, brittle{}, listen.Request{})
	var trouble *listen.Trouble
	if !errors.As(err, &trouble) || trouble.Reason != listen.Malformed {
		t.Errorf("got %v", err)
	}
	if told := log.String(); !strings.Contains(told, "brittle") || strings.Contains(told, "bici") {
		t.Errorf("the log says %s", told)
	}
}
