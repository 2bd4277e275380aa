{{/* The name of the operator's objects: the release's, with ours in it. */}}
{{- define "tertulia.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "tertulia" .Release.Name -}}
{{- printf "%s-operator" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-tertulia-operator" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "tertulia.selectorLabels" -}}
app.kubernetes.io/name: tertulia
app.kubernetes.io/component: operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tertulia.labels" -}}
{{ include "tertulia.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "tertulia.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* How many bytes Go may use before it collects harder: nine tenths of a limit of memory, so that a process is slow before it is
killed. The schema admits these units and no others. */}}
{{- define "tertulia.goMemoryLimit" -}}
{{- $units := dict "" 1 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $limit := toString . -}}
{{- $number := regexFind "^[0-9.]+(e[+][0-9]+)?" $limit -}}
{{- mulf $number (get $units (trimPrefix $number $limit)) 0.9 | floor | int64 -}}
{{- end }}

{{/* The operator's ServiceAccount, as the subject of a binding. */}}
{{- define "tertulia.subject" -}}
- kind: ServiceAccount
  name: {{ include "tertulia.fullname" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
