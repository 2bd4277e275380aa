package monitor

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func brand(terms ...v1alpha1.TopicTerm) v1alpha1.MonitorTopic {
	return v1alpha1.MonitorTopic{Name: "velo", Role: "Brand", Any: terms}
}

func monitor(spec v1alpha1.MonitorSpec) *v1alpha1.Monitor {
	return &v1alpha1.Monitor{ObjectMeta: metav1.ObjectMeta{Name: "velo"}, Spec: spec}
}

func TestPlanMonitor(t *testing.T) {
	velo := []v1alpha1.MonitorTopic{brand(v1alpha1.TopicTerm{Word: "velo"})}
	plain := []store.MonitorTopic{{Role: store.BrandTopic, Definition: match.Topic{Name: "velo", Any: []match.Term{{Word: "velo"}}}}}
	crisis := func(c v1alpha1.CrisisSettings) v1alpha1.MonitorSpec {
		return v1alpha1.MonitorSpec{Topics: velo, Crisis: &c}
	}
	for name, tc := range map[string]struct {
		spec    v1alpha1.MonitorSpec
		want    store.Monitor
		refused string
	}{
		"the least": {spec: v1alpha1.MonitorSpec{Topics: velo}, want: store.Monitor{Topics: plain}},
		"all lists": {
			v1alpha1.MonitorSpec{
				Topics: []v1alpha1.MonitorTopic{{
					Name: "pedalia", Role: "Competitor", Any: []v1alpha1.TopicTerm{{Word: "pedalia"}}, With: []v1alpha1.TopicTerm{{Word: "bici"}},
					None: []v1alpha1.TopicTerm{{Hashtag: "empleo"}}, Except: []v1alpha1.TopicTerm{{Phrase: "calle pedalia"}},
				}},
				Sources: []v1alpha1.LocalReference{{Name: "blog"}}, Accounts: []v1alpha1.AccountName{"@velo@mastodon.example"}, Suspend: true,
				Crisis: &v1alpha1.CrisisSettings{MinNegatives: 10, MinAuthors: 4, CoolDown: "1d12h", TimeZone: "Europe/Madrid"},
			},
			store.Monitor{
				Sources: []string{"blog"}, Accounts: []string{"@velo@mastodon.example"}, TimeZone: "Europe/Madrid", Suspended: true,
				Crisis: store.CrisisConfig{MinNegatives: 10, MinAuthors: 4, CoolDown: 36 * time.Hour},
				Topics: []store.MonitorTopic{{Role: store.CompetitorTopic, Definition: match.Topic{
					Name: "pedalia", Any: []match.Term{{Word: "pedalia"}}, With: []match.Term{{Word: "bici"}}, None: []match.Term{{Hashtag: "empleo"}},
					Except: []match.Term{{Phrase: "calle pedalia"}},
				}}},
			},
			"",
		},
		"a term that finds nothing": {
			spec:    v1alpha1.MonitorSpec{Topics: []v1alpha1.MonitorTopic{brand(v1alpha1.TopicTerm{Word: "velo"}, v1alpha1.TopicTerm{Phrase: "!!!"})}},
			refused: `spec.topics: topic "velo": any 2, phrase "!!!"`,
		},
		"a role of tomorrow": {
			spec:    v1alpha1.MonitorSpec{Topics: []v1alpha1.MonitorTopic{{Name: "velo", Role: "Rumour", Any: []v1alpha1.TopicTerm{{Word: "velo"}}}}},
			refused: `spec.topics velo: role "Rumour" is of a later version`,
		},
		"a form of tomorrow": {
			spec:    v1alpha1.MonitorSpec{Topics: []v1alpha1.MonitorTopic{brand(v1alpha1.TopicTerm{Word: "velo", Forms: []v1alpha1.TermForm{"Dual"}})}},
			refused: `spec.topics velo: any: forms "Dual"`,
		},
		"nowhere":     {spec: crisis(v1alpha1.CrisisSettings{TimeZone: "Nowhere/At_All"}), refused: "spec.crisis.timeZone: "},
		"no duration": {spec: crisis(v1alpha1.CrisisSettings{CoolDown: "6"}), refused: "spec.crisis.coolDown: "},
		"too short":   {spec: crisis(v1alpha1.CrisisSettings{CoolDown: "5m"}), refused: "not between 30m and 3d"},
		"too long":    {spec: crisis(v1alpha1.CrisisSettings{CoolDown: "4d"}), refused: "not between 30m and 3d"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := planMonitor(monitor(tc.spec))
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) {
					t.Errorf("refused: %v, want %q", err, tc.refused)
				}
				return
			}
			tc.want.Name = "velo"
			if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
		})
	}
}

func TestPlanSources(t *testing.T) {
	object := monitor(v1alpha1.MonitorSpec{Sources: []v1alpha1.LocalReference{{Name: "blog"}, {Name: "mastodon"}}})
	source := func(name string) v1alpha1.SocialSource {
		return v1alpha1.SocialSource{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	going := source("mastodon")
	going.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	for name, tc := range map[string]struct {
		there []v1alpha1.SocialSource
		waits string
	}{
		"all there":    {[]v1alpha1.SocialSource{source("mastodon"), source("blog"), source("other")}, ""},
		"one is not":   {[]v1alpha1.SocialSource{source("mastodon")}, `SocialSource "blog"`},
		"one is going": {[]v1alpha1.SocialSource{source("blog"), going}, `SocialSource "mastodon"`},
	} {
		err := planSources(object, tc.there)
		if (err != nil) != (tc.waits != "") || err != nil && !strings.Contains(err.Error(), tc.waits) {
			t.Errorf("%s: %v, want %q", name, err, tc.waits)
		}
	}
}

// TestPlanShare has monitors share what a post can be searched for: those that came first have theirs.
func TestPlanShare(t *testing.T) {
	made := func(name string, at int64, terms int) v1alpha1.Monitor {
		m := *monitor(v1alpha1.MonitorSpec{Topics: []v1alpha1.MonitorTopic{brand(make([]v1alpha1.TopicTerm, terms)...)}})
		m.Name, m.CreationTimestamp = name, metav1.Unix(at, 0)
		return m
	}
	most := match.MaxTotalTerms
	suspended := made("suspended", 1, most)
	suspended.Spec.Suspend = true
	for name, tc := range map[string]struct {
		this   v1alpha1.Monitor
		others []v1alpha1.Monitor
		stalls bool
	}{
		"alone":             {made("a", 5, most), nil, false},
		"too much at once":  {made("a", 5, most+1), nil, true},
		"others came first": {made("b", 5, 2), []v1alpha1.Monitor{made("a", 4, most-1)}, true},
		"with just room":    {made("b", 5, 1), []v1alpha1.Monitor{made("a", 4, most-1)}, false},
		"it came first":     {made("b", 5, 2), []v1alpha1.Monitor{made("a", 6, most-1)}, false},
		"by name":           {made("b", 5, 2), []v1alpha1.Monitor{made("a", 5, most-1)}, true},
		"one is suspended":  {made("b", 5, 2), []v1alpha1.Monitor{suspended}, false},
		"itself among all":  {made("a", 5, most), []v1alpha1.Monitor{made("a", 5, most)}, false},
		"itself suspended":  {suspended, []v1alpha1.Monitor{made("a", 0, most)}, false},
	} {
		if err := planShare(&tc.this, tc.others); (err != nil) != tc.stalls {
			t.Errorf("%s: %v, want it to stall: %t", name, err, tc.stalls)
		}
	}
}

func TestPercent(t *testing.T) {
	if percent(0, 0) != nil {
		t.Error("of nothing there is no share")
	}
	for want, parts := range map[int32][2]int64{0: {0, 7}, 33: {1, 3}, 67: {2, 3}, 100: {4, 4}} {
		if got := percent(parts[0], parts[1]); *got != want {
			t.Errorf("%v: %d, want %d", parts, *got, want)
		}
	}
}
