package work

import "github.com/tertulia-crm/tertulia/internal/render"

// confirmURL is where a contact confirms what a mail asks; "" in a mail that asks nothing.
func (j *job) confirmURL(contactID int64) string {
	if !j.Terms.Asking {
		return ""
	}
	return j.Tenant.PublicURL + "/s/" + render.SignConfirm(j.LinkKey, j.ID, contactID, j.now().Add(j.Terms.ValidFor))
}
