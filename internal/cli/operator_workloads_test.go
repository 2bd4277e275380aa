package cli

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOperatorModes asks for both ways of running tenants' processes, for none, and for what a cluster would refuse.
func TestOperatorModes(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"both":                       {[]string{"--tenants", "dir", "--image", "x"}, "none of the others can be"},
		"none":                       {nil, "at least one of the flags in the group [tenants image] is required"},
		"an unknown pull policy":     {[]string{"--image", "x", "--image-pull-policy", "sometimes"}, "Always, IfNotPresent or Never"},
		"an image with a space":      {[]string{"--image", "registry.example/tertulia v1"}, "without spaces"},
		"a namespace that is no one": {[]string{"--image", "x", "--http-from-namespaces", "Ingress"}, "--http-from-namespaces"},
		"a source's network":         {[]string{"--image", "x", "--listen-allow-network", "intranet"}, "--listen-allow-network"},
		"a network that is none":     {[]string{"--image", "x", "--webhook-networks", "10.20.0.0"}, "--webhook-networks"},
		"metrics from nobody":        {[]string{"--image", "x", "--metrics-from-namespaces", "a,,b"}, "--metrics-from-namespaces"},
	} {
		t.Run(name, func(t *testing.T) {
			var flags workloadFlags
			command := NewOperatorCommand()
			command.SetOut(io.Discard)
			command.SetErr(io.Discard)
			command.SetArgs(tc.args)
			err := command.ParseFlags(tc.args)
			if err == nil {
				err = command.ValidateFlagGroups()
			}
			if err == nil {
				f := command.Flags()
				flags.image, _ = f.GetString("image")
				flags.pullPolicy, _ = f.GetString("image-pull-policy")
				flags.httpFrom, _ = f.GetStringSlice("http-from-namespaces")
				flags.metricsFrom, _ = f.GetStringSlice("metrics-from-namespaces")
				flags.webhookNetworks, _ = f.GetStringSlice("webhook-networks")
				flags.listenNetworks, _ = f.GetStringSlice("listen-allow-network")
				err = flags.check()
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error that says %q", err, tc.want)
			}
		})
	}
}

// TestWhatIsPassedOn keeps credentials and files of the operator's from the environment of tenants' pods.
func TestWhatIsPassedOn(t *testing.T) {
	got := passedOn([]string{
		"PATH=/bin", "TERTULIA_DATABASE_URL=postgres://admin:secret@db/x",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc", "OTEL_TRACES_SAMPLER=parentbased_traceidratio",
		"OTEL_TRACES_SAMPLER_ARG=0.1", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment=prod,a=b", "OTEL_SERVICE_NAME=operator",
		"OTEL_EXPORTER_OTLP_HEADERS=authorization=secret", "OTEL_EXPORTER_OTLP_TRACES_HEADERS=authorization=secret",
		"OTEL_EXPORTER_OTLP_CERTIFICATE=/etc/ca.pem", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=/etc/tls.pem", "OTEL_EXPORTER_OTLP_CLIENT_KEY=/etc/key.pem",
	})
	want := map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
		"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=prod,a=b",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
