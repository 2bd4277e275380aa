package cli

import (
	"fmt"
	"net/netip"

	"github.com/spf13/pflag"
)

// thisMachine is where a person who tries things out has endpoints.
const thisMachine = "127.0.0.0/8,::1/128"

// addWebhookNetworks adds the flag that lets webhooks be posted where only we can reach.
func addWebhookNetworks(f *pflag.FlagSet, networks *[]string) {
	f.StringSliceVar(networks, webhookNetworksFlag, nil,
		"networks that are not public and that channels of type Webhook may post to, such as 10.20.0.0/16, separated by commas (default: none)")
}

// addListenNetworks adds the flag that lets sources be read where only we can reach.
func addListenNetworks(f *pflag.FlagSet, networks *[]string, usual []string) {
	f.StringSliceVar(networks, listenNetworksFlag, usual,
		"networks that are not public and that SocialSources may lead to, such as 10.20.0.0/16, separated by commas (repeatable)")
}

// The flags of networks.
const (
	webhookNetworksFlag = "webhook-networks"
	listenNetworksFlag  = "listen-allow-network"
)

// parseNetworks reads what a flag says.
func parseNetworks(flag string, texts []string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range texts {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("--%s: %q is no network: write it as 10.20.0.0/16", flag, text)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}
