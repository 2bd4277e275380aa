package crmtenant

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// The addresses of a link: cloud providers answer there with the credentials of a node to whoever asks from it. The last one
// is where Amazon does over IPv6.
var (
	linkLocal4 = []string{"169.254.0.0/16"}
	linkLocal6 = []string{"fe80::/10", "fd00:ec2::254/128"}
)

// nodeLocalDNS is where a cluster's cache of names answers on every node (NodeLocal DNSCache): a link's address that
// processes need, for names only.
const (
	nodeLocalDNS = "169.254.20.10/32"
	dnsPort      = 53
)

// planNetworkPolicy says who may reach a component's pods, and whom they may reach. Nothing comes in but what is named: HTTP
// at servers, scrapes where the platform says from. Probes come from the node, which is always let in. Out goes everything,
// to databases and relays wherever they are, but not to the addresses of a link. Pods are named beside addresses, because some networks
// do not take a pod's address for one of a block.
func planNetworkPolicy(object *v1alpha1.CRMTenant, w *Workloads, c component) *networkingac.NetworkPolicyApplyConfiguration {
	spec := networkingac.NetworkPolicySpec().WithPodSelector(selector(c)).
		WithPolicyTypes(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress).
		WithEgress(
			networkingac.NetworkPolicyEgressRule().WithTo(
				networkingac.NetworkPolicyPeer().WithIPBlock(networkingac.IPBlock().WithCIDR("0.0.0.0/0").WithExcept(linkLocal4...)),
				networkingac.NetworkPolicyPeer().WithIPBlock(networkingac.IPBlock().WithCIDR("::/0").WithExcept(linkLocal6...)),
				networkingac.NetworkPolicyPeer().WithNamespaceSelector(metaac.LabelSelector()),
			),
			networkingac.NetworkPolicyEgressRule().
				WithTo(networkingac.NetworkPolicyPeer().WithIPBlock(networkingac.IPBlock().WithCIDR(nodeLocalDNS))).
				WithPorts(portOf(corev1.ProtocolUDP, intstr.FromInt32(dnsPort)), portOf(corev1.ProtocolTCP, intstr.FromInt32(dnsPort))),
		)
	if c == servers {
		spec.WithIngress(networkingac.NetworkPolicyIngressRule().
			WithPorts(portOf(corev1.ProtocolTCP, intstr.FromString(httpName))).WithFrom(namespaces(w.HTTPFrom)...))
	}
	scrapers := namespaces(w.MetricsFrom)
	if len(scrapers) == 0 {
		scrapers = nowhere() // a rule without a peer would let everybody in
	}
	spec.WithIngress(networkingac.NetworkPolicyIngressRule().
		WithPorts(portOf(corev1.ProtocolTCP, intstr.FromString(metricsName))).WithFrom(scrapers...))
	return networkingac.NetworkPolicy(c.name(), object.Namespace).WithLabels(labels(object, c)).WithOwnerReferences(owner(object)).WithSpec(spec)
}

// namespaces are the pods of namespaces, by the label that the API server puts on each.
func namespaces(names []string) []*networkingac.NetworkPolicyPeerApplyConfiguration {
	if len(names) == 0 {
		return nil
	}
	named := metaac.LabelSelectorRequirement().WithKey(corev1.LabelMetadataName).WithOperator("In").WithValues(names...)
	return []*networkingac.NetworkPolicyPeerApplyConfiguration{
		networkingac.NetworkPolicyPeer().WithNamespaceSelector(metaac.LabelSelector().WithMatchExpressions(named)),
	}
}

// nowhere is a peer that no pod is: every namespace has this label. A rule that lets nobody in keeps the list of rules ours
// where it would be empty, so that one which somebody adds is taken away.
func nowhere() []*networkingac.NetworkPolicyPeerApplyConfiguration {
	nameless := metaac.LabelSelectorRequirement().WithKey(corev1.LabelMetadataName).WithOperator("DoesNotExist")
	return []*networkingac.NetworkPolicyPeerApplyConfiguration{
		networkingac.NetworkPolicyPeer().WithNamespaceSelector(metaac.LabelSelector().WithMatchExpressions(nameless)),
	}
}

func portOf(protocol corev1.Protocol, port intstr.IntOrString) *networkingac.NetworkPolicyPortApplyConfiguration {
	return networkingac.NetworkPolicyPort().WithProtocol(protocol).WithPort(port)
}
