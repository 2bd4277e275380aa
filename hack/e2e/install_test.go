package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// TestEverythingThatIsDeclaredIsWaitedFor compares the kinds that are waited for with the manifests of the example.
func TestEverythingThatIsDeclaredIsWaitedFor(t *testing.T) {
	waited := map[string]bool{}
	for _, list := range standing() {
		waited[strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%T", list), "*v1alpha1."), "List")] = true
	}
	declares := regexp.MustCompile(`(?m)^apiVersion: ` + regexp.QuoteMeta(v1alpha1.GroupVersion.String()) + `\nkind: (\w+)`)
	declared := map[string]bool{}
	for _, folder := range []string{"../../examples/velo/crm", "../../examples/velo/listening"} {
		err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".yaml" {
				return err
			}
			text, err := os.ReadFile(path)
			for _, kind := range declares.FindAllStringSubmatch(string(text), -1) {
				declared[kind[1]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(declared) < 8 {
		t.Errorf("only %v are declared", declared)
	}
	for kind := range declared {
		if !waited[kind] {
			t.Errorf("the example declares a %s, for which nobody waits", kind)
		}
	}
}
