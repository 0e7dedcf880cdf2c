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
/* One ADS stream a connection is what Envoy opens; a few more allow for its reconnects. */
#define LIMIT_ADS_STREAMS_PER_CONN 8
/* Names one type's subscription may hold. */
#define LIMIT_ADS_SUBSCRIPTIONS 50000
/* Refusals kept for one proxy, and the bytes of Envoy's words for each. */
#define LIMIT_ADS_REFUSALS 64
#define LIMIT_ADS_REFUSAL_TEXT 2048
/* A connection must finish its TLS handshake and open a stream in this time. */
#define LIMIT_HANDSHAKE_MS 10000
/* HTTP/2: decoded header bytes of one request; Envoy sends under 1 KB. */
#define LIMIT_H2_HEADER_BYTES 16384
#define LIMIT_H2_HEADERS 100
/* HTTP/2: frames that cost us and not the peer (CVE-2023-44487 and its kin), a second. */
#define LIMIT_H2_RESETS_BURST 100
#define LIMIT_H2_RESETS_RATE 10
#define LIMIT_H2_CONTINUATIONS 8
#define LIMIT_H2_SETTINGS 32
/* Replies the peer makes us queue (pings, settings) before we give it up. */
#define LIMIT_H2_OUTBOUND_ACKS 100

/* The local control socket: a command and its answer (config dumps are the largest). */
#define LIMIT_CONTROL_REQUEST_BYTES (16u << 20)
#define LIMIT_CONTROL_REPLY_BYTES (256u << 20)
/* An Envoy admin page that we read ourselves. */
#define LIMIT_ADMIN_PAGE_BYTES (64u << 20)

#endif
