package health

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
)

// authorized lets a request pass that bears one of the tokens, where there are some.
func (o Options) authorized(next http.Handler) http.Handler {
	if o.MetricsTokens == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hashes, err := o.MetricsTokens()
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		case len(hashes) > 0 && !bears(r, hashes):
			w.Header().Set("WWW-Authenticate", `Bearer realm="metrics"`)
			http.Error(w, "a bearer token is needed: the operator keeps it in the Secret tertulia-metrics", http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// bears tells whether a request bears a token of one of these hashes. Every hash is compared, in constant time.
func bears(r *http.Request, hashes []string) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return false
	}
	sum := sha256.Sum256([]byte(token))
	given := []byte(hex.EncodeToString(sum[:]))
	found := 0
	for _, hash := range hashes {
		found |= subtle.ConstantTimeCompare(given, []byte(strings.ToLower(hash)))
	}
	return found == 1
}
