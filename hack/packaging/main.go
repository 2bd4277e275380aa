// Command packaging makes the generated parts of the two packagings, charts/tertulia and config/, from what controller-gen
// wrote: the chart's copies of the kinds and of the operator's rules, the roles of people in both, and the chart's copies of
// the alerts. So each stands in one place, rules beside the code that needs them.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	config := flag.String("config", "config", "directory of the kustomize bases, with crd/ and rbac/role.yaml in it")
	chart := flag.String("chart", "charts/tertulia", "directory of the chart")
	flag.Parse()
	if err := run(*config, *chart); err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

func run(config, chart string) error {
	kinds, err := readKinds(filepath.Join(config, "crd"))
	if err != nil {
		return err
	}
	rules, err := readRules(filepath.Join(config, "rbac", "role.yaml"))
	if err != nil {
		return err
	}
	rules.people = planPeople(kinds)
	for _, file := range kinds {
		template, err := chartCRD(file.content)
		if err != nil {
			return fmt.Errorf("%s: %w", file.name, err)
		}
		if err := write(filepath.Join(chart, "templates", "crds", file.name), template); err != nil {
			return err
		}
	}
	if err := write(filepath.Join(config, "crd", "kustomization.yaml"), kustomization(kinds)); err != nil {
		return err
	}
	template, err := rules.template()
	if err != nil {
		return err
	}
	if err := write(filepath.Join(chart, "templates", "_rules.tpl"), template); err != nil {
		return err
	}
	people, err := rules.manifest()
	if err != nil {
		return err
	}
	if err := write(filepath.Join(config, "rbac", "people.yaml"), people); err != nil {
		return err
	}
	return copyAlerts(filepath.Join(config, "monitoring", "rules"), filepath.Join(chart, "rules"))
}

// copyAlerts gives the chart, which reads no file beside it, copies of the alert rules.
func copyAlerts(from, to string) error {
	files, err := filepath.Glob(filepath.Join(from, "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := write(filepath.Join(to, filepath.Base(file)), content); err != nil {
			return err
		}
	}
	return nil
}

func write(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o644)
}
