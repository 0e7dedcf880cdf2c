{{/* Values of Open Service Mesh's chart that this one doesn't act on, and why. Setting one is an error,
     so that nobody relies on it; false and empty pass. */}}
{{- define "osm.refused" -}}
osm.certmanager: cert-manager isn't supported; certificates come from the control plane itself (tresor)
osm.vault: Vault isn't supported; certificates come from the control plane itself (tresor)
osm.curlImage: no container of the control plane calls curl
osm.sidecarWindowsImage: pods for Windows get no sidecar
osm.tracing: sidecars don't report traces
osm.deployJaeger: sidecars don't report traces
osm.enableFluentbit: collect the control plane's logs, JSON on standard error, as those of other pods
osm.fluentBit: collect the control plane's logs, JSON on standard error, as those of other pods
osm.grafana.enableRemoteRendering: deploy a renderer of your own
osm.grafana.rendererImage: deploy a renderer of your own
osm.featureFlags.enableWASMStats: sidecars have no WASM extension; Envoy's own statistics are in their metrics
osm.featureFlags.enableAsyncProxyServiceMapping: there is nothing to switch
osm.featureFlags.enableSnapshotCacheMode: there is nothing to switch
osm.featureFlags.enableMulticlusterMode: a mesh is of one cluster
osm.featureFlags.enableRetryPolicy: Retry objects have no effect yet
osm.featureFlags.enableMeshRootCertificate: the root certificate is the Secret osm.caBundleSecretName
osm.featureFlags.enableSPIFFE: certificates always carry their SPIFFE identity
contour.enabled: install Contour with its own chart
{{- end }}

{{/* Values that can't be turned off. */}}
{{- define "osm.always" -}}
osm.featureFlags.enableEgressPolicy: Egress objects are always accepted, and have no effect yet
osm.featureFlags.enableIngressBackendPolicy: IngressBackend objects always count
{{- end }}

{{/* "set" when the value at a path is: include "osm.at" (list .Values "osm.vault"). */}}
{{- define "osm.at" -}}
{{- $at := index . 0 -}}
{{- range splitList "." (index . 1) -}}
{{- if kindIs "map" $at }}{{ $at = get $at . }}{{ else }}{{ $at = "" }}{{ end -}}
{{- end -}}
{{- include "osm.set" $at -}}
{{- end }}

{{/* "set" when a value, or one within it, is neither empty nor false. */}}
{{- define "osm.set" -}}
{{- if kindIs "map" . -}}
{{- range . }}{{ include "osm.set" . }}{{ end -}}
{{- else if . -}}
set
{{- end -}}
{{- end }}

{{- define "osm.check" -}}
{{- $found := list -}}
{{- range $path, $why := fromYaml (include "osm.refused" .) -}}
{{- if include "osm.at" (list $.Values $path) -}}
{{- $found = append $found (printf "%s: %s; leave it out" $path $why) -}}
{{- end -}}
{{- end -}}
{{- range $path, $why := fromYaml (include "osm.always" .) -}}
{{- if not (include "osm.at" (list $.Values $path)) -}}
{{- $found = append $found (printf "%s: %s; leave it true" $path $why) -}}
{{- end -}}
{{- end -}}
{{- if ne .Values.osm.certificateProvider.kind "tresor" -}}
{{- $found = append $found (printf "osm.certificateProvider.kind: expected tresor, found %q, which isn't supported" .Values.osm.certificateProvider.kind) -}}
{{- end -}}
{{- if $found -}}
{{- fail (printf "values that this chart can't act on:\n  %s" (join "\n  " $found)) -}}
{{- end -}}
{{- end }}
