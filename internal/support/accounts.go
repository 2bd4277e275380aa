package support

// Accounts that are looked for should be those of organisations. Whether they are nobody but their author knows, so that none of them
// leaves.

// accountKeys are the fields of terms and of monitors that name accounts.
var accountKeys = []string{"account", "author", "accounts"}

// accountsOf are the accounts that a spec names, wherever in it.
func accountsOf(spec any) []string {
	var found []string
	visitAccounts(spec, func(account string) any {
		found = append(found, account)
		return account
	})
	return found
}

// maskAccounts takes them out.
func maskAccounts(spec any) { visitAccounts(spec, func(string) any { return "[account]" }) }

// visitAccounts replaces each account.
func visitAccounts(value any, by func(account string) any) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			visitAccounts(item, by)
		}
	case map[string]any:
		for _, key := range accountKeys {
			switch named := v[key].(type) {
			case string:
				v[key] = by(named)
			case []any:
				for i, item := range named {
					if account, ok := item.(string); ok {
						named[i] = by(account)
					}
				}
			}
		}
		for _, item := range v {
			visitAccounts(item, by)
		}
	}
}
