package crmtenant

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/sentiment/inference"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func TestPlanSentiment(t *testing.T) {
	for name, c := range map[string]struct {
		spec    *v1alpha1.TenantSentiment
		want    *store.SentimentServer
		refused string
	}{
		"none":     {},
		"Predict":  {&v1alpha1.TenantSentiment{Protocol: "Predict", URL: "https://a.example"}, &store.SentimentServer{Protocol: "Predict", URL: "https://a.example"}, ""},
		"Chat":     {&v1alpha1.TenantSentiment{Protocol: "Chat", URL: "https://a.example/x", Model: "m"}, &store.SentimentServer{Protocol: "Chat", URL: "https://a.example/x", Model: "m"}, ""},
		"tomorrow": {&v1alpha1.TenantSentiment{Protocol: "Telepathy", URL: "https://a.example"}, nil, "spec.sentiment.protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := planSentiment(c.spec)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if (err != nil) != (c.refused != "") || err != nil && !strings.Contains(err.Error(), c.refused) {
				t.Errorf("refused: %v, want %q", err, c.refused)
			}
			if got == nil {
				return
			}
			// Workers make an engine of it.
			lexicon, err := sentiment.NewLexicon()
			if err != nil {
				t.Fatal(err)
			}
			_, err = inference.New(inference.Options{URL: got.URL, Protocol: inference.Protocol(got.Protocol), Model: got.Model, Fallback: lexicon})
			if err != nil {
				t.Errorf("no engine can be made of it: %v", err)
			}
		})
	}
}

func TestPlanSentimentToken(t *testing.T) {
	made := func(label, token string) *corev1.Secret {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1alpha1.UseLabel: label}}, Data: map[string][]byte{tokenKey: []byte(token)},
		}
	}
	for name, c := range map[string]struct {
		secret        *corev1.Secret
		want, refused string
	}{
		"a token":      {made("sentiment", "t"), "t", ""},
		"none":         {nil, "", "spec.sentiment.secretRef"},
		"not labelled": {made("", "t"), "", "crm.tertulia.dev/use: sentiment"},
		"of a source":  {made("source", "t"), "", "crm.tertulia.dev/use: sentiment"},
		"empty":        {made("sentiment", ""), "", `"token"`},
		"too long":     {made("sentiment", strings.Repeat("t", 5000)), "", "it is no token"},
	} {
		token, err := planSentimentToken("model", c.secret)
		if token != c.want || (err != nil) != (c.refused != "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: got %q, %v", name, token, err)
		}
	}
}
