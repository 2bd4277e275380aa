package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CRMTenantSpec declares a tenant: an organisation whose people share one database.
// +kubebuilder:validation:XValidation:rule="self.id == oldSelf.id",message="spec.id is for ever: the tenant's database remembers it. To start another tenant, write a CRMTenant in another namespace"
type CRMTenantSpec struct {
	// ID names the tenant for ever; the tenant's database remembers it, and a database with another id is refused.
	// It stands in URLs and in the names of the database and its roles.
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z][a-z0-9]*(-[a-z0-9]+)*$')",message="must be lower-case letters, digits and single hyphens, beginning with a letter, such as velo-production"
	ID string `json:"id"`
	// DisplayName is how the organisation calls itself; contacts see it on the unsubscribe page.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	DisplayName string `json:"displayName"`
	// TimeZone is the IANA zone of schedules that name none, such as Europe/Madrid. Default: UTC.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`
	// Locales are the languages that the tenant writes in, as BCP 47 tags; the first is the default.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=50
	// +listType=atomic
	Locales []Locale `json:"locales"`
	// Database says where the people are. Without it the operator creates a database on its default cluster.
	// +optional
	Database *TenantDatabase `json:"database,omitempty"`
	// PublicURL is where contacts reach the tenant's server, without a slash at its end; unsubscribe links begin with it.
	// Mail clients offer one-click unsubscription (RFC 8058) only where it is https.
	// +kubebuilder:validation:MaxLength=200
	// +kubebuilder:validation:XValidation:rule="isURL(self) && (self.startsWith('https://') || self.startsWith('http://')) && !self.endsWith('/') && !self.contains('?') && !self.contains('#') && !self.contains('@')",message="must be an http or https URL without login, query, fragment or a slash at its end, such as https://crm.velo.example"
	PublicURL string `json:"publicURL"`
	// Worker sizes the processes that build segments and send. It matters in a cluster, where the operator runs them.
	// +optional
	Worker *ProcessSize `json:"worker,omitempty"`
	// Server sizes the processes that answer contacts and clients: the API, unsubscribe links. It matters in a cluster,
	// where the operator runs them.
	// +optional
	Server *ProcessSize `json:"server,omitempty"`
	// Tracking says whether campaigns may learn who reads their mails. Without it they may, where they declare it.
	// +optional
	Tracking *TenantTracking `json:"tracking,omitempty"`
	// Sentiment names a server that judges how posts speak. Default: the words and rules that come with Tertulia.
	// +optional
	Sentiment *TenantSentiment `json:"sentiment,omitempty"`
	// Suspend stops all of the tenant's sending, segment work and listening, and keeps everything: servers go on answering, so that
	// who unsubscribes is heard. What a network does not keep for who comes back later is missed. Default: false.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// Locale is a BCP 47 language tag, such as es or es-MX.
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=35
// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$')",message="must be a BCP 47 language tag, such as es or es-MX"
type Locale string

// TenantDatabase says which PostgreSQL database is the tenant's.
type TenantDatabase struct {
	// SecretRef names a Secret whose key "uri" holds a PostgreSQL URL of the database's owner. A CloudNativePG
	// application secret works as it is. The key "runtime-uri", where present, is what workers and servers use.
	SecretRef LocalReference `json:"secretRef"`
}

// CRMTenantStatus is what the operator knows of the tenant.
type CRMTenantStatus struct {
	Status `json:",inline"`
	// SchemaVersion is the number of the newest migration that the database has.
	// +optional
	SchemaVersion int64 `json:"schemaVersion,omitempty"`
	// Database is the name of the database in use.
	// +optional
	Database string `json:"database,omitempty"`
	// LedgerMark is how many messages the tenant's ledger has ever been committed to hand over, as of some seconds ago. A
	// database that knows of fewer has forgotten some, and nothing is sent from it until a person decides.
	// +optional
	LedgerMark *int64 `json:"ledgerMark,omitempty"`
	// PublicURL is the address in force. While it stands here, its host is this tenant's and no other's.
	// +optional
	PublicURL string `json:"publicURL,omitempty"`
	// Workers counts the processes that build segments and send; absent where the operator does not run them.
	// +optional
	Workers *ProcessCount `json:"workers,omitempty"`
	// Servers counts the processes that answer contacts and clients; absent where the operator does not run them.
	// +optional
	Servers *ProcessCount `json:"servers,omitempty"`
}

// CRMTenant is an organisation, its database and its public address. Its namespace holds all that belongs to it.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=crmtenants,shortName=ct,categories=crm
// +kubebuilder:printcolumn:name="ID",type=string,JSONPath=`.spec.id`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Workers",type=integer,JSONPath=`.status.workers.ready`
// +kubebuilder:printcolumn:name="Servers",type=integer,JSONPath=`.status.servers.ready`
// +kubebuilder:printcolumn:name="Workloads",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="WorkloadsReady")].reason`
// +kubebuilder:printcolumn:name="Quarantined",type=string,JSONPath=`.status.conditions[?(@.type=="Quarantined")].status`
// +kubebuilder:printcolumn:name="Schema",type=integer,priority=1,JSONPath=`.status.schemaVersion`
// +kubebuilder:printcolumn:name="URL",type=string,priority=1,JSONPath=`.spec.publicURL`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:selectablefield:JSONPath=`.spec.id`
// +kubebuilder:validation:XValidation:rule="self.metadata.name == 'default'",message="a namespace is one tenant: name the CRMTenant \"default\""
type CRMTenant struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec CRMTenantSpec `json:"spec"`
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status CRMTenantStatus `json:"status,omitempty"`
}

// CRMTenantList is a list of tenants.
// +kubebuilder:object:root=true
type CRMTenantList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CRMTenant `json:"items"`
}

// CommonStatus implements Object.
func (t *CRMTenant) CommonStatus() *Status { return &t.Status.Status }

// IsSuspended implements Object.
func (t *CRMTenant) IsSuspended() bool { return t.Spec.Suspend }

// TimeZoneOrDefault is the zone of schedules that name none.
func (s *CRMTenantSpec) TimeZoneOrDefault() string {
	if s.TimeZone == "" {
		return "UTC"
	}
	return s.TimeZone
}
