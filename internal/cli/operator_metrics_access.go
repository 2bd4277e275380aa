package cli

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationv1client "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// Bounds on what strangers can make the operator ask of the API server. The rate is one of its own: whoever invents tokens takes
// no turn from controllers.
const (
	reviewsPerSecond = 10
	reviewTimeout    = 10 * time.Second
	maxTokenBytes    = 16 << 10
)

// metricsReaders tells, by asking the API server each time, who a request's token is and whether they may read the metrics.
// Nothing is kept, so that a right which is taken away ends at once. controller-runtime's own filter does the same by the
// libraries of the API server, which weigh more than our own code.
type metricsReaders struct {
	tokens authenticationv1client.TokenReviewInterface
	access authorizationv1client.SubjectAccessReviewInterface
}

// guardMetrics is a metricsserver.Options.FilterProvider.
func guardMetrics(config *rest.Config, transport *http.Client) (metricsserver.Filter, error) {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst, config.RateLimiter = reviewsPerSecond, 2*reviewsPerSecond, nil
	tokens, err := authenticationv1client.NewForConfigAndClient(config, transport)
	if err != nil {
		return nil, err
	}
	access, err := authorizationv1client.NewForConfigAndClient(config, transport)
	if err != nil {
		return nil, err
	}
	readers := metricsReaders{tokens: tokens.TokenReviews(), access: access.SubjectAccessReviews()}
	return func(log logr.Logger, next http.Handler) (http.Handler, error) { return readers.guard(log, next), nil }, nil
}

func (m metricsReaders) guard(log logr.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), reviewTimeout)
		defer cancel()
		status, err := m.judge(ctx, r)
		switch {
		case err != nil:
			log.Error(err, "Who reads the metrics could not be looked up")
			http.Error(w, "the API server cannot be asked who you are", http.StatusServiceUnavailable)
		case status == http.StatusOK:
			next.ServeHTTP(w, r)
		default:
			if status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Bearer realm="metrics"`)
			}
			http.Error(w, http.StatusText(status), status)
		}
	})
}

// judge returns StatusOK, StatusUnauthorized or StatusForbidden.
func (m metricsReaders) judge(ctx context.Context, r *http.Request) (int, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxTokenBytes {
		return http.StatusUnauthorized, nil
	}
	review, err := m.tokens.Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return 0, err
	}
	if !review.Status.Authenticated {
		return http.StatusUnauthorized, nil
	}
	user := review.Status.User
	asked := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: map[string]authorizationv1.ExtraValue{},
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: r.URL.Path, Verb: strings.ToLower(r.Method)},
	}}
	for key, value := range user.Extra {
		asked.Spec.Extra[key] = authorizationv1.ExtraValue(value)
	}
	answer, err := m.access.Create(ctx, asked, metav1.CreateOptions{})
	if err != nil {
		return 0, err
	}
	if !answer.Status.Allowed {
		return http.StatusForbidden, nil
	}
	return http.StatusOK, nil
}
