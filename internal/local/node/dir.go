package node

import (
	"fmt"
	"path/filepath"
)

// dir is a node's data directory.
type dir string

func (d dir) path(names ...string) string {
	return filepath.Join(append([]string{string(d)}, names...)...)
}

func (d dir) socket() string       { return d.path("containerd", "containerd.sock") }
func (d dir) controlPlane() string { return d.path("controlplane") }
func (d dir) pids() string         { return d.path("run") }
func (d dir) logs() string         { return d.path("logs") }

// longestSocket is what a path of a socket may have at most, in bytes (unix(7)).
const longestSocket = 107

func (d dir) check() error {
	if long := len(d.socket()); long > longestSocket {
		return fmt.Errorf("the data directory %s has too long a path for a socket in it: %d bytes too many", d, long-longestSocket)
	}
	return nil
}
