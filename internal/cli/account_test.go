package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAccount(t *testing.T) {
	s := newShop(t)
	run := func(args ...string) string {
		t.Helper()
		out, told, err := s.run(append(args, "--kubeconfig", s.kubeconfig)...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out + told
	}
	wants := func(out string, wanted ...string) {
		t.Helper()
		for _, want := range wanted {
			if !strings.Contains(out, want) {
				t.Errorf("lacks %q:\n%s", want, out)
			}
		}
	}
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("accounts.csv", "external_id,name,domain\nA1,Acme,acme.example\nA2,Bolt,bolt\n")
	wants(run("import", "accounts", file, "--source", "crm"), "1 created", "1 rejected")
	rejected, err := os.ReadFile(strings.TrimSuffix(file, ".csv") + ".rejected.csv")
	if err != nil || !strings.Contains(string(rejected), "3,\"domain: is no domain, such as acme.example\",A2,Bolt,bolt") {
		t.Errorf("rejected: %s, %v", rejected, err)
	}
	run("import", "contacts", write("contacts.csv", "external_id,account,account_role\nP1,A1,buyer\nP2,,\n"), "--source", "crm")
	var list []accountInfo
	if err := json.Unmarshal([]byte(run("account", "list", "--output", "json")), &list); err != nil || len(list) != 1 {
		t.Fatalf("listed: %+v, %v", list, err)
	}
	acme := list[0].ID
	wants(run("account", "list", "--name", "acm"), acme+"  Acme  acme.example, A1")
	wants(run("account", "show", acme), "Account "+acme, "external:crm A1, by crm", "contacts     1")
	var first, second string
	row := s.db.Pool.QueryRow(context.Background(), "select min(public_id::text) filter (where id = 1), min(public_id::text) filter (where id = 2) from contact")
	if err := row.Scan(&first, &second); err != nil {
		t.Fatal(err)
	}
	wants(run("account", "contacts", acme), first+"  buyer; primary; by crm")
	wants(run("contact", "show", first), acme+"  Acme; buyer; primary; by crm")
	wants(run("account", "add", acme, second, "--role", "owner", "--by", "eva"), "whatever sources say")
	run("account", "remove", acme, first, "--by", "eva")
	if out := run("account", "contacts", acme); strings.Contains(out, first) || !strings.Contains(out, second+"  owner; primary; decided") {
		t.Errorf("who belongs to it: %s", out)
	}
	run("account", "delete", acme)
	if _, _, err := s.run("account", "show", acme, "--kubeconfig", s.kubeconfig); err == nil || !strings.Contains(err.Error(), "No account has this id") {
		t.Errorf("show what is erased: %v", err)
	}
}
