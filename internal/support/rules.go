package support

// expressionKeys are the fields of a rule or a queue that hold expressions.
var expressionKeys = []string{"when", "exit", "if", "expression", "tickets"}

// maskRule takes from the expressions of a rule or a queue the values that contacts and events are compared with, from what it sets the values,
// and the names of agents. It returns what it has taken.
func maskRule(spec any) (literals []string) {
	switch v := spec.(type) {
	case []any:
		for _, item := range v {
			literals = append(literals, maskRule(item)...)
		}
	case map[string]any:
		for _, key := range expressionKeys {
			if expression, ok := v[key].(string); ok {
				masked, found := maskLiterals(expression)
				v[key] = masked
				literals = append(literals, found...)
			}
		}
		if value, ok := v["value"].(string); ok {
			v["value"] = "[text]"
			literals = append(literals, value)
		}
		literals = append(literals, maskAgents(v)...)
		for _, item := range v {
			literals = append(literals, maskRule(item)...)
		}
	}
	return literals
}

// maskAgents takes the names of agents from a step of a rule, a step of an escalation or a routing.
func maskAgents(fields map[string]any) (names []string) {
	mask := func(fields map[string]any, key string) {
		if name, ok := fields[key].(string); ok {
			fields[key] = "[agent]"
			names = append(names, name)
		}
	}
	mask(fields, "assign") // of an escalation
	if step, ok := fields["assign"].(map[string]any); ok {
		mask(step, "to")
	}
	agents, _ := fields["agents"].([]any)
	for _, a := range agents {
		if agent, ok := a.(map[string]any); ok {
			mask(agent, "name")
		}
	}
	return names
}
