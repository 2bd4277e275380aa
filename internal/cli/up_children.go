package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tertulia-crm/tertulia/internal/local/ports"
	"github.com/tertulia-crm/tertulia/internal/local/supervise"
)

// Bounds on the children's start and end.
const (
	childReadyTimeout = time.Minute
	// childGrace is more than a worker gives to the messages that it has handed over.
	childGrace = 30 * time.Second
)

// child is one of our own commands, run as a process.
type child struct {
	name   string
	args   []string
	env    []string
	health string // URL
}

// startChildren runs operator, server and workers as a cluster would: separate processes that share nothing but the database,
// the API server and the tenants' directory.
func (u *up) startChildren(ctx context.Context) error {
	if err := os.MkdirAll(u.path("tenants"), 0o700); err != nil {
		return fmt.Errorf("make the tenants' directory: %w", err)
	}
	children, err := u.planChildren()
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program, to start it as operator, server and worker: %w", err)
	}
	starting, ctx := errgroup.WithContext(ctx)
	for _, c := range children {
		process, err := supervise.Start(ctx, supervise.Command{
			Name: c.name, Path: program, Args: c.args, Env: c.env, Grace: childGrace,
			Log: u.path("logs", c.name+".log"), PIDFile: u.path("run", c.name+".pid"),
		})
		if err != nil {
			starting.Go(func() error { return err })
			break
		}
		starting.Go(func() error {
			if err := process.AwaitReady(ctx, childReadyTimeout, supervise.Healthy(c.health)); err != nil {
				return errors.Join(err, process.Stop(ctx))
			}
			u.say("%s ready", c.name)
			u.mu.Lock()
			defer u.mu.Unlock()
			u.children = append(u.children, supervise.Keep(process, u.log))
			return nil
		})
	}
	return starting.Wait()
}

// stopChildren ends operator, server and workers together: none of them needs another.
func (u *up) stopChildren(ctx context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	var stopping errgroup.Group
	for _, c := range u.children {
		stopping.Go(func() error { return c.Stop(ctx) })
	}
	return stopping.Wait()
}

// planChildren says how each command is called. Health endpoints get free ports: nobody but us asks them.
func (u *up) planChildren() ([]child, error) {
	healthPorts, err := ports.Free(4 + 2*u.options.workers)
	if err != nil {
		return nil, err
	}
	next := func() string {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(healthPorts[0]))
		healthPorts = healthPorts[1:]
		return address
	}
	operatorHealth, operatorMetrics, serverHealth, serverMetrics := next(), next(), next(), next()
	children := []child{
		{
			name: "operator", health: "http://" + operatorHealth + "/readyz",
			// Everybody on the machine can read a process's arguments, so the password is not among them.
			env: []string{databaseURLVariable + "=" + u.adminURL},
			args: []string{
				"operator", "--kubeconfig", u.plane.Kubeconfig(), "--tenants", u.path("tenants"),
				"--server-url", u.serverURL(), "--health-listen", operatorHealth, "--metrics-listen", operatorMetrics,
			},
		},
		{
			name: "server", health: "http://" + serverHealth + "/livez",
			args: []string{
				"server", "--listen", u.options.listen, "--tenants", u.path("tenants"),
				"--health-listen", serverHealth, "--metrics-listen", serverMetrics,
				"--drain-delay", "0s", // nobody balances load
				"--" + listenNetworksFlag, strings.Join(u.options.networks, ","),
			},
		},
	}
	for i := range u.options.workers {
		health, metrics := next(), next()
		children = append(children, child{
			name: fmt.Sprintf("worker-%d", i+1), health: "http://" + health + "/livez",
			args: []string{
				"worker", "--tenants", u.path("tenants"), "--health-listen", health, "--metrics-listen", metrics,
				"--" + webhookNetworksFlag, thisMachine, "--" + listenNetworksFlag, strings.Join(u.options.networks, ","),
			},
		})
	}
	return children, nil
}

func (u *up) serverURL() string { return "http://" + reachable(u.options.listen) }

// workerCommand is what a person types to start a worker beside this `up`.
func (u *up) workerCommand() string {
	program, err := os.Executable()
	if err != nil {
		program = "tertulia"
	}
	return strings.Join([]string{quote(program), "worker", "--tenants", quote(u.path("tenants"))}, " ")
}

// quote makes a word safe for a shell, where that is needed.
func quote(word string) string {
	plain := strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+=,") == ""
	if plain && word != "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
