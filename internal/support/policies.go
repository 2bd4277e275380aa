package support

import "github.com/tertulia-crm/tertulia/api/v1alpha1"

// describeRules is a SendPolicy without the literals of its rules and without what their author tells people.
func describeRules(described map[string]any, rules []v1alpha1.CampaignRule) map[string]any {
	var told []any
	var literals []string
	for _, rule := range rules {
		expression, masked := maskLiterals(rule.Expression)
		literals = append(literals, masked...)
		told = append(told, map[string]any{"name": rule.Name, "expression": expression, "message": digest(rule.Message)})
	}
	if spec, ok := described["spec"].(map[string]any); ok && told != nil {
		spec["rules"] = told
	}
	status, _ := described["status"].(map[string]any)
	if status == nil {
		return described
	}
	// A campaign in violation is told with the rule's message.
	for _, entry := range listOf(status["campaignsInViolation"]) {
		if violation, ok := entry.(map[string]any); ok {
			delete(violation, "message")
		}
	}
	described["status"] = replaceAll(status, literals)
	return described
}

func listOf(value any) []any {
	list, _ := value.([]any)
	return list
}

// describePurposes tells which purposes there are and on which basis, and not in which words people are asked.
func describePurposes(purposes []v1alpha1.ConsentPurpose) []any {
	described := make([]any, len(purposes))
	for i, p := range purposes {
		told := map[string]any{"name": string(p.Name), "basis": string(p.Basis), "doubleOptIn": p.DoubleOptIn}
		if p.Text != nil {
			told["textVersion"] = p.Text.Version
		}
		described[i] = told
	}
	return described
}
