package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/local/controlplane"
)

// A bridge with an address of this machine joins it to a network namespace in which the node and its pods are. Rules of
// netfilter, addresses, routes and forwarding of the node all live in there and go with it; the machine keeps its own.
//
//	this machine              │ network namespace "tertulia-node"
//	tertulia0 10.77.0.1 ── tertulia1 ══ eth0 10.77.0.2 ── a pair for each pod, 10.77.1.2 and up
const (
	namespace   = "tertulia-node"
	bridge      = "tertulia0"
	hostEnd     = "tertulia1"
	nodeEnd     = "eth0"
	prefix      = "/24"
	podRange    = "10.77.1.0/24"
	hostAddress = "10.77.0.1"
	nodeAddress = "10.77.0.2"
)

// Address is this machine's, where pods reach what runs beside the node: the API server, a database, a mail server.
const Address = hostAddress

// ourNetworks are all that the node uses.
var ourNetworks = []netip.Prefix{
	netip.MustParsePrefix(hostAddress + prefix).Masked(), netip.MustParsePrefix(podRange), netip.MustParsePrefix(controlplane.ServiceRange),
}

// createNetwork makes the bridge, the namespace and the routes between them.
func createNetwork(ctx context.Context) error {
	if err := networksAreFree(); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"link", "add", bridge, "type", "bridge"},
		{"addr", "add", hostAddress + prefix, "dev", bridge},
		{"link", "set", bridge, "up"},
		{"netns", "add", namespace},
		{"link", "add", hostEnd, "type", "veth", "peer", "name", nodeEnd, "netns", namespace},
		{"link", "set", hostEnd, "master", bridge},
		{"link", "set", hostEnd, "up"},
		{"-n", namespace, "link", "set", "lo", "up"},
		{"-n", namespace, "addr", "add", nodeAddress + prefix, "dev", nodeEnd},
		{"-n", namespace, "link", "set", nodeEnd, "up"},
		{"route", "add", podRange, "via", nodeAddress, "dev", bridge},
		{"route", "add", controlplane.ServiceRange, "via", nodeAddress, "dev", bridge},
	} {
		if err := ip(ctx, args...); err != nil {
			return err
		}
	}
	if err := forwardInside(ctx); err != nil {
		return err
	}
	return addressIsLocal(ctx)
}

// forwardInside lets the namespace pass packets between pods and the bridge.
func forwardInside(ctx context.Context) error {
	out, err := inside(ctx, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward").CombinedOutput()
	if err != nil {
		return fmt.Errorf("let the node forward packets: %w: %s", err, out)
	}
	return nil
}

// networksAreFree keeps from hiding addresses that this machine uses for something else.
func networksAreFree() error {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Errorf("look for addresses in use: %w", err)
	}
	for _, address := range addresses {
		used, err := netip.ParsePrefix(address.String())
		if err != nil {
			continue
		}
		for _, ours := range ourNetworks {
			if used.Overlaps(ours) {
				return fmt.Errorf("a node needs the addresses %s, and this machine has %s", ours, used)
			}
		}
	}
	return nil
}

// addressIsLocal makes sure that what is sent to the bridge's address never leaves this machine.
func addressIsLocal(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "ip", "-json", "route", "get", hostAddress).Output()
	if err != nil {
		return fmt.Errorf("ask for the route to %s: %w", hostAddress, err)
	}
	var routes []struct{ Type, Dev string }
	if err := json.Unmarshal(out, &routes); err != nil {
		return fmt.Errorf("read the route to %s: %w", hostAddress, err)
	}
	if len(routes) != 1 || routes[0].Type != "local" {
		return fmt.Errorf("%s is not this machine's: %s", hostAddress, out)
	}
	return nil
}

// removeNetwork deletes what createNetwork made, or as much of it as there is.
func removeNetwork(ctx context.Context) error {
	var errs []error
	if _, err := net.InterfaceByName(bridge); err == nil {
		for _, ours := range ourNetworks {
			// A connection that outlived the bridge would look for its far end by the default route. Where the kernel cannot end
			// it, who holds it has closed it: this is for what a killed run left.
			_ = exec.CommandContext(ctx, "ss", "--kill", "dst", ours.String()).Run() //nolint:gosec // our own networks
		}
	}
	if _, err := os.Stat("/run/netns/" + namespace); err == nil {
		errs = append(errs, ip(ctx, "netns", "delete", namespace))
	}
	for _, link := range []string{hostEnd, bridge} {
		if _, err := net.InterfaceByName(link); err == nil {
			errs = append(errs, ip(ctx, "link", "delete", link))
		}
	}
	return errors.Join(errs...)
}

func ip(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	// The pair's end on this machine goes with the namespace, and that may be while we ask.
	if err != nil && !strings.Contains(string(out), "Cannot find device") {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// insideArguments put a program into the node's network namespace, and leave it this machine's files: `ip netns exec` would
// hide the control groups.
func insideArguments(program string, args ...string) []string {
	return append([]string{"--net=/run/netns/" + namespace, "--", program}, args...)
}

func inside(ctx context.Context, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", insideArguments(program, args...)...) //nolint:gosec // fixed arguments
}
