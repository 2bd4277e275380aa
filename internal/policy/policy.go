// Package policy decides what sends may do: on which legal basis a purpose is written for, how often and when people are
// written to, and which rules a campaign must satisfy. All of it is pure.
package policy

import (
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// Basis is the legal basis on which messages of a purpose are sent.
type Basis string

// The bases, as the GDPR's article 6 names them.
const (
	// Consent: only who has granted the purpose is written to. It is the basis of a purpose that no policy knows.
	Consent Basis = "Consent"
	// Contract: messages that fulfil a contract go without a grant, and not to who has refused the purpose.
	Contract Basis = "Contract"
	// LegitimateInterest: like Contract.
	LegitimateInterest Basis = "LegitimateInterest"
	// LegalObligation: messages that the law asks for, such as a recall; nobody can refuse them.
	LegalObligation Basis = "LegalObligation"
)

// NeedsGrant tells whether only who has granted the purpose is written to.
func (b Basis) NeedsGrant() bool { return b == Consent || b == "" }

// Refusable tells whether who has refused the purpose is left out.
func (b Basis) Refusable() bool { return b != LegalObligation }

// Cap bounds how many messages a person gets within a time. Messages count from the moment at which they may have left; those
// that were refused at the other end do not count.
type Cap struct {
	Name string `json:"name"`
	// Purposes whose messages are counted together; none: those that the policy is for.
	Purposes []string `json:"purposes"`
	Max      int64    `json:"max"`
	Seconds  int64    `json:"seconds"`
}

// Rule is a condition that every campaign of a policy must satisfy.
type Rule struct {
	Name       string `json:"name"`
	Expression string `json:"expression"`
	Message    string `json:"message"`
}

// SendPolicy is what a policy about sends says.
type SendPolicy struct {
	Name string
	// Purposes that it is for; none: every one. Exempt are those that it is not for.
	Purposes, Exempt []string
	Caps             []Cap
	// Quiet are windows in which nobody is written to, by the clock of the one who would be.
	Quiet       []campaign.Window
	MaxAudience int64 // 0: no bound
	Rules       []Rule
	Suspended   bool
}

// Terms are what the policies in force say of the sends of one purpose.
type Terms struct {
	// Revision of the policies that they were read from.
	Revision int64
	Basis    Basis
	// Capped tells that the frequency of messages of this purpose is bounded.
	Capped bool
	Quiet  []campaign.Window
	// MaxAudience is the most contacts that an audience may hold; 0: no bound.
	MaxAudience int64
	// Asking tells that the messages ask for a consent: they go to who has given none yet.
	Asking bool
	// ValidFor is how long the link in a message that asks can be followed.
	ValidFor time.Duration
}
