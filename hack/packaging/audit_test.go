package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
)

// request is what the audit says of one: the parts of an audit.k8s.io/v1 Event that tell who asked for what.
type request struct {
	Verb      string
	User      struct{ Username string }
	ObjectRef struct {
		APIGroup, Resource, Subresource, Namespace, Name string
	}
	RequestURI     string
	ResponseStatus struct{ Code int }
	Annotations    map[string]string
}

// String implements fmt.Stringer.
func (r request) String() string {
	return fmt.Sprintf("%s %s: %d %s", r.Verb, r.RequestURI, r.ResponseStatus.Code, r.Annotations["authorization.k8s.io/reason"])
}

// forbidden tells that no role allows the request. (Admission answers 403 as well, as in a namespace that ends.)
func (r request) forbidden() bool { return r.Annotations["authorization.k8s.io/decision"] == "forbid" }

// needs tells whether the request needs a verb. An apply that makes its object is authorised as a creation as well, within
// the same request.
func (r request) needs(verb string) bool {
	return r.Verb == verb || verb == "create" && r.Verb == "patch" && r.ResponseStatus.Code == http.StatusCreated
}

func (r request) resource() string {
	if r.ObjectRef.Subresource != "" {
		return r.ObjectRef.Resource + "/" + r.ObjectRef.Subresource
	}
	return r.ObjectRef.Resource
}

// requests are those that an account has made.
func (c *cluster) requests(account string) []request {
	c.t.Helper()
	f, err := os.Open(c.audit)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var found []request
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			continue // the last line may be half written
		}
		if r.User.Username == account {
			found = append(found, r)
		}
	}
	if err := lines.Err(); err != nil {
		c.t.Fatal(err)
	}
	return found
}

// grant is the least that a rule says: one verb on one resource.
type grant struct {
	group, resource, verb string
	names                 string
}

// String implements fmt.Stringer.
func (g grant) String() string {
	text := g.verb + " " + g.resource
	if g.group != "" {
		text += "." + g.group
	}
	if g.names != "" {
		text += " " + g.names
	}
	return text
}

// grants takes rules apart.
func grants(rules []rbacv1.PolicyRule) []grant {
	var all []grant
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					g := grant{group: group, resource: resource, verb: verb}
					if len(rule.ResourceNames) > 0 {
						g.names = fmt.Sprint(rule.ResourceNames)
					}
					all = append(all, g)
				}
			}
		}
	}
	return all
}

// unused are the grants that no request needed, in some namespaces or, for nil, anywhere.
func unused(rules []rbacv1.PolicyRule, namespaces []string, requests []request) []string {
	var idle []string
	for _, g := range grants(rules) {
		used := slices.ContainsFunc(requests, func(r request) bool {
			return r.ObjectRef.APIGroup == g.group && r.resource() == g.resource && r.needs(g.verb) &&
				(g.names == "" || g.names == fmt.Sprint([]string{r.ObjectRef.Name})) &&
				(namespaces == nil || slices.Contains(namespaces, r.ObjectRef.Namespace))
		})
		if !used {
			idle = append(idle, g.String())
		}
	}
	slices.Sort(idle)
	return slices.Compact(idle)
}
