package crmtenant

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/handover"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// sentimentSecretIndex finds the CRMTenants that name a Secret for the server that judges how posts speak.
const sentimentSecretIndex = "spec.sentiment.secretRef.name"

func sentimentSecret(o client.Object) []string {
	if s := o.(*v1alpha1.CRMTenant).Spec.Sentiment; s != nil && s.SecretRef != nil {
		return []string{s.SecretRef.Name}
	}
	return nil
}

// maxSentimentToken bounds a token.
const maxSentimentToken = 4 << 10

// planSentiment is the server that judges how posts speak; nil where none is named.
func planSentiment(declared *v1alpha1.TenantSentiment) (*store.SentimentServer, error) {
	if declared == nil {
		return nil, nil
	}
	switch declared.Protocol {
	case v1alpha1.PredictSentiment, v1alpha1.ChatSentiment:
	default:
		return nil, reconciling.UnknownToOperator("spec.sentiment.protocol", string(declared.Protocol))
	}
	return &store.SentimentServer{Protocol: string(declared.Protocol), URL: declared.URL, Model: declared.Model}, nil
}

// sentimentToken is the token for that server. What is amiss with its Secret keeps nothing else of the tenant from being in force: it is told
// in a condition, and posts are judged by words and rules.
func (r *Reconciler) sentimentToken(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.CRMTenant) (string, error) {
	declared := object.Spec.Sentiment
	if declared == nil {
		pass.WithoutCondition(v1alpha1.SentimentEngineCondition)
		return "", nil
	}
	var token string
	var refused error
	if declared.SecretRef != nil {
		secret, err := r.Handover.Fetch(ctx, object.Namespace, declared.SecretRef.Name)
		if err != nil {
			return "", fmt.Errorf("read the token of the sentiment's server: %w", err)
		}
		token, refused = planSentimentToken(declared.SecretRef.Name, secret)
	}
	var waiting *reconciling.Waiting
	if errors.As(refused, &waiting) {
		pass.Condition(v1alpha1.SentimentEngineCondition, metav1.ConditionFalse, waiting.Reason,
			waiting.Message+" Until then posts are judged by the words and rules that come with Tertulia, as far as the server wants a token.")
		return "", nil
	}
	pass.Condition(v1alpha1.SentimentEngineCondition, metav1.ConditionTrue, v1alpha1.ServerAskedReason,
		"Posts are judged by the server that spec.sentiment names, and by the words and rules that come with Tertulia where it fails.")
	return token, nil
}

// planSentimentToken is what a Secret says, or what is amiss with it.
func planSentimentToken(name string, secret *corev1.Secret) (string, error) {
	named := handover.Reference{Field: "spec.sentiment.secretRef", Name: name, Use: v1alpha1.UseSentiment, Whom: "a server of sentiment"}
	if err := named.Check(secret); err != nil {
		return "", err
	}
	token, err := named.Value(secret, tokenKey, maxSentimentToken, "token")
	return string(token), err
}
