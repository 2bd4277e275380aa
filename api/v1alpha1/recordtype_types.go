package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ValueType is the type of an attribute or of an event's property.
// +kubebuilder:validation:Enum=String;Integer;Decimal;Boolean;Date;Timestamp
type ValueType string

// The types of attributes and properties, with the PostgreSQL type that an attribute's column has.
const (
	StringType    ValueType = "String"    // text
	IntegerType   ValueType = "Integer"   // bigint
	DecimalType   ValueType = "Decimal"   // numeric: exact, never a float
	BooleanType   ValueType = "Boolean"   // boolean
	DateType      ValueType = "Date"      // date, written 2027-03-21
	TimestampType ValueType = "Timestamp" // timestamptz, written as RFC 3339
)

// FieldName is the name of an attribute or a property in expressions, templates and CSV headers.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=40
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z][a-z0-9_]*$')",message="must be lower-case letters, digits and underscores, beginning with a letter, such as first_name"
type FieldName string

// Attribute is one typed column of a record.
// +kubebuilder:validation:XValidation:rule="!has(self.enum) || self.type == 'String'",message="enum is for attributes of type String: remove it or change the type"
// +kubebuilder:validation:XValidation:rule="!has(self.role) || self.type == (self.role == 'Birthday' ? 'Date' : 'String')",message="a Name and a Place are of type String, a Birthday is of type Date: change the role or the type"
type Attribute struct {
	// Name of the attribute in expressions (contact.<name>), templates and CSV headers; of accounts, in CSV headers.
	// +kubebuilder:validation:XValidation:rule="!(self in ['id', 'public_id', 'locale', 'time_zone', 'tags', 'email', 'phone', 'created_at', 'updated_at', 'external_id', 'account', 'account_role'])",message="every record has a field of this name already, or files have a column: choose another"
	Name FieldName `json:"name"`
	// Type of the values. It is never changed where that could lose data.
	Type ValueType `json:"type"`
	// Description tells authors of segments what the attribute means.
	// +optional
	// +kubebuilder:validation:MaxLength=500
	Description string `json:"description,omitempty"`
	// Enum lists the only values that a String may have. Values can be added; one that people have cannot be removed.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=100
	// +listType=set
	Enum []string `json:"enum,omitempty"`
	// Indexed asks for an index, for attributes that segments often compare. Default: false.
	// +optional
	Indexed bool `json:"indexed,omitempty"`
	// Personal marks what identifies a person (a name, a birthday): no expression may single somebody out by it. Default: false.
	// +optional
	Personal bool `json:"personal,omitempty"`
	// Role says what the attribute tells of who somebody is: Name (or a part of it), Place (where they live) or Birthday. Contacts who agree in it
	// are suggested as one person, for people to decide. Default: it tells nothing of that.
	// +optional
	Role AttributeRole `json:"role,omitempty"`
}

// AttributeRole is what an attribute tells of who somebody is.
// +kubebuilder:validation:Enum=Name;Place;Birthday
type AttributeRole string

// The roles of attributes.
const (
	NameRole     AttributeRole = "Name"
	PlaceRole    AttributeRole = "Place"
	BirthdayRole AttributeRole = "Birthday"
)

// RecordTypeSpec declares the attributes of a record.
type RecordTypeSpec struct {
	// Attributes are typed columns, added to the tenant's database while it is in use.
	// +optional
	// +kubebuilder:validation:MaxItems=200
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:XValidation:rule="self.filter(a, has(a.role) && a.role == 'Birthday').size() <= 1",message="two attributes have the role Birthday: people have one"
	Attributes []Attribute `json:"attributes,omitempty"`
	// Sources says whose word counts where several sources tell of one person, the highest first, such as crm, shop, import. Among sources
	// that are not listed, which come last, the newest value counts. A change counts for everybody within minutes.
	// +optional
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9][a-z0-9._-]*$`
	// +kubebuilder:validation:XValidation:rule="self.all(s, self.exists_one(o, o == s))",message="a source stands here twice: keep its first place"
	// +listType=atomic
	Sources []string `json:"sources,omitempty"`
	// Suspend stops the operator from changing columns. Default: false.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// RecordTypeStatus tells which columns are in force.
type RecordTypeStatus struct {
	Status `json:",inline"`
	// Columns is how many attributes are columns of the database now.
	// +optional
	Columns int32 `json:"columns,omitempty"`
}

// RecordType extends a record of the CRM with attributes of the tenant's own. It is named after what it extends: contact or account.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=recordtypes,shortName=rt,categories=crm
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Columns",type=integer,JSONPath=`.status.columns`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name in ['contact', 'account']",message="a RecordType is named after the record that it extends: name it \"contact\" or \"account\""
// +kubebuilder:validation:XValidation:rule="self.metadata.name != 'account' || !has(self.spec.attributes) || self.spec.attributes.all(a, !(a.name in ['name', 'domain']) && !has(a.role))",message="accounts have a name and a domain already, and roles tell who people are: choose other names, and remove the roles"
// +kubebuilder:validation:XValidation:rule="self.metadata.name == 'contact' || !has(self.spec.sources)",message="of accounts the newest word counts, whoever says it: remove sources"
type RecordType struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec RecordTypeSpec `json:"spec"`
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status RecordTypeStatus `json:"status,omitempty"`
}

// RecordTypeList is a list of record types.
// +kubebuilder:object:root=true
type RecordTypeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RecordType `json:"items"`
}

// CommonStatus implements Object.
func (r *RecordType) CommonStatus() *Status { return &r.Status.Status }

// IsSuspended implements Object.
func (r *RecordType) IsSuspended() bool { return r.Spec.Suspend }
