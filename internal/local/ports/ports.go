// Package ports finds ports of this machine's loopback interface for servers of our own.
package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The ports that are given out lie below those that systems give to whoever asks for any (from 32768 on Linux, from 49152
// elsewhere), so that no connection takes one between its being found and its use, and below Kubernetes' node ports.
const (
	lowest  = 15000
	highest = 29999
	// attempts bounds the search: with most of the ports free, a handful finds one.
	attempts = 1000
)

// Free finds n ports of 127.0.0.1 that nobody listens on. Until this process ends no other call gives them out, in this
// process or in another of the same user: who starts several servers at once gives each its own.
func Free(n int) ([]int, error) {
	var ports []int
	for range attempts {
		if len(ports) == n {
			return ports, nil
		}
		port := lowest + rand.IntN(highest-lowest+1) //nolint:gosec // any will do
		free, err := reserve(port)
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		if free {
			ports = append(ports, port)
		}
	}
	return nil, fmt.Errorf("find %d free ports between %d and %d: none of %d tried was free", n, lowest, highest, attempts)
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

// reserve says whether a port is free and nobody was given it, and keeps it for this process if so.
func reserve(port int) (bool, error) {
	switch err := reservations.take(port); {
	case errors.Is(err, errTaken):
		return false, nil
	case err != nil:
		return false, err
	}
	return isFree(port), nil
}

func isFree(port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}
