package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/local/conversation"
)

// TestTheSourcesLeadToTheConversation compares the manifests with what the demo serves.
func TestTheSourcesLeadToTheConversation(t *testing.T) {
	text, err := os.ReadFile("listening/sources.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]v1alpha1.SocialSource{}
	var channel v1alpha1.MessageChannel
	var secret corev1.Secret
	for documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var head metav1.PartialObjectMetadata
		if err == nil {
			err = strict.Unmarshal(document, &head)
		}
		var source v1alpha1.SocialSource
		read := map[string]any{"SocialSource": &source, "MessageChannel": &channel, "Secret": &secret}[head.Kind]
		if err == nil {
			err = strict.UnmarshalStrict(document, read)
		}
		if err != nil {
			t.Fatalf("%s %s: %v", head.Kind, head.Name, err)
		}
		if head.Namespace != namespace {
			t.Errorf("%s is in namespace %q", head.Name, head.Namespace)
		}
		sources[source.Name] = source
	}
	feed, stream := sources["cycling-blog"].Spec.Feed, sources["network"].Spec.Bluesky
	if feed == nil || feed.URL != "http://"+conversationAddress+conversation.FeedPath {
		t.Errorf("the feed: %+v", feed)
	}
	if stream == nil || stream.Jetstream != "ws://"+conversationAddress+conversation.StreamPath || stream.AppView != "http://"+conversationAddress {
		t.Fatalf("the stream: %+v", stream)
	}
	if !slices.ContainsFunc(stream.Keywords, func(k v1alpha1.TopicTerm) bool { return k.Author == conversation.ShopDID }) {
		t.Error("what the shop answers is not listened to")
	}
	reply := sources["network"].Spec.ReplyChannelRef
	if reply == nil || reply.Name != channel.Name || channel.Spec.Bluesky == nil || channel.Spec.Bluesky.Service != "http://"+conversationAddress {
		t.Errorf("what the stream brings is answered over %+v", channel.Spec)
	}
	want := map[string]string{"identifier": conversation.ShopHandle, "app-password": conversation.AppPassword}
	if channel.Spec.Bluesky.SecretRef.Name != secret.Name || !maps.Equal(secret.StringData, want) {
		t.Errorf("the shop logs in with %v", secret.StringData)
	}
}

func TestTyped(t *testing.T) {
	if got, want := typed([]string{"mentions", "cobrado dos veces", "--limit", "2"}), "mentions 'cobrado dos veces' --limit 2"; got != want {
		t.Errorf("typed: %s, want %s", got, want)
	}
}
