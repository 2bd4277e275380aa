package socialsource

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/listen/mastodon"
)

// answeredBy are the types of channels over which is answered what a type of source brings.
var answeredBy = map[v1alpha1.SourceType]v1alpha1.ChannelType{
	v1alpha1.MastodonSource: v1alpha1.MastodonChannel,
	v1alpha1.BlueskySource:  v1alpha1.BlueskyChannel,
	v1alpha1.MailboxSource:  v1alpha1.EmailChannel,
	v1alpha1.WebhookSource:  v1alpha1.WebhookChannel,
}

// replyChannels are the channels that a source names.
func replyChannels(o client.Object) []string {
	if reference := o.(*v1alpha1.SocialSource).Spec.ReplyChannelRef; reference != nil {
		return []string{reference.Name}
	}
	return nil
}

// checkReplyChannel tells what keeps a source's answers from leaving.
func (r *Reconciler) checkReplyChannel(ctx context.Context, object *v1alpha1.SocialSource) error {
	reference := object.Spec.ReplyChannelRef
	if reference == nil {
		return nil
	}
	var channel v1alpha1.MessageChannel
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: object.Namespace, Name: reference.Name}, &channel)
	switch {
	case apierrors.IsNotFound(err):
		return planReplyChannel(object, nil)
	case err != nil:
		return fmt.Errorf("read the channel of the source's answers: %w", err)
	}
	return planReplyChannel(object, &channel)
}

// planReplyChannel judges the channel, nil where there is none. Whether it can be used is told by its own status: answers wait until it can.
func planReplyChannel(object *v1alpha1.SocialSource, channel *v1alpha1.MessageChannel) error {
	name, wanted := object.Spec.ReplyChannelRef.Name, answeredBy[object.Spec.Type]
	switch {
	case wanted == "":
		return reconciling.Stall(v1alpha1.InvalidSpecReason,
			"spec.replyChannelRef: nobody can be answered over a source of type %s: remove it.", object.Spec.Type)
	case channel == nil || !channel.DeletionTimestamp.IsZero():
		return reconciling.Wait(v1alpha1.NotFoundReason("MessageChannel"),
			"MessageChannel %q, which spec.replyChannelRef names, is not there: apply it, or correct the name.", name)
	case channel.Spec.Type != wanted:
		return reconciling.Stall(v1alpha1.InvalidSpecReason,
			"spec.replyChannelRef: MessageChannel %q is of type %s, and what a source of type %s brings is answered over one of type %s: name such a one.",
			name, channel.Spec.Type, object.Spec.Type, wanted)
	case wanted == v1alpha1.MastodonChannel && !sameInstance(object.Spec.Mastodon, channel.Spec.Mastodon):
		return reconciling.Stall(v1alpha1.InvalidSpecReason,
			"spec.replyChannelRef: MessageChannel %q posts on another instance than the source reads: posts have other numbers there. Read what mentions "+
				"the account on its own instance, or name a channel with an account here.", name)
	}
	return nil
}

// sameInstance tells whether posts that are read have the same ids where they are answered.
func sameInstance(source *v1alpha1.MastodonSettings, channel *v1alpha1.MastodonChannelSettings) bool {
	return source != nil && channel != nil && mastodon.NetworkOf(source.Instance) == mastodon.NetworkOf(channel.Instance)
}
