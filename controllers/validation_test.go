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
			"only contacts and accounts can be extended yet", "kind: RecordType\nmetadata: {name: dog}\nspec: {}", `name it "contact" or "account"`,
		},
		"attribute that every contact has": {
			"it would shadow a column", "kind: RecordType\nmetadata: {name: contact}\nspec: {attributes: [{name: email, type: String}]}", "choose another",
		},
		"enumeration of numbers": {
			"only strings have one", "kind: RecordType\nmetadata: {name: contact}\nspec: {attributes: [{name: rank, type: Integer, enum: ['1']}]}", "remove it or change the type",
		},
		"account with a name of its own": {
			"every account has one", "kind: RecordType\nmetadata: {name: account}\nspec: {attributes: [{name: name, type: String}]}", "choose other names",
		},
		"account with a birthday": {
			"roles are for people", "kind: RecordType\nmetadata: {name: account}\nspec: {attributes: [{name: founded, type: Date, role: Birthday}]}", "remove the roles",
		},
		"sources of accounts": {
			"the newest counts", "kind: RecordType\nmetadata: {name: account}\nspec: {sources: [crm]}", "remove sources",
		},
		"role of a number": {
			"a name is a text", "kind: RecordType\nmetadata: {name: contact}\nspec: {attributes: [{name: rank, type: Integer, role: Name}]}", "change the role or the type",
		},
		"birthday in words": {
			"days are compared", "kind: RecordType\nmetadata: {name: contact}\nspec: {attributes: [{name: born, type: String, role: Birthday}]}", "change the role or the type",
		},
		"two birthdays": {
			"people have one", "kind: RecordType\nmetadata: {name: contact}\nspec: {attributes: [{name: a, type: Date, role: Birthday}, {name: b, type: Date, role: Birthday}]}", "people have one",
		},
		"a source twice": {
			"which place is meant?", "kind: RecordType\nmetadata: {name: contact}\nspec: {sources: [crm, shop, crm]}", "keep its first place",
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
		"rate of nothing": {
			"suspend stops a channel",
			"kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Email, email: {from: a@b.example, smtp: {host: 127.0.0.1, port: 25, tls: None}}, rate: {perSecond: -1}}",
			"spec.rate.perSecond",
		},
		"warm-up without a first day": {
			"nobody knows how fast it begins",
			"kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Email, email: {from: a@b.example, smtp: {host: 127.0.0.1, port: 25, tls: None}}, rate: {warmUp: {startsOn: '2027-03-01', steps: [{day: 2, perDay: 5}]}}}",
			"add a step with day: 1",
		},
		"warm-up on a day of no calendar": {
			"a slip of the pen",
			"kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Email, email: {from: a@b.example, smtp: {host: 127.0.0.1, port: 25, tls: None}}, rate: {warmUp: {startsOn: '1.3.2027', steps: [{day: 1, perDay: 5}]}}}",
			"such as 2027-03-01",
		},
		"rate by domain of a webhook": {
			"it posts to one place",
			"kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Webhook, webhook: {url: 'https://a.example/', secretRef: {name: s}}, rate: {perDomainPerSecond: 5}}",
			"remove it, or set type: Email",
		},
		"returns by two ways": {
			"one of them would be left out", "kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Email, email: {from: a@b.example, smtp: {host: 127.0.0.1, port: 25, tls: None}, returns: {address: x@b.example, imap: {host: h, port: 993, tls: Implicit, secretRef: {name: s}}, hook: {type: Mailgun, secretRef: {name: s}}}}}",
			"by one of imap and hook",
		},
		"a mailbox without an address": {
			"no report would go there", "kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Email, email: {from: a@b.example, smtp: {host: 127.0.0.1, port: 25, tls: None}, returns: {imap: {host: h, port: 993, tls: Implicit, secretRef: {name: s}}}}}",
			"needs returns.address",
		},
		"a return address that leaves no room": {
			"the token must fit before the @", "kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Email, email: {from: a@b.example, smtp: {host: 127.0.0.1, port: 25, tls: None}, returns: {address: bounces-of-the-newsletter@b.example, imap: {host: h, port: 993, tls: Implicit, secretRef: {name: s}}}}}",
			"at most 16 letters",
		},
		"SES without a topic": {
			"anybody's topic would be believed", "kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Email, email: {from: a@b.example, smtp: {host: 127.0.0.1, port: 25, tls: None}, returns: {hook: {type: SES}}}}",
			"needs topicARN",
		},
		"Mailgun with a topic": {
			"it has none", "kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Email, email: {from: a@b.example, smtp: {host: 127.0.0.1, port: 25, tls: None}, returns: {hook: {type: Mailgun, secretRef: {name: s}, topicARN: 'arn:aws:sns:eu-west-1:123456789012:t'}}}}",
			"no other type has one",
		},
		"SES with a key": {
			"Amazon signs by a certificate", "kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Email, email: {from: a@b.example, smtp: {host: 127.0.0.1, port: 25, tls: None}, returns: {hook: {type: SES, secretRef: {name: s}, topicARN: 'arn:aws:sns:eu-west-1:123456789012:t'}}}}",
			"SES has none",
		},
		"a hook without a key": {
			"anybody could report", "kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Email, email: {from: a@b.example, smtp: {host: 127.0.0.1, port: 25, tls: None}, returns: {hook: {type: Generic}}}}",
			"needs secretRef",
		},
		"a topic that is none": {
			"its host is made of it", "kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Email, email: {from: a@b.example, smtp: {host: 127.0.0.1, port: 25, tls: None}, returns: {hook: {type: SES, topicARN: 'arn:aws:sqs:eu-west-1:123456789012:t'}}}}",
			"must be the ARN of an SNS topic",
		},
		"webhook without settings": {
			"a type has a member of its name", "kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Webhook}", "needs spec.webhook",
		},
		"settings of another type": {
			"they would have no effect",
			"kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Email, email: {from: a@b.example, smtp: {host: 127.0.0.1, port: 25, tls: None}}, webhook: {url: 'https://a.example/', secretRef: {name: s}}}",
			"remove it, or set type: Webhook",
		},
		"mastodon without settings": {
			"a type has a member of its name", "kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Mastodon}", "say which account posts",
		},
		"bluesky beside mastodon": {
			"one account posts",
			"kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Mastodon, mastodon: {instance: 'https://a.example', secretRef: {name: s}}, bluesky: {secretRef: {name: s}}}",
			"or remove spec.bluesky",
		},
		"mail settings of a network": {
			"nobody is mailed",
			"kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Bluesky, bluesky: {secretRef: {name: s}}, email: {from: a@b.example, smtp: {host: 127.0.0.1, port: 25, tls: None}}}",
			"spec.email is of channels of type Email",
		},
		"an instance in the clear": {
			"a token would be readable",
			"kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Mastodon, mastodon: {instance: 'http://a.example', secretRef: {name: s}}}",
			"must be the https URL of a server",
		},
		"a service with a path": {
			"it is a server's", "kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Bluesky, bluesky: {service: 'https://a.example/xrpc', secretRef: {name: s}}}",
			"without a path",
		},
		"rate by domain of a network": {
			"it is one place",
			"kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Mastodon, mastodon: {instance: 'https://a.example', secretRef: {name: s}}, rate: {perDomainPerSecond: 5}}",
			"remove it, or set type: Email",
		},
		"webhook that names a user": {
			"nothing secret stands in a manifest",
			"kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Webhook, webhook: {url: 'https://u:p@a.example/', secretRef: {name: s}}}",
			"without a user",
		},
		"webhook by another protocol": {
			"messages are posted", "kind: MessageChannel\nmetadata: {name: news}\nspec: {type: Webhook, webhook: {url: 'file:///etc/passwd', secretRef: {name: s}}}",
			"http(s) URL",
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
		"schedule with at and cron": {
			"it is sent once or recurs", "kind: Campaign\nmetadata: {name: c}\nspec: {sendKey: k, purpose: p, channelRef: {name: c}, audience: {maxRecipients: 1, segments: [{name: s}]}, variants: [{name: a, templateRef: {name: t}}], schedule: {at: '2027-03-21T09:00:00', cron: 0 9 * * *}}",
			"give either at",
		},
		"schedule with neither": {
			"it would never be sent", "kind: Campaign\nmetadata: {name: c}\nspec: {sendKey: k, purpose: p, channelRef: {name: c}, audience: {maxRecipients: 1, segments: [{name: s}]}, variants: [{name: a, templateRef: {name: t}}], schedule: {startingDeadline: 6h}}",
			"give either at",
		},
		"hours of no clock": {
			"nobody could keep to them", "kind: Campaign\nmetadata: {name: c}\nspec: {sendKey: k, purpose: p, channelRef: {name: c}, audience: {maxRecipients: 1, segments: [{name: s}]}, variants: [{name: a, templateRef: {name: t}}], schedule: {at: '2027-03-21T09:00:00', hours: {open: [{from: '9', to: '10:00'}]}}}",
			"such as 09:00",
		},
		"rolling audience without an end": {
			"it would go on for ever", "kind: Campaign\nmetadata: {name: c}\nspec: {sendKey: k, purpose: p, channelRef: {name: c}, audience: {maxRecipients: 1, segments: [{name: s}], mode: Rolling}, variants: [{name: a, templateRef: {name: t}}], schedule: {at: '2027-03-21T09:00:00'}}",
			"give both",
		},
		"edits of a frozen audience": {
			"they change nothing in it", "kind: Campaign\nmetadata: {name: c}\nspec: {sendKey: k, purpose: p, channelRef: {name: c}, audience: {maxRecipients: 1, segments: [{name: s}], onDefinitionChange: Add}, variants: [{name: a, templateRef: {name: t}}], schedule: {at: '2027-03-21T09:00:00'}}",
			"set mode: Rolling",
		},
		"winner among one": {
			"there is nothing to choose", "kind: Campaign\nmetadata: {name: c}\nspec: {sendKey: k, purpose: p, channelRef: {name: c}, audience: {maxRecipients: 1, segments: [{name: s}]}, variants: [{name: a, templateRef: {name: t}}], schedule: {at: '2027-03-21T09:00:00'}, winner: {metric: Opened, after: 4h, share: 20}}",
			"give at least two",
		},
		"winner by each own clock": {
			"the hour of some has passed", "kind: Campaign\nmetadata: {name: c}\nspec: {sendKey: k, purpose: p, channelRef: {name: c}, audience: {maxRecipients: 1, segments: [{name: s}]}, variants: [{name: a, templateRef: {name: t}}, {name: b, templateRef: {name: t}}], schedule: {at: '2027-03-21T09:00:00', timeZone: Recipient}, winner: {metric: Opened, after: 4h, share: 20}}",
			"set schedule.timeZone to a zone",
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
		}, "to send again write another Campaign"},
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
