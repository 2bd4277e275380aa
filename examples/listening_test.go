package examples_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/listening"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
)

// terms are declared terms as posts are searched for them.
func terms(t *testing.T, declared []v1alpha1.TopicTerm) []match.Term {
	t.Helper()
	found, err := listening.Terms("the example", declared)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// topics are those of the example's monitor.
func topics(t *testing.T) (found []match.Topic) {
	t.Helper()
	for _, object := range objectsOf(t, "velo/crm") {
		if object.GetKind() != "Monitor" {
			continue
		}
		for _, topic := range typed[v1alpha1.Monitor](t, object).Spec.Topics {
			found = append(found, match.Topic{
				Name: topic.Name, Any: terms(t, topic.Any), With: terms(t, topic.With), None: terms(t, topic.None), Except: terms(t, topic.Except),
			})
		}
	}
	return found
}

// TestTheMonitorFindsWhatItIsAbout reads posts as workers do.
func TestTheMonitorFindsWhatItIsAbout(t *testing.T) {
	matcher, err := match.Compile(topics(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		post match.Post
		want []string
	}{
		"the brand":            {match.Post{Text: "Mi pedido de Velo no llega."}, []string{"velo"}},
		"its hashtag":          {match.Post{Text: "Domingo de bici", Tags: []string{"velociclismo"}}, []string{"velo"}},
		"its shop":             {match.Post{Text: "Mirad", Links: []string{"https://shop.velo.example/gorra"}}, []string{"velo"}},
		"a veil":               {match.Post{Text: "El Velo de novia de mi abuela, y un velo sobre todo."}, nil},
		"what it says itself":  {match.Post{Text: "En Velo lo sentimos.", Author: []string{"did:plc:tfs4m2c7gnjxf7a77ywkwqsi"}}, nil},
		"a product":            {match.Post{Text: "El maillot de invierno Sierra de Velo abriga."}, []string{"velo", "winter-collection"}},
		"a mountain":           {match.Post{Text: "Con el culote nuevo subí el Angliru."}, nil},
		"somebody else's":      {match.Post{Text: "El maillot Sierra de Pedalia se rompe"}, []string{"pedalia"}},
		"beside a competitor":  {match.Post{Text: "Velo o rodamar, qué compráis?"}, []string{"rodamar", "velo"}},
		"nothing of all these": {match.Post{Text: "Hoy llueve en Bilbao."}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var found []string
			for _, m := range matcher.Match(&tc.post, nil) {
				found = append(found, m.Name)
			}
			slices.Sort(found)
			if diff := cmp.Diff(tc.want, found); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestTheSourceStoresWhatTheMonitorLooksFor: who stores less hears less.
func TestTheSourceStoresWhatTheMonitorLooksFor(t *testing.T) {
	var keywords []match.Term
	for _, object := range objectsOf(t, "velo/listening") {
		if source := typed[v1alpha1.SocialSource](t, object); source.Spec.Bluesky != nil {
			keywords = terms(t, source.Spec.Bluesky.Keywords)
		}
	}
	matcher, err := match.Compile([]match.Topic{{Name: "keywords", Any: keywords}})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"Mi pedido de Velo", "El maillot Sierra de Velo", "pedalia", "Rodamar"} {
		if len(matcher.Match(&match.Post{Text: text}, nil)) == 0 {
			t.Errorf("%q is about a topic and is not stored", text)
		}
	}
}
