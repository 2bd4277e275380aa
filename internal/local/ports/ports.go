// Package ports finds ports of this machine's loopback interface for servers of our own.
package ports

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Free finds n ports of 127.0.0.1 that nobody listens on. They are not reserved: between this and their use another process
// could take one, and the server's start then fails and says so.
func Free(n int) ([]int, error) {
	var ports []int
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer listener.Close() //nolint:errcheck // held until all are found, so that they differ
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// Remembered returns the port noted in a file if it is free, so that what people have open goes on working after a restart;
// else any free one, which it notes.
func Remembered(file string) (int, error) {
	if noted, err := os.ReadFile(file); err == nil { //nolint:gosec // our own file
		if port, err := strconv.Atoi(strings.TrimSpace(string(noted))); err == nil && isFree(port) {
			return port, nil
		}
	}
	free, err := Free(1)
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return 0, fmt.Errorf("note a port: %w", err)
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(free[0])+"\n"), 0o600); err != nil {
		return 0, fmt.Errorf("note a port: %w", err)
	}
	return free[0], nil
}

func isFree(port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}
