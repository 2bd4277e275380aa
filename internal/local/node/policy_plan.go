package node

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// The chains that hold the rules of network policies. They stand in the mangle table, which a packet passes after a Service's
// address has become a pod's and before anything of kube-proxy's lets it through.
const (
	egressChain  = "TERTULIA-EGRESS"
	ingressChain = "TERTULIA-INGRESS"
)

// cluster is what network policies speak of.
type cluster struct {
	policies   []*networkingv1.NetworkPolicy
	pods       []*corev1.Pod
	namespaces map[string]*corev1.Namespace
}

// planRules compiles every NetworkPolicy of a cluster into what iptables-restore reads, IPv4 only, as that is what pods here
// have. A pod that a policy selects for a direction loses all new connections of that direction which no policy allows. What
// passes is returned to the caller, so that both ends of a connection have their say.
func planRules(c cluster) (string, error) {
	egress, err := c.rules(networkingv1.PolicyTypeEgress, "-A "+egressChain+" -s ")
	if err != nil {
		return "", err
	}
	ingress, err := c.rules(networkingv1.PolicyTypeIngress, "-A "+ingressChain+" -d ")
	if err != nil {
		return "", err
	}
	established := " -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"
	lines := []string{"*mangle", ":" + egressChain + " - [0:0]", ":" + ingressChain + " - [0:0]", "-A " + egressChain + established}
	lines = append(lines, egress...)
	lines = append(lines, "-A "+ingressChain+established)
	lines = append(lines, ingress...)
	return strings.Join(append(lines, "COMMIT"), "\n") + "\n", nil
}

// rules are those of one direction; each begins with of and a pod's address.
func (c cluster) rules(direction networkingv1.PolicyType, of string) ([]string, error) {
	pods := c.running()
	var rules []string
	for _, pod := range pods {
		selecting, err := c.selecting(pod, direction)
		if err != nil {
			return nil, err
		}
		for _, policy := range selecting {
			matches, err := c.allowed(pods, pod, policy, direction)
			if err != nil {
				return nil, err
			}
			for _, match := range matches {
				rules = append(rules, of+pod.Status.PodIP+match+" -j RETURN")
			}
		}
		if len(selecting) > 0 {
			rules = append(rules, of+pod.Status.PodIP+" -j DROP")
		}
	}
	return rules, nil
}

// running are the pods that have an address of their own, in a fixed order.
func (c cluster) running() []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range c.pods {
		over := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if address, err := netip.ParseAddr(pod.Status.PodIP); err == nil && address.Is4() && !pod.Spec.HostNetwork && !over {
			pods = append(pods, pod)
		}
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return cmp.Compare(a.Status.PodIP, b.Status.PodIP) })
	return pods
}

// selecting are the policies that a pod is subject to in a direction.
func (c cluster) selecting(pod *corev1.Pod, direction networkingv1.PolicyType) ([]*networkingv1.NetworkPolicy, error) {
	var selecting []*networkingv1.NetworkPolicy
	for _, policy := range c.policies {
		if policy.Namespace != pod.Namespace || !slices.Contains(policy.Spec.PolicyTypes, direction) { // the API server fills the types in
			continue
		}
		matches, err := selects(&policy.Spec.PodSelector, pod.Labels)
		if err != nil {
			return nil, fmt.Errorf("read the policy %s/%s: %w", policy.Namespace, policy.Name, err)
		}
		if matches {
			selecting = append(selecting, policy)
		}
	}
	slices.SortFunc(selecting, func(a, b *networkingv1.NetworkPolicy) int { return cmp.Compare(a.Name, b.Name) })
	return selecting, nil
}

// allowed are the matches of the far end and of the port that a policy lets a pod have.
func (c cluster) allowed(pods []*corev1.Pod, pod *corev1.Pod, policy *networkingv1.NetworkPolicy, direction networkingv1.PolicyType) ([]string, error) {
	var matches []string
	add := func(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, far string) error {
		ends, err := c.ends(pods, policy.Namespace, peers)
		if err != nil {
			return fmt.Errorf("read the policy %s/%s: %w", policy.Namespace, policy.Name, err)
		}
		for _, end := range ends {
			server := pod // whose names of ports count
			if direction == networkingv1.PolicyTypeEgress {
				server = end.pod
			}
			for _, port := range portMatches(ports, server) {
				matches = append(matches, far+end.prefix+port)
			}
		}
		return nil
	}
	if direction == networkingv1.PolicyTypeEgress {
		for _, rule := range policy.Spec.Egress {
			if err := add(rule.To, rule.Ports, " -d "); err != nil {
				return nil, err
			}
		}
		return matches, nil
	}
	for _, rule := range policy.Spec.Ingress {
		if err := add(rule.From, rule.Ports, " -s "); err != nil {
			return nil, err
		}
	}
	return matches, nil
}

// end is one far end: addresses, and the pod that has them where it is one.
type end struct {
	prefix string
	pod    *corev1.Pod
}

// ends lists the far ends that peers name. No peers are everybody.
func (c cluster) ends(pods []*corev1.Pod, namespace string, peers []networkingv1.NetworkPolicyPeer) ([]end, error) {
	if len(peers) == 0 {
		return []end{{prefix: "0.0.0.0/0"}}, nil
	}
	var ends []end
	for _, peer := range peers {
		if peer.IPBlock != nil {
			prefixes, err := blockPrefixes(peer.IPBlock)
			if err != nil {
				return nil, err
			}
			for _, prefix := range prefixes {
				ends = append(ends, end{prefix: prefix.String()})
			}
			continue
		}
		for _, pod := range pods {
			matches, err := c.isPeer(pod, namespace, peer)
			if err != nil {
				return nil, err
			}
			if matches {
				ends = append(ends, end{prefix: pod.Status.PodIP + "/32", pod: pod})
			}
		}
	}
	return ends, nil
}

func (c cluster) isPeer(pod *corev1.Pod, namespace string, peer networkingv1.NetworkPolicyPeer) (bool, error) {
	if peer.NamespaceSelector == nil {
		if pod.Namespace != namespace {
			return false, nil
		}
	} else {
		home := c.namespaces[pod.Namespace]
		if home == nil {
			return false, nil
		}
		if matches, err := selects(peer.NamespaceSelector, home.Labels); err != nil || !matches {
			return false, err
		}
	}
	if peer.PodSelector == nil {
		return true, nil
	}
	return selects(peer.PodSelector, pod.Labels)
}

func selects(selector *metav1.LabelSelector, of map[string]string) (bool, error) {
	compiled, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return false, err
	}
	return compiled.Matches(labels.Set(of)), nil
}

// blockPrefixes are the addresses of a block without its exceptions; none where it is one of IPv6.
func blockPrefixes(block *networkingv1.IPBlock) ([]netip.Prefix, error) {
	whole, err := netip.ParsePrefix(block.CIDR)
	if err != nil {
		return nil, err
	}
	if !whole.Addr().Is4() {
		return nil, nil
	}
	left := []netip.Prefix{whole.Masked()}
	for _, text := range block.Except {
		except, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		var next []netip.Prefix
		for _, prefix := range left {
			next = append(next, without(prefix, except)...)
		}
		left = next
	}
	return left, nil
}

// without takes an exception out of a prefix: it halves the prefix until each part is in or out.
func without(prefix, except netip.Prefix) []netip.Prefix {
	switch {
	case !prefix.Overlaps(except):
		return []netip.Prefix{prefix}
	case except.Bits() <= prefix.Bits():
		return nil
	}
	lower := netip.PrefixFrom(prefix.Addr(), prefix.Bits()+1)
	bytes := prefix.Addr().As4()
	bytes[prefix.Bits()/8] |= 1 << (7 - prefix.Bits()%8)
	upper := netip.PrefixFrom(netip.AddrFrom4(bytes), prefix.Bits()+1)
	return append(without(lower, except), without(upper, except)...)
}

// portMatches match the ports of a rule at the server's end. No ports are all of every protocol. A name that the server does not
// have, or that nobody can look up because the far end is no pod, matches nothing.
func portMatches(ports []networkingv1.NetworkPolicyPort, server *corev1.Pod) []string {
	if len(ports) == 0 {
		return []string{""}
	}
	var matches []string
	for _, port := range ports {
		protocol := corev1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		match := " -p " + strings.ToLower(string(protocol))
		switch {
		case port.Port == nil:
		case port.Port.Type == intstr.String:
			number := namedPort(server, port.Port.StrVal, protocol)
			if number == 0 {
				continue
			}
			match += fmt.Sprintf(" --dport %d", number)
		case port.EndPort != nil:
			match += fmt.Sprintf(" --dport %d:%d", port.Port.IntVal, *port.EndPort)
		default:
			match += fmt.Sprintf(" --dport %d", port.Port.IntVal)
		}
		matches = append(matches, match)
	}
	return matches
}

func namedPort(pod *corev1.Pod, name string, protocol corev1.Protocol) int32 {
	if pod == nil {
		return 0
	}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == name && cmp.Or(port.Protocol, corev1.ProtocolTCP) == protocol {
				return port.ContainerPort
			}
		}
	}
	return 0
}
