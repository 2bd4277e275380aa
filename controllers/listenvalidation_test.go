package controllers_test

import (
	"context"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
)

// take gives a manifest of one of our kinds to the API server, and returns what it says against it.
func (h *home) take(manifest string) string {
	h.t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte("apiVersion: crm.tertulia.dev/v1alpha1\n"+manifest), &object.Object); err != nil {
		h.t.Fatal(err)
	}
	object.SetNamespace(h.namespace)
	return refusal(h.api.Create(h.t.Context(), object))
}

func TestAPIServerRefusesSourcesAndSaysHowToMend(t *testing.T) {
	h := &home{world: inWorld(t), t: t, namespace: controlplanetest.Namespace(t), id: "velo"}
	for name, tc := range map[string]struct{ spec, want string }{
		"a network that is none":      {"type: Pigeon", "Unsupported value"},
		"without its settings":        {"type: Feed", "say which feed is read"},
		"with another's too":          {"type: Feed\n  feed: {url: 'https://a.example'}\n  webhook: {secretRef: {name: s}}", "or remove spec.webhook"},
		"Mastodon without settings":   {"type: Mastodon", "of which instance"},
		"Bluesky without settings":    {"type: Bluesky", "what is looked for"},
		"mailbox without settings":    {"type: Mailbox", "which mailbox is read"},
		"webhook without settings":    {"type: Webhook", "with which key posts are signed"},
		"a webhook is not asked":      {"type: Webhook\n  webhook: {secretRef: {name: s}}\n  interval: 5m", "remove interval"},
		"a file":                      {"type: Feed\n  feed: {url: 'file:///etc/passwd'}", "must be an http(s) URL"},
		"a password in a URL":         {"type: Feed\n  feed: {url: 'https://u:p@a.example'}", "without a user"},
		"an instance with a path":     {"type: Mastodon\n  mastodon: {instance: 'https://a.example/@velo', hashtags: [velo]}", "without a path"},
		"an instance and no wish":     {"type: Mastodon\n  mastodon: {instance: 'https://a.example'}", "hashtags, mentions or lists"},
		"no mentions":                 {"type: Mastodon\n  mastodon: {instance: 'https://a.example', mentions: false}", "hashtags, mentions or lists"},
		"mentions of nobody":          {"type: Mastodon\n  mastodon: {instance: 'https://a.example', mentions: true}", "access-token"},
		"lists of nobody":             {"type: Mastodon\n  mastodon: {instance: 'https://a.example', lists: ['7']}", "access-token"},
		"two hashtags in one":         {"type: Mastodon\n  mastodon: {instance: 'https://a.example', hashtags: ['#velo #bici']}", "one hashtag of letters"},
		"a token over http":           {"type: Mastodon\n  mastodon: {instance: 'http://a.example', hashtags: [velo]}", "https URL"},
		"a password over http":        {"type: Feed\n  feed: {url: 'http://a.example', secretRef: {name: s}}", "write url with https"},
		"a service over http":         {"type: Bluesky\n  bluesky: {keywords: [{word: velo}], service: 'http://a.example'}", "https URL"},
		"Bluesky and no wish":         {"type: Bluesky\n  bluesky: {}", "keywords or mentions"},
		"mentions without an account": {"type: Bluesky\n  bluesky: {mentions: true}", "app password"},
		"a stream over http":          {"type: Bluesky\n  bluesky: {keywords: [{word: velo}], jetstream: 'https://a.example'}", "ws(s) URL"},
		"a term of two":               {"type: Bluesky\n  bluesky: {keywords: [{word: velo, hashtag: velo}]}", "a term is one of word"},
		"a term of none":              {"type: Bluesky\n  bluesky: {keywords: [{case: true}]}", "a term is one of word"},
		"credentials in the clear":    {"type: Mailbox\n  mailbox: {host: imap.velo.example, port: 143, tls: None, secretRef: {name: s}}", "in the clear"},
		"languages as in a locale":    {"type: Feed\n  feed: {url: 'https://a.example'}\n  languages: [es-MX]", "Too long"},
		"languages in capitals":       {"type: Feed\n  feed: {url: 'https://a.example'}\n  languages: [ES]", "two lower-case letters"},
		"an answer over a feed":       {"type: Feed\n  feed: {url: 'https://a.example'}\n  replyChannelRef: {name: a}", "remove replyChannelRef"},
		"a duration of nothing":       {"type: Feed\n  feed: {url: 'https://a.example'}\n  keep: 1w", "must be a duration"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &home{world: h.world, t: t, namespace: h.namespace}
			if message := h.take("kind: SocialSource\nmetadata: {name: x}\nspec:\n  " + tc.spec + "\n"); !strings.Contains(message, tc.want) {
				t.Errorf("got %q, want a refusal with %q", message, tc.want)
			}
		})
	}
	long := "kind: SocialSource\nmetadata: {name: " + strings.Repeat("x", 201) + "}\nspec: {type: Feed, feed: {url: 'https://a.example'}}"
	if message := h.take(long); !strings.Contains(message, "at most 200 characters") {
		t.Errorf("a long name: %q", message)
	}
	for name, spec := range map[string]string{
		"mastodon": "{type: Mastodon, mastodon: {instance: 'https://mastodon.example:8443/', hashtags: [velociclismo, '#años_80', 自転車]}}",
		"here":     "{type: Mastodon, mastodon: {instance: 'http://127.0.0.1:3000', hashtags: [velo]}}",
		"bluesky":  "{type: Bluesky, bluesky: {keywords: [{word: velo}], jetstream: 'ws://127.0.0.1:8091/subscribe', service: 'http://[::1]:2583', appView: 'http://localhost:2584'}}",
	} {
		if message := h.take("kind: SocialSource\nmetadata: {name: " + name + "}\nspec: " + spec); message != "" {
			t.Errorf("%s: %s", name, message)
		}
	}
	if message := h.take("kind: SocialSource\nmetadata: {name: blog}\nspec: {type: Feed, feed: {url: 'https://a.example'}}"); message != "" {
		t.Fatalf("a feed: %s", message)
	}
	change := func(ctx context.Context, patch string) string {
		return refusal(h.change(ctx, &v1alpha1.SocialSource{}, "blog", patch))
	}
	if message := change(t.Context(), `{"spec":{"type":"Webhook","feed":null,"webhook":{"secretRef":{"name":"s"}}}}`); !strings.Contains(message, "never changed") {
		t.Errorf("another type: %q", message)
	}
}

func TestAPIServerRefusesMonitorsAndSaysHowToMend(t *testing.T) {
	h := &home{world: inWorld(t), t: t, namespace: controlplanetest.Namespace(t), id: "velo"}
	for name, tc := range map[string]struct{ spec, want string }{
		"no topic":                 {"topics: []", "spec.topics"},
		"a topic without a role":   {"topics: [{name: velo, any: [{word: velo}]}]", "role"},
		"a role that is none":      {"topics: [{name: velo, role: Rumour, any: [{word: velo}]}]", "Unsupported value"},
		"a topic without terms":    {"topics: [{name: velo, role: Brand, any: []}]", "any"},
		"a name in capitals":       {"topics: [{name: Velo, role: Brand, any: [{word: velo}]}]", "such as velo"},
		"a name that is there":     {"topics: [{name: velo, role: Brand, any: [{word: velo}]}, {name: velo, role: Brand, any: [{word: v}]}]", "Duplicate value"},
		"a term of two":            {"topics: [{name: velo, role: Brand, any: [{word: velo, phrase: velo velo}]}]", "a term is one of word"},
		"an exception of none":     {"topics: [{name: velo, role: Brand, any: [{word: velo}], except: [{letters: Loose}]}]", "a term is one of word"},
		"letters that are none":    {"topics: [{name: velo, role: Brand, any: [{word: velo, letters: Phonetic}]}]", "Unsupported value"},
		"a form that is none":      {"topics: [{name: velo, role: Brand, any: [{word: velo, forms: [Dual]}]}]", "Unsupported value"},
		"near of one":              {"topics: [{name: velo, role: Brand, any: [{near: {words: [a], within: 3}}]}]", "words"},
		"near and far":             {"topics: [{name: velo, role: Brand, any: [{near: {words: [a, b], within: 300}}]}]", "within"},
		"an account with a space":  {"topics: [{name: velo, role: Brand, any: [{word: velo}]}]\n  accounts: ['@velo es']", "without spaces"},
		"a burst of nothing":       {"topics: [{name: velo, role: Brand, any: [{word: velo}]}]\n  crisis: {minNegatives: -1}", "minNegatives"},
		"a source that is there":   {"topics: [{name: velo, role: Brand, any: [{word: velo}]}]\n  sources: [{name: a}, {name: a}]", "Duplicate value"},
		"a cool-down of no length": {"topics: [{name: velo, role: Brand, any: [{word: velo}]}]\n  crisis: {coolDown: soon}", "must be a duration"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &home{world: h.world, t: t, namespace: h.namespace}
			if message := h.take("kind: Monitor\nmetadata: {name: x}\nspec:\n  " + tc.spec + "\n"); !strings.Contains(message, tc.want) {
				t.Errorf("got %q, want a refusal with %q", message, tc.want)
			}
		})
	}
	// What a large tenant writes is within what the API server spends on validation.
	var topics strings.Builder
	for n := range 100 {
		topics.WriteString("  - {name: t" + strings.Repeat("x", n%50) + string(rune('a'+n/50)) + ", role: Product, any: [" + strings.TrimSuffix(strings.Repeat("{word: velo, forms: [Plural, Gender]}, ", 100), ", ") + "]}\n")
	}
	if message := h.take("kind: Monitor\nmetadata: {name: large}\nspec:\n  topics:\n" + topics.String()); message != "" {
		t.Errorf("100 topics with 100 terms each: %.300s", message)
	}
}

func TestAPIServerRefusesServersOfSentimentAndSaysHowToMend(t *testing.T) {
	h := &home{world: inWorld(t), t: t, namespace: controlplanetest.Namespace(t), id: "velo"}
	for name, tc := range map[string]struct{ sentiment, want string }{
		"a protocol that is none": {"{protocol: Telepathy, url: 'https://a.example'}", "Unsupported value"},
		"Chat without a model":    {"{protocol: Chat, url: 'https://a.example'}", "say which model answers"},
		"Predict with a model":    {"{protocol: Predict, url: 'https://a.example', model: m}", "or remove model"},
		"a token over http":       {"{protocol: Predict, url: 'http://a.example', secretRef: {name: s}}", "a token does not travel in the clear"},
		"a query":                 {"{protocol: Predict, url: 'https://a.example?key=1'}", "without a user, a query"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &home{world: h.world, t: t, namespace: h.namespace}
			message := h.take("kind: CRMTenant\nmetadata: {name: default}\nspec: {id: velo, displayName: V, locales: [es], publicURL: 'https://a.example', sentiment: " + tc.sentiment + "}")
			if !strings.Contains(message, tc.want) {
				t.Errorf("got %q, want a refusal with %q", message, tc.want)
			}
		})
	}
}
