{{- define "driftd.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "driftd.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "driftd.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "driftd.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "driftd.selector" -}}
app.kubernetes.io/name: {{ include "driftd.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "driftd.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "driftd.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The pod of `helm test`: none that the Service, the budget or the policy means. */ -}}
{{- define "driftd.tester" -}}
app.kubernetes.io/name: {{ include "driftd.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "driftd.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "driftd.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "driftd.claim" -}}
{{- default (include "driftd.fullname" .) .Values.persistence.existingClaim }}
{{- end }}

{{- define "driftd.image" -}}
{{- $repository := required "image.repository is not set: name the registry and repository that you pushed driftd's image to (docs/kubernetes.md tells how it is built)" .Values.image.repository }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{- /* What every container of ours runs with. */ -}}
{{- define "driftd.confined" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: {{ .Values.uid }}
runAsGroup: {{ .Values.uid }}
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- /* Keys that driftd takes from nobody but their owner: an init container copies them to where they are. */ -}}
{{- define "driftd.private" -}}
{{- if or .Values.secrets.signingKey .Values.secrets.digestKeys }}yes{{ end }}
{{- end }}

{{- /* driftd.yaml: where things are in the container, under what config says. */ -}}
{{- define "driftd.config" -}}
{{- range $key := list "store" "manifests" "keys" "pause_file" "metrics" }}
{{- if hasKey $.Values.config $key }}
{{- fail (printf "config.%s is set, and where things are in the container is the chart's to say: use persistence, manifestsClaim, configMaps.manifests, secrets.digestKeys or metrics" $key) }}
{{- end }}
{{- end }}
{{- $fixed := dict
  "store" "sqlite:////var/lib/driftd/driftd.db"
  "manifests" "/var/lib/driftd/manifests"
  "keys" "/var/lib/driftd/keys"
  "pause_file" "/var/lib/driftd/pause"
  "metrics" (dict "listen" (printf "%s:%d" .Values.metrics.host (int .Values.metrics.port)))
}}
{{- if or .Values.configMaps.manifests .Values.manifestsClaim }}
{{- $_ := set $fixed "manifests" "/etc/driftd/manifests" }}
{{- end }}
{{- if .Values.secrets.digestKeys }}
{{- $_ := set $fixed "keys" "/run/driftd/keys" }}
{{- end }}
{{- $ssh := dict "known_hosts" "/var/lib/driftd/known_hosts" }}
{{- if and .Values.secrets.ssh (not (dig "ssh" "certificate" nil .Values.config)) }}
{{- $_ := set $ssh "key" "/etc/driftd/ssh/id_ed25519" }}
{{- end }}
{{- if .Values.configMaps.knownHosts }}
{{- $_ := set $ssh "known_hosts" "/etc/driftd/known-hosts/known_hosts" }}
{{- end }}
{{- $_ := set $fixed "ssh" $ssh }}
{{- if .Values.secrets.signingKey }}
{{- $_ := set $fixed "trust" (dict "signing_key" "/run/driftd/signing/signing-key") }}
{{- end }}
{{- toYaml (mergeOverwrite $fixed (deepCopy .Values.config)) }}
{{- end }}
