package conversation

import (
	"encoding/json"
	"net/http"
	"time"
)

// maxProfiles is how many accounts one request may ask for, as on the network.
const maxProfiles = 25

// profile is what everybody may know of an account.
type profile struct {
	DID         string `json:"did"`
	Handle      string `json:"handle"`
	DisplayName string `json:"displayName"`
	Followers   int    `json:"followersCount"`
	CreatedAt   string `json:"createdAt"`
}

// accounts are all by their identifiers.
var accounts = func() map[string]*Person {
	all := map[string]*Person{theShop.DID: theShop}
	for i := range people {
		all[people[i].DID] = &people[i]
	}
	return all
}()

// serveProfiles answers app.bsky.actor.getProfiles. Who is unknown is left out.
func (c *Conversation) serveProfiles(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.Query()["actors"]
	if len(asked) == 0 || len(asked) > maxProfiles {
		http.Error(w, `{"error":"InvalidRequest","message":"actors: from 1 to 25"}`, http.StatusBadRequest)
		return
	}
	var answer struct {
		Profiles []profile `json:"profiles"`
	}
	answer.Profiles = []profile{}
	for _, did := range asked {
		if p := accounts[did]; p != nil {
			answer.Profiles = append(answer.Profiles, profile{
				DID: p.DID, Handle: p.Handle, DisplayName: p.Name, Followers: p.Followers, CreatedAt: p.Since.Format(time.RFC3339),
			})
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the client may be gone
}
