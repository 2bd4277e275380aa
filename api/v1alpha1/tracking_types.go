package v1alpha1

// CampaignTracking says what the mails of a campaign tell about who reads them. Without it they tell nothing.
type CampaignTracking struct {
	// Opens puts a picture of one pixel into the HTML of each mail, which mail programs fetch when the mail is shown; some fetch
	// it for mails that nobody reads, and many never do. Default: false.
	// +optional
	Opens bool `json:"opens,omitempty"`
	// Clicks leads links by way of the tenant's publicURL, which counts who follows them and sends the browser on. Links for
	// unsubscribing stay as they are. Default: false.
	// +optional
	Clicks bool `json:"clicks,omitempty"`
}

// TrackingPolicy says whether mails may be tracked.
// +kubebuilder:validation:Enum=Allowed;Forbidden
type TrackingPolicy string

// The policies.
const (
	TrackingAllowed   TrackingPolicy = "Allowed"
	TrackingForbidden TrackingPolicy = "Forbidden"
)

// TenantTracking says whether campaigns may learn who reads their mails, and for how long that is kept.
type TenantTracking struct {
	// Policy: Allowed lets campaigns track what they declare. Forbidden keeps tracking out of every mail that is written from then
	// on, whatever a campaign says, and records nothing of the mails that are out; their links go on to work. Default: Allowed.
	// +optional
	Policy TrackingPolicy `json:"policy,omitempty"`
	// Retention is for how long it is kept who opened a mail or followed a link, such as 90d, from the freezing of the audience on.
	// The counts of a campaign stay. Default: 365d.
	// +optional
	Retention Duration `json:"retention,omitempty"`
}

// CampaignEngagement counts what was done with the mails of a campaign that tracks it. Who opened a mail, and whose mail was opened by
// a machine too, counts in both; docs/marketer.md says what can be known.
type CampaignEngagement struct {
	// Opened is how many people's mails were shown by somebody, as far as mail programs tell.
	// +optional
	Opened *int64 `json:"opened,omitempty"`
	// Clicked is how many people followed a link.
	// +optional
	Clicked *int64 `json:"clicked,omitempty"`
	// MachineOpened is how many people's mails were opened by a program: a proxy that loads pictures ahead, a scanner.
	// +optional
	MachineOpened *int64 `json:"machineOpened,omitempty"`
	// MachineClicked is how many people's links were followed by a program, such as a scanner of links.
	// +optional
	MachineClicked *int64 `json:"machineClicked,omitempty"`
}
