package cli

import (
	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// metricsFlags say where and to whom the operator serves its metrics.
type metricsFlags struct {
	listen  string
	secure  bool
	certDir string
}

// Who asks for the metrics is looked up at the API server: who they are, and whether they may.
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

func (m *metricsFlags) register(f *pflag.FlagSet) {
	f.StringVar(&m.listen, "metrics-listen", "", "address that serves /metrics, such as 127.0.0.1:9090 (default: not served)")
	f.BoolVar(&m.secure, "metrics-secure", false,
		"serve metrics over TLS, and only to clients whose token the API server knows and whom it allows to get the path /metrics")
	f.StringVar(&m.certDir, "metrics-cert-dir", "",
		"directory with tls.crt and tls.key of the metrics, read again when they change (default: a self-signed certificate)")
}

func (m *metricsFlags) options() metricsserver.Options {
	options := metricsserver.Options{BindAddress: orOff(m.listen), SecureServing: m.secure, CertDir: m.certDir}
	if m.secure {
		options.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	return options
}
