{{/* include "osm.autoscaler" (list . "osm-controller" .Values.osm.osmController.autoScale) */}}
{{- define "osm.autoscaler" -}}
{{- $name := index . 1 -}}
{{- $scale := index . 2 -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ $name }}-hpa
  namespace: {{ include "osm.namespace" (index . 0) }}
  labels:
    {{- include "osm.labels" (index . 0) | nindent 4 }}
    app: {{ $name }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ $name }}
  minReplicas: {{ $scale.minReplicas }}
  maxReplicas: {{ $scale.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ $scale.cpu.targetAverageUtilization }}
    - type: Resource
      resource:
        name: memory
        target:
          type: Utilization
          averageUtilization: {{ $scale.memory.targetAverageUtilization }}
{{- end }}
