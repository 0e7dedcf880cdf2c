/* Every limit on what comes from outside, in one place. Each says why it has its size. */
#ifndef OSM_BASE_LIMITS_H
#define OSM_BASE_LIMITS_H

/* Manifests. etcd refuses objects over 1.5 MiB, so one document never needs more. */
#define LIMIT_DOC_BYTES (2u << 20)
/* A file may hold many documents. */
#define LIMIT_FILE_BYTES (64u << 20)
/* CRD schemas are the deepest things people write; they stay under 40. */
#define LIMIT_DOC_DEPTH 64
/* Values in one document, against "billion laughs" written out. */
#define LIMIT_DOC_VALUES 200000
/* JSON from servers. A page of a list holds 500 objects, a large one 20 KiB and 500 values. */
#define LIMIT_JSON_BYTES (64u << 20)
#define LIMIT_JSON_VALUES 4000000
/* YAML directives before a document; two exist, and libyaml compares each with all others. */
#define LIMIT_DOC_DIRECTIVES 16
/* Objects in one `List` and entries of one array field. */
#define LIMIT_LIST_ITEMS 100000
/* Findings kept for one file; more would bury the first. */
#define LIMIT_FILE_FINDINGS 100
/* Files and folder depth of a directory source. */
#define LIMIT_SOURCE_FILES 20000
#define LIMIT_SOURCE_DEPTH 8

/* Kubernetes: DNS-1123 subdomain and label lengths. */
#define LIMIT_NAME_BYTES 253
#define LIMIT_LABEL_BYTES 63

/* Regular expressions reach every sidecar; RE2's program grows with the text. */
#define LIMIT_REGEX_BYTES 1024
/* Groups in groups. RE2 stops at 1000; nobody reads more than a few. */
#define LIMIT_REGEX_DEPTH 50
/* Instructions of RE2's program. Envoy refuses more than 100 unless its runtime key
 * re2.max_program_size.error_level says otherwise: the bootstrap sets it to this. A name of 253
 * characters written as a class with a repetition needs 760. */
#define LIMIT_REGEX_PROGRAM 4096

/* ADS. A request names resources: 10,000 names of 100 bytes fit. */
#define LIMIT_ADS_REQUEST_BYTES (4u << 20)
/* One ADS stream a connection is what Envoy opens; another allows for one that isn't closed yet. */
#define LIMIT_ADS_STREAMS_PER_CONN 2
/* Connections with certificates of one name: a sidecar has one, and while its network is broken a
 * few that nobody has noticed to be dead. More would be one workload's way to use up ours. */
#define LIMIT_ADS_CONNS_PER_PEER 16
/* What the connections with certificates of one name make us hold together: messages that aren't
 * whole, what is asked for and isn't there, what a returning proxy has and isn't to have. By
 * calculation a proxy that returns with all of 10,000 services, none of them as it was, needs 7 MB:
 * 40,000 names of 50 bytes with 48 of our own, some ids, a request under way. */
#define LIMIT_ADS_PEER_BYTES (24u << 20)
/* How long a message may take to arrive once it has begun. */
#define LIMIT_RECEIVE_MS 30000
/* A resource's name. Those of ours are a namespace, a service and a port, or a host. */
#define LIMIT_ADS_NAME_BYTES 1024
/* Names one type's subscription may hold. */
#define LIMIT_ADS_SUBSCRIPTIONS 50000
/* Refusals kept for one proxy, and the bytes of Envoy's words for each. */
#define LIMIT_ADS_REFUSALS 64
#define LIMIT_ADS_REFUSAL_TEXT 2048
/* A connection must finish its TLS handshake and open a stream in this time. */
#define LIMIT_HANDSHAKE_MS 10000
/* How long a message may wait for the peer to take the rest of it, by its socket or by HTTP/2's
 * window; then the connection ends, so that nobody makes us hold messages by not reading them. The
 * largest have a few MB, and Envoy takes such a one in a second. */
#define LIMIT_SEND_MS 30000
/* What the kernel takes of a message beyond what is on its way to the peer. It is memory of ours,
 * up to 4 MB a connection without this limit (tcp_wmem), when all proxies ask for all at once. Half
 * of it costs CPU, as the socket is written to more often; twice as much saves none. */
#define LIMIT_UNSENT_BYTES (256 << 10)
/* How long, and how much of, a peer's last words are listened to after a connection's end was said:
 * what is under way then is a round trip's worth. */
#define LIMIT_LINGER_MS 2000
#define LIMIT_LINGER_BYTES (1u << 20)
/* HTTP/2: decoded header bytes of one request; Envoy sends under 1 KB. */
#define LIMIT_H2_HEADER_BYTES 16384
#define LIMIT_H2_HEADERS 100
/* HTTP/2: what a peer may send before it hears that we read it, a stream and a connection. With the
 * protocol's 64 KB a large request came in pieces, and in a storm all proxies' first pieces waited
 * in our memory for the rest; a returning proxy of 1,000 services says what it has in 240 KB. What
 * a request may have is LIMIT_ADS_REQUEST_BYTES. */
#define LIMIT_H2_WINDOW_BYTES (512 << 10)
/* HTTP/2: frames that cost us and not the peer (CVE-2023-44487 and its kin), a second. */
#define LIMIT_H2_RESETS_BURST 100
#define LIMIT_H2_RESETS_RATE 10
#define LIMIT_H2_CONTINUATIONS 8
#define LIMIT_H2_SETTINGS 32
/* Replies the peer makes us queue (pings, settings) before we give it up. */
#define LIMIT_H2_OUTBOUND_ACKS 100

/* AdmissionReviews. The API server takes requests of up to 3 MiB, and an update is sent with the
 * object before and after it. */
#define LIMIT_ADMISSION_BYTES (8u << 20)
/* Values in one; a large pod has a thousand. */
#define LIMIT_ADMISSION_VALUES 100000
/* Warnings of one verdict, and bytes of a sentence: clients drop all after 4 KiB. */
#define LIMIT_ADMISSION_WARNINGS 16
#define LIMIT_ADMISSION_TEXT 1024

/* Sidecars' Secrets whose pods haven't been seen yet, in all and for reviews from one address; past
 * it pods are refused. One has some 10 KB, and the API server's store has an end. Pods are looked
 * for after 3 s and after two minutes: so an API server may make more than a thousand a second, and
 * a stranger who asks for pods that never come is stopped without stopping it. */
#define LIMIT_SPARE_SECRETS 20000
#define LIMIT_SPARE_SECRETS_OF_CALLER 5000

/* Probes and hooks of a pod; five each for more containers than fit into one. */
#define LIMIT_POD_PROBES 5000
/* A resource quantity such as "1.5Gi". */
#define LIMIT_QUANTITY_BYTES 32

/* osm-healthcheck gives a connection up after this; the kubelet's probes have their own, shorter.
 */
#define LIMIT_TCP_CHECK_MS 60000

/* HTTPS servers. An API server keeps an idle connection for 90 s; ours last longer, so that it's
 * its side that closes and no request meets a connection that is just going. */
#define LIMIT_HTTPS_IDLE_MS 120000
#define LIMIT_HTTPS_CONNECTIONS 1024
/* Of requests that wait for their answers, whole or not, all connections together. Anybody in the
 * cluster may call a webhook; a review has some 10 KB, and our container's memory has an end. */
#define LIMIT_HTTPS_WAITING_BYTES (32u << 20)

/* The local control socket: a command and its answer (config dumps are the largest). */
#define LIMIT_CONTROL_REQUEST_BYTES (16u << 20)
#define LIMIT_CONTROL_REPLY_BYTES (256u << 20)
/* What is sent with a request for a page: nothing, and strangers may ask. */
#define LIMIT_PAGE_REQUEST_BYTES 4096
/* Connections to such a server: probes, Prometheus, people. One more ends the oldest, so that
 * nobody can keep the kubelet out by holding them. */
#define LIMIT_PAGE_CONNECTIONS 128
/* Label sets of one metric: namespaces times kinds of events is the largest that makes sense. */
#define LIMIT_METRIC_SERIES 2000
/* A page of metrics: that many series of every metric, 200 bytes each. */
#define LIMIT_METRICS_BYTES (64u << 20)
/* An Envoy admin page that we read ourselves. */
#define LIMIT_ADMIN_PAGE_BYTES (64u << 20)

/* Kubernetes' API. A kubeconfig of some hundred clusters, with their certificates. */
#define LIMIT_KUBECONFIG_BYTES (4u << 20)
/* A token, a certificate with its chain, and what an exec plugin prints. */
#define LIMIT_CREDENTIAL_BYTES (1u << 20)
/* One event of a watch: etcd refuses objects over 1.5 MiB, and JSON may write a byte as six. */
#define LIMIT_KUBE_EVENT_BYTES (10u << 20)
/* Of one list, 500 objects each: whatever a server says, a list comes to its end. */
#define LIMIT_KUBE_PAGES 10000
/* Events, and objects that have some, whose count is known. */
#define LIMIT_KUBE_EVENTS 1000
/* Objects of a kind in a cluster whose findings are kept. */
#define LIMIT_CLUSTER_FINDINGS 1000
/* An exec plugin may wait for someone who logs in. */
#define LIMIT_KUBE_PLUGIN_MS 60000

#endif
