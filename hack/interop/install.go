package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The network is installed from npm as of a day, so that what it depends on is the same every time.
const (
	networkRelease = "0.3.209"
	networkDay     = "2026-11-21"
)

//go:embed network/package.json
var networkPackage []byte

//go:embed network/network.js
var networkProgram []byte

// packages are Debian's, by a program that each brings.
var packages = []struct{ program, name string }{
	{"redis-server", "redis-server"}, {"nginx", "nginx-light"}, {"postfix", "postfix"}, {"dovecot", "dovecot-imapd"}, {"node", "nodejs"}, {"npm", "npm"},
}

// find looks for a program, also where only root's PATH leads.
func find(program string) bool {
	if _, err := exec.LookPath(program); err == nil {
		return true
	}
	_, err := os.Stat(filepath.Join("/usr/sbin", program))
	return err == nil
}

// ensurePackages installs what is missing of Debian's.
func ensurePackages(ctx context.Context) error {
	var missing []string
	for _, p := range packages {
		if !find(p.program) {
			missing = append(missing, p.name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("this machine lacks %s: install them", strings.Join(missing, ", "))
	}
	allow, err := keepFromStarting()
	if err != nil {
		return err
	}
	defer allow()
	began := time.Now()
	fmt.Fprintf(os.Stderr, "Installing %s from the distribution's packages …\n", strings.Join(missing, ", "))
	for _, args := range [][]string{{"update", "-q"}, append([]string{"install", "-q", "-y", "--no-install-recommends"}, missing...)} {
		command := exec.CommandContext(ctx, "apt-get", args...)
		command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
	}
	fmt.Fprintf(os.Stderr, "Installed in %s.\n", time.Since(began).Round(time.Second))
	return nil
}

// keepFromStarting tells Debian's packages not to start servers: ours run when and where they are wanted. What it returns allows it again.
func keepFromStarting() (allow func(), err error) {
	const policy = "/usr/sbin/policy-rc.d"
	file, err := os.OpenFile(policy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755) //nolint:gosec // it is run
	if errors.Is(err, fs.ErrExist) {
		return func() {}, nil // somebody has said already what may start
	}
	if err != nil {
		return nil, err
	}
	if _, err := file.WriteString("#!/bin/sh\nexit 101\n"); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(policy) }, file.Close()
}

// ensureNetwork installs Bluesky's servers from npm into the cache, and returns the folder from which they are run.
func ensureNetwork(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "tertulia", "bluesky-"+networkRelease+"-"+networkDay)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for name, content := range map[string][]byte{"package.json": networkPackage, "network.js": networkProgram} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil { //nolint:gosec // nothing secret
			return "", err
		}
	}
	complete := filepath.Join(dir, "complete")
	if _, err := os.Stat(complete); err == nil {
		return dir, nil
	}
	began := time.Now()
	fmt.Fprintln(os.Stderr, "Installing Bluesky's servers from npm (two minutes, once) …")
	command := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--before="+networkDay)
	command.Dir = dir
	// Its database is built here, with the headers that came with Node.js: where nothing but the registry is reached, neither can be downloaded.
	command.Env = append(os.Environ(), "npm_config_build_from_source=true")
	if headers := nodePrefix(ctx); headers != "" {
		command.Env = append(command.Env, "npm_config_nodedir="+headers)
	}
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm install: %w\n%s", err, out)
	}
	if out, err := checkNetwork(ctx, dir); err != nil {
		return "", fmt.Errorf("what npm installed does not run: %w\n%s", err, out)
	}
	fmt.Fprintf(os.Stderr, "Installed in %s.\n", time.Since(began).Round(time.Second))
	return dir, os.WriteFile(complete, nil, 0o644) //nolint:gosec // nothing secret
}

// checkNetwork tells whether what has to be compiled was.
func checkNetwork(ctx context.Context, dir string) ([]byte, error) {
	command := exec.CommandContext(ctx, "node", "-e", "new (require('better-sqlite3'))(':memory:'); require('@atproto/dev-env')")
	command.Dir = dir
	return command.CombinedOutput()
}

// nodePrefix is where the headers of Node.js are, or "".
func nodePrefix(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "node", "-p", "process.execPath").Output()
	if err != nil {
		return ""
	}
	prefix := filepath.Dir(filepath.Dir(strings.TrimSpace(string(out))))
	if _, err := os.Stat(filepath.Join(prefix, "include", "node", "node.h")); err != nil {
		return ""
	}
	return prefix
}
