{{/* Namespace of the control plane. */}}
{{- define "osm.namespace" -}}
{{ .Values.osm.osmNamespace | default .Release.Namespace }}
{{- end }}

{{/* Labels of everything that the chart makes. */}}
{{- define "osm.labels" -}}
app.kubernetes.io/name: openservicemesh.io
app.kubernetes.io/instance: {{ .Values.osm.meshName }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* Image of a part: include "osm.image" (list . "osmController"). */}}
{{- define "osm.image" -}}
{{- $image := (index . 0).Values.osm.image -}}
{{- $part := index . 1 -}}
{{- $name := printf "%s/%s" $image.registry (get $image.name $part) -}}
{{- if $image.tag -}}
{{ $name }}:{{ $image.tag }}
{{- else -}}
{{ $name }}@{{ required (printf "osm.image.tag is empty: expected a digest in osm.image.digest.%s, found none" $part) (get $image.digest $part) }}
{{- end -}}
{{- end }}

{{/* Names of the webhook configurations, which the daemons make. */}}
{{- define "osm.mutatingWebhook" -}}
{{ .Values.osm.webhookConfigNamePrefix }}-{{ .Values.osm.meshName }}
{{- end }}
{{- define "osm.validatingWebhook" -}}
{{ .Values.osm.validatorWebhook.webhookConfigurationName | default (printf "osm-validator-mesh-%s" .Values.osm.meshName) }}
{{- end }}

{{/* What pod security "restricted" asks for, of a pod and of a container. The user is the image's:
     some platforms give each namespace its own. */}}
{{- define "osm.podSecurity" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end }}
{{- define "osm.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
{{- end }}

{{/* Where a part's pods go: include "osm.placement" (list . .Values.osm.osmController). */}}
{{- define "osm.placement" -}}
{{- $top := index . 0 -}}
{{- $part := index . 1 -}}
{{- with $part.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat $top.Values.osm.controlPlaneTolerations $part.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $top.Values.osm.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Replicas in different zones where there are some: include "osm.spread" "osm-controller". */}}
{{- define "osm.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        app: {{ . }}
{{- end }}

{{/* A pod that ends is still called for a moment, until all have heard of it; its programs go on
     serving meanwhile. */}}
{{- define "osm.lifecycle" -}}
{{- if semverCompare ">= 1.30.0-0" .Capabilities.KubeVersion.Version }}
lifecycle:
  preStop:
    sleep:
      seconds: 5
{{- end }}
{{- end }}

{{/* Probes of a daemon: include "osm.probes" (dict "ready" "/health/ready" "alive" "/health/alive"). */}}
{{- define "osm.probes" -}}
startupProbe:
  httpGet:
    path: {{ .alive }}
    port: metrics
  periodSeconds: 1
  failureThreshold: 60
  timeoutSeconds: 5
readinessProbe:
  httpGet:
    path: {{ .ready }}
    port: metrics
  periodSeconds: 2
  timeoutSeconds: 5
livenessProbe:
  httpGet:
    path: {{ .alive }}
    port: metrics
  periodSeconds: 10
  timeoutSeconds: 5
{{- end }}

{{/* Flags that the daemons share. */}}
{{- define "osm.flags" -}}
- --verbosity={{ .Values.osm.controllerLogLevel }}
- --mesh-name={{ .Values.osm.meshName }}
- --osm-namespace={{ include "osm.namespace" . }}
- --osm-version={{ .Chart.AppVersion }}
- --certificate-manager={{ .Values.osm.certificateProvider.kind }}
- --ca-bundle-secret-name={{ .Values.osm.caBundleSecretName }}
- --trust-domain={{ .Values.osm.trustDomain }}
- --enable-reconciler={{ .Values.osm.enableReconciler }}
{{- end }}

{{/* Annotations by which Prometheus finds a daemon's metrics. */}}
{{- define "osm.scrape" -}}
prometheus.io/scrape: "true"
prometheus.io/port: "9091"
{{- end }}

{{/* include "osm.hook" (list "pre-install" "-5"): the less the earlier; gone once it succeeded. */}}
{{- define "osm.hook" -}}
helm.sh/hook: {{ index . 0 }}
helm.sh/hook-weight: {{ index . 1 | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{- define "osm.hookResources" -}}
limits:
  cpu: "0.5"
  memory: 64M
requests:
  cpu: "0.02"
  memory: 16M
{{- end }}

{{/* Who may call the webhooks, for the containers that serve them; with osm.webhookClientCA only. */}}
{{- define "osm.webhookClientCA.flag" -}}
{{- if .Values.osm.webhookClientCA }}
- --webhook-client-ca=/etc/osm/webhook-client-ca/ca.crt
{{- end }}
{{- end }}
{{- define "osm.webhookClientCA.mount" -}}
{{- if .Values.osm.webhookClientCA }}
volumeMounts:
  - name: webhook-client-ca
    mountPath: /etc/osm/webhook-client-ca
    readOnly: true
{{- end }}
{{- end }}
{{- define "osm.webhookClientCA.volume" -}}
{{- if .Values.osm.webhookClientCA }}
volumes:
  - name: webhook-client-ca
    configMap:
      name: osm-webhook-client-ca
{{- end }}
{{- end }}
