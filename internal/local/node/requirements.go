package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Packages are Debian's packages of the programs that a node needs.
var Packages = []string{"containerd", "runc", "containernetworking-plugins", "iptables", "conntrack", "iproute2", "util-linux"}

// ErrNotInstalled says that this machine lacks programs that a node needs.
var ErrNotInstalled = errors.New("a node needs programs that are not installed (on Debian: apt-get install " + strings.Join(Packages, " ") + ")")

// plugins is where Debian's package puts the programs that give pods their networks.
const plugins = "/usr/lib/cni"

// Check says what keeps this machine from running a node: nil when nothing does.
func Check() error {
	if os.Geteuid() != 0 {
		return errors.New("a node needs root: it makes network namespaces, mounts and control groups")
	}
	var missing []string
	for _, program := range []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc", "iptables-restore", "conntrack", "ip", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	for _, plugin := range []string{"ptp", "host-local", "loopback"} {
		if _, err := os.Stat(plugins + "/" + plugin); err != nil {
			missing = append(missing, plugins+"/"+plugin)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %s", ErrNotInstalled, strings.Join(missing, ", "))
	}
	return nil
}
