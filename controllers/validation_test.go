package controllers_test

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
)

// refusal is what the API server says to an object that it does not take.
func refusal(err error) string {
	if err == nil {
		return ""
	}
	if !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
		return "not a refusal: " + err.Error()
	}
	return err.Error()
}

func TestAPIServerRefusesAndSaysHowToMend(t *testing.T) {
	h := &home{world: inWorld(t), t: t, namespace: controlplanetest.Namespace(t), id: "velo"}
	tests := map[string]struct {
		reason   string
		manifest string
		want     string
	}{
		"tenant of another name": {
			"a namespace is one tenant", "kind: CRMTenant\nmetadata: {name: velo}\nspec: {id: velo, displayName: V, locales: [es], publicURL: 'https://a.example'}",
			`name the CRMTenant "default"`,
		},
		"id with capitals": {
			"it stands in names of databases", "kind: CRMTenant\nmetadata: {name: default}\nspec: {id: Velo, displayName: V, locales: [es], publicURL: 'https://a.example'}",
			"such as velo-production",
		},
		"id with an underscore": {
			"two ids must not share a database's name", "kind: CRMTenant\nmetadata: {name: default}\nspec: {id: velo_b, displayName: V, locales: [es], publicURL: 'https://a.example'}",
			"such as velo-production",
		},
		"public URL with a slash at its end": {
			"links are built upon it", "kind: CRMTenant\nmetadata: {name: default}\nspec: {id: velo, displayName: V, locales: [es], publicURL: 'https://a.example/'}",
			"query, fragment or a slash at its end",
		},
		"public URL with a password": {
			"nothing secret stands in a manifest", "kind: CRMTenant\nmetadata: {name: default}\nspec: {id: velo, displayName: V, locales: [es], publicURL: 'https://u:p@a.example'}",
			"without login",
		},
		"no locale": {
			"the first is the default", "kind: CRMTenant\nmetadata: {name: default}\nspec: {id: velo, displayName: V, locales: [], publicURL: 'https://a.example'}",
			"spec.locales",
		},
		"worker that asks for more than it may have": {
			"no pod could be made", "kind: CRMTenant\nmetadata: {name: default}\nspec: {id: velo, displayName: V, locales: [es], publicURL: 'https://a.example', worker: {resources: {requests: {memory: 1Gi}, limits: {memory: 512Mi}}}}",
			"raise the limit or lower the request",
		},
		"server that asks for more cpu than it may have": {
			"no pod could be made", "kind: CRMTenant\nmetadata: {name: default}\nspec: {id: velo, displayName: V, locales: [es], publicURL: 'https://a.example', server: {resources: {requests: {cpu: 2}, limits: {cpu: 1500m}}}}",
			"requests.cpu is more than limits.cpu",
		},
		"worker without room to begin": {
			"it would be killed again and again", "kind: CRMTenant\nmetadata: {name: default}\nspec: {id: velo, displayName: V, locales: [es], publicURL: 'https://a.example', worker: {resources: {limits: {memory: 32Mi}}}}",
			"at least 64Mi",
		},
		"negative cpu": {
			"it means nothing", "kind: CRMTenant\nmetadata: {name: default}\nspec: {id: velo, displayName: V, locales: [es], publicURL: 'https://a.example', worker: {resources: {requests: {cpu: \"-1\"}}}}",
			"such as 500m or 2",
		},
		"memory in words": {
			"a slip of the pen", "kind: CRMTenant\nmetadata: {name: default}\nspec: {id: velo, displayName: V, locales: [es], publicURL: 'https://a.example', worker: {resources: {requests: {memory: 1 GB}}}}",
			"spec.worker.resources.requests.memory",
		},
		"more workers than a tenant has": {
			"a slip of the pen", "kind: CRMTenant\nmetadata: {name: default}\nspec: {id: velo, displayName: V, locales: [es], publicURL: 'https://a.example', worker: {replicas: 1000}}",
			"spec.worker.replicas",
		},
		"record of another name": {
			"only contacts can be extended yet", "kind: RecordType\nmetadata: {name: dog}\nspec: {}", `name it "contact"`,
		},
		"attribute that every contact has": {
			"it would shadow a column", "kind: RecordType\nmetadata: {name: contact}\nspec: {attributes: [{name: email, type: String}]}", "choose another",
		},
		"enumeration of numbers": {
			"only strings have one", "kind: RecordType\nmetadata: {name: contact}\nspec: {attributes: [{name: rank, type: Integer, enum: ['1']}]}", "remove it or change the type",
		},
		"event with a capital": {
			"names are compared as they are", "kind: EventType\nmetadata: {name: purchase..x}\nspec: {properties: [{name: Amount, type: Decimal}]}", "such as first_name",
		},
		"credentials in the clear": {
			"a password must not travel unprotected",
			"kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Email, email: {from: a@b.example, smtp: {host: smtp.example, port: 25, tls: None, secretRef: {name: s}}}}",
			"set tls to StartTLS or Implicit",
		},
		"channel without settings": {
			"a type has a member of its name", "kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Email}", "needs spec.email",
		},
		"template without its default locale": {
			"somebody must always get something", "kind: MessageTemplate\nmetadata: {name: t}\nspec: {defaultLocale: es, content: [{locale: en, subject: s, html: h}]}",
			"add that locale's content or change defaultLocale",
		},
		"html twice": {
			"one of the two would be ignored",
			"kind: MessageTemplate\nmetadata: {name: t}\nspec: {defaultLocale: es, content: [{locale: es, subject: s, html: h, htmlFrom: {configMapKeyRef: {name: a, key: b}}}]}",
			"say the HTML once",
		},
		"campaign without a bound": {
			"a blast radius is declared",
			"kind: Campaign\nmetadata: {name: c}\nspec: {sendKey: k, purpose: p, channelRef: {name: c}, audience: {segments: [{name: s}]}, variants: [{name: a, templateRef: {name: t}}], schedule: {at: '2027-03-21T09:00:00'}}",
			"maxRecipients",
		},
		"schedule with an offset": {
			"the zone is said apart",
			"kind: Campaign\nmetadata: {name: c}\nspec: {sendKey: k, purpose: p, channelRef: {name: c}, audience: {maxRecipients: 1, segments: [{name: s}]}, variants: [{name: a, templateRef: {name: t}}], schedule: {at: '2027-03-21T09:00Z'}}",
			"spec.schedule.at",
		},
		"unknown field": {
			"a slip of the pen must not be ignored", "kind: Segment\nmetadata: {name: s}\nspec: {match: 'true', matches: 'x'}", `unknown field "spec.matches"`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			object := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(tc.manifest), &object.Object); err != nil {
				t.Fatal(err)
			}
			object.SetAPIVersion(v1alpha1.GroupVersion.String())
			object.SetNamespace(h.namespace)
			err := client.WithFieldValidation(h.api, "Strict").Create(t.Context(), object, client.DryRunAll)
			if message := refusal(err); !strings.Contains(message, tc.want) {
				t.Errorf("got %q, want a refusal with %q (%s)", message, tc.want, tc.reason)
			}
		})
	}
}

func TestWhatIsForEverCannotBeChanged(t *testing.T) {
	h := withReferences(t)
	h.create(h.campaign("spring-2027"))
	h.current(&v1alpha1.Campaign{}, "spring-2027")
	tests := map[string]struct {
		reason string
		change func(ctx context.Context) error
		want   string
	}{
		"a tenant's id": {"the database remembers it", func(ctx context.Context) error {
			return h.change(ctx, &v1alpha1.CRMTenant{}, "default", `{"spec":{"id":"another"}}`)
		}, "spec.id is for ever"},
		"a send's key": {"it is the identity of the send", func(ctx context.Context) error {
			return h.change(ctx, &v1alpha1.Campaign{}, "spring-2027", `{"spec":{"sendKey":"another"}}`)
		}, "to send again, write another Campaign"},
		"an unset key": {"what is for ever cannot be unset", func(ctx context.Context) error {
			return h.change(ctx, &v1alpha1.Campaign{}, "spring-2027", `{"spec":{"sendKey":null}}`)
		}, "spec.sendKey"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if message := refusal(tc.change(t.Context())); !strings.Contains(message, tc.want) {
				t.Errorf("got %q, want a refusal with %q (%s)", message, tc.want, tc.reason)
			}
		})
	}
}

func (h *home) change(ctx context.Context, object client.Object, name, patch string) error {
	object.SetNamespace(h.namespace)
	object.SetName(name)
	return h.api.Patch(ctx, object, client.RawPatch("application/merge-patch+json", []byte(patch)))
}
