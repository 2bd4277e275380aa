package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PostVisibility is who sees a post.
// +kubebuilder:validation:Enum=Public;Unlisted;Followers
type PostVisibility string

// The visibilities.
const (
	PublicPost    PostVisibility = "Public"
	UnlistedPost  PostVisibility = "Unlisted"
	FollowersPost PostVisibility = "Followers"
)

// AltText is what an image shows, in words.
type AltText struct {
	// Locale of the words, such as es.
	Locale Locale `json:"locale"`
	// Text for who does not see the image.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2000
	// +kubebuilder:validation:XValidation:rule="self.matches('[^\\\\s]')",message="say in words what the image shows: people who do not see it read them"
	Text string `json:"text"`
}

// PostImage is an image of a post.
type PostImage struct {
	// ConfigMapKeyRef names a ConfigMap and the key in its binaryData that holds the image: a PNG, JPEG, GIF or WebP.
	// kustomize's configMapGenerator makes one from a file.
	ConfigMapKeyRef ConfigMapKeyReference `json:"configMapKeyRef"`
	// Alt says in words what the image shows, in each locale that is published. es serves es-MX too.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=30
	// +listType=map
	// +listMapKey=locale
	Alt []AltText `json:"alt"`
	// Part of the thread that shows the image, counted from 1. Default: 1, the post that begins it.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=50
	Part int32 `json:"part,omitempty"`
}

// PartOrDefault is the part of the thread that shows the image, counted from 1.
func (i *PostImage) PartOrDefault() int {
	if i.Part == 0 {
		return 1
	}
	return int(i.Part)
}

// Publication says what a campaign publishes on a social network. The text is that of the variant's template: its text, and not
// its HTML. A line that holds --- and nothing else begins the next post of a thread.
type Publication struct {
	// Locales are published in this order, two seconds apart, each as a post or thread of its own. The variants' templates must have
	// content in each. Default: the default locale of the variant's template.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	// +listType=set
	Locales []Locale `json:"locales,omitempty"`
	// Images of the posts, in the order in which they are shown. Networks take at most four in a post.
	// +optional
	// +kubebuilder:validation:MaxItems=20
	// +listType=atomic
	Images []PostImage `json:"images,omitempty"`
	// Visibility is who sees the posts: Public; Unlisted, everybody, but not in public timelines and searches; Followers. Bluesky has
	// public posts only. Default: Public.
	// +optional
	Visibility PostVisibility `json:"visibility,omitempty"`
}

// PublishedPost is a post that is on its network.
type PublishedPost struct {
	// Locale that it is written in.
	Locale Locale `json:"locale"`
	// URL where a person reads it; of a thread, that of its first post.
	URL string `json:"url"`
	// At is when it was published.
	At metav1.Time `json:"at"`
}
