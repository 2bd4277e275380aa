package node

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func aPod(namespace, app, address string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: app, Labels: map[string]string{"app": app}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: address},
	}
}

func TestPlanRules(t *testing.T) {
	ended := aPod("velo", "server", "10.77.1.9")
	ended.Status.Phase = corev1.PodSucceeded
	pods := []*corev1.Pod{aPod("velo", "server", "10.77.1.2"), aPod("velo", "worker", "10.77.1.3"), aPod("rival", "worker", "10.77.1.4"), ended}
	namespaces := map[string]*corev1.Namespace{}
	for _, name := range []string{"velo", "rival"} {
		namespaces[name] = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelMetadataName: name}}}
	}
	for name, tc := range map[string]struct {
		reason string
		spec   string
		want   []string
	}{
		"SelectsNobody": {"what no policy selects is free", `{podSelector: {matchLabels: {app: nobody}}, policyTypes: [Ingress]}`, nil},
		"DenyAll": {"selected, and nothing allowed", `{podSelector: {}, policyTypes: [Ingress]}`, []string{
			"-A TERTULIA-INGRESS -d 10.77.1.2 -j DROP", "-A TERTULIA-INGRESS -d 10.77.1.3 -j DROP",
		}},
		"NamedPort": {
			"everybody may reach a port by its name", `{podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress], ingress: [{ports: [{port: http}, {port: gone}]}]}`,
			[]string{"-A TERTULIA-INGRESS -d 10.77.1.2 -s 0.0.0.0/0 -p tcp --dport 8080 -j RETURN", "-A TERTULIA-INGRESS -d 10.77.1.2 -j DROP"},
		},
		"FromNamespace": {
			"pods of a namespace, and a range of ports",
			`{podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: rival}}}],
				ports: [{port: 1, endPort: 5, protocol: UDP}]}]}`,
			[]string{"-A TERTULIA-INGRESS -d 10.77.1.2 -s 10.77.1.4/32 -p udp --dport 1:5 -j RETURN", "-A TERTULIA-INGRESS -d 10.77.1.2 -j DROP"},
		},
		"FromPodsHere": {
			"without a namespace selector, pods of the policy's own", `{podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: worker}}}]}]}`,
			[]string{"-A TERTULIA-INGRESS -d 10.77.1.2 -s 10.77.1.3/32 -j RETURN", "-A TERTULIA-INGRESS -d 10.77.1.2 -j DROP"},
		},
		"EgressBlock": {
			"a block without its exception, and nothing of IPv6",
			`{podSelector: {matchLabels: {app: server}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/30, except: [10.0.0.2/32]}}, {ipBlock: {cidr: "::/0"}}]}]}`,
			[]string{
				"-A TERTULIA-EGRESS -s 10.77.1.2 -d 10.0.0.0/31 -j RETURN", "-A TERTULIA-EGRESS -s 10.77.1.2 -d 10.0.0.3/32 -j RETURN",
				"-A TERTULIA-EGRESS -s 10.77.1.2 -j DROP",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			policy := networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "velo", Name: "policy"}}
			if err := yaml.UnmarshalStrict([]byte(tc.spec), &policy.Spec); err != nil {
				t.Fatal(err)
			}
			rules, err := planRules(cluster{policies: []*networkingv1.NetworkPolicy{&policy}, pods: pods, namespaces: namespaces})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for line := range strings.Lines(rules) {
				if strings.HasPrefix(line, "-A") && !strings.Contains(line, "ESTABLISHED") {
					got = append(got, strings.TrimSpace(line))
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: %s", tc.reason, diff)
			}
		})
	}
}

// What is left of a block and its exception together are the block, and no address is in both.
func TestWithout(t *testing.T) {
	whole, except := netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("169.254.0.0/16")
	left := without(whole, except)
	var addresses uint64
	for _, prefix := range left {
		if prefix.Overlaps(except) {
			t.Errorf("%s overlaps the exception", prefix)
		}
		addresses += 1 << (32 - prefix.Bits())
	}
	if want := uint64(1)<<32 - 1<<16; addresses != want {
		t.Errorf("%d addresses are left, want %d", addresses, want)
	}
	if left := without(except, whole); left != nil {
		t.Errorf("an exception that holds the block left %v", left)
	}
}
