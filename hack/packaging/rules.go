package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

// rules are what the operator may do, apart by where it must be allowed, and what people may be allowed.
type rules struct {
	// everywhere are all those for tenants in every namespace: cluster and tenants, in the order in which config/rbac has them.
	everywhere []rbacv1.PolicyRule
	// cluster are for resources that no namespace has.
	cluster []rbacv1.PolicyRule
	// tenants are for the namespaces that the operator looks after.
	tenants []rbacv1.PolicyRule
	// own are for the operator's own namespace.
	own    []rbacv1.PolicyRule
	people []rbacv1.ClusterRole
}

// clusterScoped are the API groups, of those that the operator uses, whose resources no namespace has. A namespace itself
// is not among them: a Role in it is enough to read it.
var clusterScoped = []string{"authentication.k8s.io", "authorization.k8s.io", "apiextensions.k8s.io"}

// readRules reads the ClusterRole and the Role that controller-gen made from the markers in the code.
func readRules(file string) (*rules, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := &rules{}
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		var role rbacv1.ClusterRole // a Role has the same fields
		if err := sigsyaml.UnmarshalStrict(document, &role); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if err := r.take(role); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
}

func (r *rules) take(role rbacv1.ClusterRole) error {
	switch role.Kind {
	case "Role":
		r.own = append(r.own, role.Rules...)
	case "ClusterRole":
		r.everywhere = append(r.everywhere, role.Rules...)
		for _, rule := range role.Rules {
			outside := 0
			for _, group := range rule.APIGroups {
				if slices.Contains(clusterScoped, group) {
					outside++
				}
			}
			switch outside {
			case 0:
				r.tenants = append(r.tenants, rule)
			case len(rule.APIGroups):
				r.cluster = append(r.cluster, rule)
			default:
				return fmt.Errorf("the rule for %v is partly for namespaces: write its markers apart", rule.Resources)
			}
		}
	}
	return nil
}

// planPeople are the roles that people may be given over our kinds. Each is added to the role of Kubernetes that says as much
// of its own kinds, so that who may edit a namespace may edit its campaigns. A tenant is made by those who administer
// the namespace: it names the database.
func planPeople(kinds []kind) []rbacv1.ClusterRole {
	const group = "crm.tertulia.dev"
	var all, edited []string
	for _, k := range kinds {
		all = append(all, k.plural)
		if k.plural != "crmtenants" {
			edited = append(edited, k.plural)
		}
	}
	rule := func(resources []string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
	}
	read := rule(all, "get", "list", "watch")
	write := []string{"create", "delete", "deletecollection", "patch", "update"}
	role := func(of string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
		return rbacv1.ClusterRole{
			TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
			ObjectMeta: metav1.ObjectMeta{
				Name:   "tertulia-" + of,
				Labels: map[string]string{"rbac.authorization.k8s.io/aggregate-to-" + of: "true"},
			},
			Rules: rules,
		}
	}
	return []rbacv1.ClusterRole{
		role("view", read), role("edit", read, rule(edited, write...)), role("admin", read, rule(all, write...)),
	}
}

// template is the rules as the chart's templates include them.
func (r *rules) template() ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("{{- /* Written by hack/packaging from config/rbac/role.yaml and config/crd: run make generate. */ -}}\n")
	named := []struct {
		name  string
		rules []rbacv1.PolicyRule
	}{{"everywhere", r.everywhere}, {"cluster", r.cluster}, {"tenants", r.tenants}, {"own", r.own}}
	for _, role := range r.people {
		named = append(named, struct {
			name  string
			rules []rbacv1.PolicyRule
		}{role.Name[len("tertulia-"):], role.Rules})
	}
	for _, n := range named {
		text, err := sigsyaml.Marshal(n.rules)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "\n{{- define \"tertulia.rules.%s\" -}}\n%s{{- end }}\n", n.name, text)
	}
	return out.Bytes(), nil
}

// manifest is the roles of people as a kustomize base has them.
func (r *rules) manifest() ([]byte, error) {
	out := bytes.NewBufferString("# Written by hack/packaging from config/crd: run make generate.\n")
	for _, role := range r.people {
		text, err := sigsyaml.Marshal(role)
		if err != nil {
			return nil, err
		}
		out.WriteString("---\n")
		out.Write(text)
	}
	return out.Bytes(), nil
}
