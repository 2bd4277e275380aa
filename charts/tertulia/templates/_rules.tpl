{{- /* Written by hack/packaging from config/rbac/role.yaml and config/crd: run make generate. */ -}}

{{- define "tertulia.rules.everywhere" -}}
- apiGroups:
  - ""
  resources:
  - configmaps
  verbs:
  - get
  - list
  - watch
- apiGroups:
  - ""
  resources:
  - namespaces
  verbs:
  - get
- apiGroups:
  - ""
  resources:
  - pods
  verbs:
  - list
  - watch
- apiGroups:
  - ""
  resources:
  - secrets
  verbs:
  - create
  - get
  - list
  - update
  - watch
- apiGroups:
  - ""
  resources:
  - services
  verbs:
  - create
  - get
  - list
  - patch
  - watch
- apiGroups:
  - apps
  resources:
  - deployments
  verbs:
  - create
  - get
  - list
  - patch
  - watch
- apiGroups:
  - authentication.k8s.io
  resources:
  - tokenreviews
  verbs:
  - create
- apiGroups:
  - authorization.k8s.io
  resources:
  - subjectaccessreviews
  verbs:
  - create
- apiGroups:
  - crm.tertulia.dev
  resources:
  - automationrules
  - campaigns
  - consentpolicies
  - eventtypes
  - messagechannels
  - messagetemplates
  - monitors
  - recordtypes
  - segments
  - sendpolicies
  - servicequeues
  - socialsources
  verbs:
  - list
  - patch
  - watch
- apiGroups:
  - crm.tertulia.dev
  resources:
  - automationrules/status
  - campaigns/status
  - consentpolicies/status
  - crmtenants/status
  - eventtypes/status
  - messagechannels/status
  - messagetemplates/status
  - monitors/status
  - recordtypes/status
  - segments/status
  - sendpolicies/status
  - servicequeues/status
  - socialsources/status
  verbs:
  - patch
- apiGroups:
  - crm.tertulia.dev
  resources:
  - crmtenants
  verbs:
  - get
  - list
  - patch
  - watch
- apiGroups:
  - crm.tertulia.dev
  resources:
  - crmtenants/finalizers
  verbs:
  - update
- apiGroups:
  - events.k8s.io
  resources:
  - events
  verbs:
  - create
  - patch
- apiGroups:
  - networking.k8s.io
  resources:
  - networkpolicies
  verbs:
  - create
  - get
  - list
  - patch
  - watch
- apiGroups:
  - policy
  resources:
  - poddisruptionbudgets
  verbs:
  - create
  - get
  - list
  - patch
  - watch
{{- end }}

{{- define "tertulia.rules.cluster" -}}
- apiGroups:
  - authentication.k8s.io
  resources:
  - tokenreviews
  verbs:
  - create
- apiGroups:
  - authorization.k8s.io
  resources:
  - subjectaccessreviews
  verbs:
  - create
{{- end }}

{{- define "tertulia.rules.tenants" -}}
- apiGroups:
  - ""
  resources:
  - configmaps
  verbs:
  - get
  - list
  - watch
- apiGroups:
  - ""
  resources:
  - namespaces
  verbs:
  - get
- apiGroups:
  - ""
  resources:
  - pods
  verbs:
  - list
  - watch
- apiGroups:
  - ""
  resources:
  - secrets
  verbs:
  - create
  - get
  - list
  - update
  - watch
- apiGroups:
  - ""
  resources:
  - services
  verbs:
  - create
  - get
  - list
  - patch
  - watch
- apiGroups:
  - apps
  resources:
  - deployments
  verbs:
  - create
  - get
  - list
  - patch
  - watch
- apiGroups:
  - crm.tertulia.dev
  resources:
  - automationrules
  - campaigns
  - consentpolicies
  - eventtypes
  - messagechannels
  - messagetemplates
  - monitors
  - recordtypes
  - segments
  - sendpolicies
  - servicequeues
  - socialsources
  verbs:
  - list
  - patch
  - watch
- apiGroups:
  - crm.tertulia.dev
  resources:
  - automationrules/status
  - campaigns/status
  - consentpolicies/status
  - crmtenants/status
  - eventtypes/status
  - messagechannels/status
  - messagetemplates/status
  - monitors/status
  - recordtypes/status
  - segments/status
  - sendpolicies/status
  - servicequeues/status
  - socialsources/status
  verbs:
  - patch
- apiGroups:
  - crm.tertulia.dev
  resources:
  - crmtenants
  verbs:
  - get
  - list
  - patch
  - watch
- apiGroups:
  - crm.tertulia.dev
  resources:
  - crmtenants/finalizers
  verbs:
  - update
- apiGroups:
  - events.k8s.io
  resources:
  - events
  verbs:
  - create
  - patch
- apiGroups:
  - networking.k8s.io
  resources:
  - networkpolicies
  verbs:
  - create
  - get
  - list
  - patch
  - watch
- apiGroups:
  - policy
  resources:
  - poddisruptionbudgets
  verbs:
  - create
  - get
  - list
  - patch
  - watch
{{- end }}

{{- define "tertulia.rules.own" -}}
- apiGroups:
  - ""
  resources:
  - events
  - secrets
  verbs:
  - create
- apiGroups:
  - ""
  resourceNames:
  - tertulia-metrics
  resources:
  - secrets
  verbs:
  - get
  - list
  - update
  - watch
- apiGroups:
  - coordination.k8s.io
  resources:
  - leases
  verbs:
  - create
  - get
  - update
{{- end }}

{{- define "tertulia.rules.view" -}}
- apiGroups:
  - crm.tertulia.dev
  resources:
  - automationrules
  - campaigns
  - consentpolicies
  - crmtenants
  - eventtypes
  - messagechannels
  - messagetemplates
  - monitors
  - recordtypes
  - segments
  - sendpolicies
  - servicequeues
  - socialsources
  verbs:
  - get
  - list
  - watch
{{- end }}

{{- define "tertulia.rules.edit" -}}
- apiGroups:
  - crm.tertulia.dev
  resources:
  - automationrules
  - campaigns
  - consentpolicies
  - crmtenants
  - eventtypes
  - messagechannels
  - messagetemplates
  - monitors
  - recordtypes
  - segments
  - sendpolicies
  - servicequeues
  - socialsources
  verbs:
  - get
  - list
  - watch
- apiGroups:
  - crm.tertulia.dev
  resources:
  - automationrules
  - campaigns
  - consentpolicies
  - eventtypes
  - messagechannels
  - messagetemplates
  - monitors
  - recordtypes
  - segments
  - sendpolicies
  - servicequeues
  - socialsources
  verbs:
  - create
  - delete
  - deletecollection
  - patch
  - update
{{- end }}

{{- define "tertulia.rules.admin" -}}
- apiGroups:
  - crm.tertulia.dev
  resources:
  - automationrules
  - campaigns
  - consentpolicies
  - crmtenants
  - eventtypes
  - messagechannels
  - messagetemplates
  - monitors
  - recordtypes
  - segments
  - sendpolicies
  - servicequeues
  - socialsources
  verbs:
  - get
  - list
  - watch
- apiGroups:
  - crm.tertulia.dev
  resources:
  - automationrules
  - campaigns
  - consentpolicies
  - crmtenants
  - eventtypes
  - messagechannels
  - messagetemplates
  - monitors
  - recordtypes
  - segments
  - sendpolicies
  - servicequeues
  - socialsources
  verbs:
  - create
  - delete
  - deletecollection
  - patch
  - update
{{- end }}
