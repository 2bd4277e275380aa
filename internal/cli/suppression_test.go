package cli

import (
	"strings"
	"testing"
)

func TestSuppression(t *testing.T) {
	s := newShop(t)
	run := func(args ...string) (out, told string) {
		t.Helper()
		out, told, err := s.run(append(args, "--kubeconfig", s.kubeconfig)...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out, told
	}
	if _, told := run("suppress", "Ana@example.com", "luis@example.com", "--purpose", "newsletter", "--expires", "90d"); !strings.Contains(told, "2 of 2") {
		t.Errorf("suppress: %s", told)
	}
	if _, told := run("suppression", "add", "eva@example.com", "--reason", "unsubscribed"); !strings.Contains(told, "1 of 1") {
		t.Errorf("add: %s", told)
	}
	out, _ := run("suppression", "list")
	for _, want := range []string{"(anything)   unsubscribed   1           0", "newsletter   manual         2           2"} {
		if !strings.Contains(out, want) {
			t.Errorf("list lacks %q:\n%s", want, out)
		}
	}
	out, _ = run("suppression", "list", "ana@example.com", "nobody@example.com")
	if !strings.Contains(out, "ana@example.com   newsletter   manual") || strings.Contains(out, "nobody@") {
		t.Errorf("list ana:\n%s", out)
	}
	if _, told := run("suppression", "remove", "ana@example.com", "--purpose", "newsletter"); !strings.Contains(told, "1 suppressions are ended") {
		t.Errorf("remove: %s", told)
	}
	if _, told := run("suppression", "remove", "eva@example.com"); !strings.Contains(told, "1 stay") {
		t.Errorf("remove what its holder asked for: %s", told)
	}
	_, told, err := s.run("suppress", "ana@example.com", "ana at home", "--kubeconfig", s.kubeconfig)
	if err == nil || !strings.Contains(err.Error(), "addresses[1]") || strings.Contains(err.Error()+told, "ana at home") {
		t.Errorf("an address that is none: %v, %s", err, told)
	}
}

func TestReadAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		args []string
		want string
	}{
		"arguments": {"x@example.com", []string{"a@example.com"}, "a@example.com"},
		"lines":     {" a@example.com \r\n\nb@example.com", nil, "a@example.com b@example.com"},
		"nothing":   {"\n\n", nil, "error: name addresses"},
		"a binary":  {"a@example.com\n" + strings.Repeat("x", 5000), nil, "error: read addresses, after 1 of them"},
	} {
		got, err := readAddresses(strings.NewReader(c.in), c.args)
		told := strings.Join(got, " ")
		if err != nil {
			told = "error: " + err.Error()
		}
		if !strings.HasPrefix(told, c.want) {
			t.Errorf("%s: got %q, want %q", name, told, c.want)
		}
	}
}
