/* Field numbers are those of discovery.proto. */
#include "ask.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "refs.h"
#include "wire.h"
#include "xds/resource.h"

enum {
    DELTA_NODE = 1,
    DELTA_TYPE = 2,
    DELTA_SUBSCRIBE = 3,
    DELTA_UNSUBSCRIBE = 4,
    DELTA_KNOWN = 5,
    DELTA_NONCE = 6,
    DELTA_ERROR = 7,
};
enum {
    SOTW_VERSION = 1,
    SOTW_NODE = 2,
    SOTW_NAMES = 3,
    SOTW_TYPE = 4,
    SOTW_NONCE = 5,
    SOTW_ERROR = 6,
};

/* Of core.v3.Node and its extensions. */
enum { NODE_ID = 1, NODE_EXTENSIONS = 9, EXTENSION_NAME = 1, EXTENSION_CATEGORY = 2 };
enum { NODE_BYTES = 61000 };

static void add_text(struct buf *m, uint32_t number, struct str text)
{
    if (text.len > 0) {
        wire_add(m, number, text);
    }
}

/* Envoy lists all that it is made of: 1.40 does so in 61,174 bytes. Made once. */
static struct str extensions(void)
{
    static struct buf all = {.max_bytes = 2 * NODE_BYTES};
    for (int i = 0; all.len < NODE_BYTES; i++) {
        AUTO(buf_done) struct buf one;
        char name[48];
        buf_init(&one, 256);
        snprintf(name, sizeof(name), "envoy.extension_%04d", i);
        wire_add(&one, EXTENSION_NAME, str_of(name));
        wire_add(&one, EXTENSION_CATEGORY, STR("envoy.category"));
        wire_add(&all, NODE_EXTENSIONS, buf_str(&one));
    }
    return buf_str(&all);
}

/* Envoy says who it is once on a stream. */
static void add_node(struct buf *m, uint32_t number, const struct ask *a)
{
    if (a->first && a->t == XDS_CDS) {
        AUTO(buf_done) struct buf node;
        buf_init(&node, 4 * NODE_BYTES);
        wire_add(&node, NODE_ID, str_of(a->uuid));
        buf_adds(&node, extensions());
        wire_add(m, number, buf_str(&node));
    }
}

static void add_error(struct buf *m, uint32_t number, const struct ask *a)
{
    static const char status[] = "\x08\x03\x12\x10refused on trial";
    if (a->refused) {
        wire_add(m, number, (struct str){status, sizeof(status) - 1});
    }
}

static void add_names(struct buf *m, uint32_t number, const id_vec *ids)
{
    for (size_t i = 0; ids && i < ids->len; i++) {
        wire_add(m, number, refs_name(ids->at[i]));
    }
}

static void add_known(struct buf *m, const held_vec *held)
{
    VEC_EACH(*held, h) {
        char version[17], entry[512];
        struct str name = refs_name(h->id);
        resource_version_text(h->hash, version);
        struct buf b;
        buf_init(&b, sizeof(entry));
        wire_add(&b, 1, name);
        wire_add(&b, 2, str_of(version));
        wire_add(m, DELTA_KNOWN, buf_str(&b));
        buf_done(&b);
    }
}

static void write_delta(const struct ask *a, struct buf *m)
{
    add_node(m, DELTA_NODE, a);
    wire_add(m, DELTA_TYPE, str_of(xds_type_url(a->t)));
    add_names(m, DELTA_SUBSCRIBE, a->add);
    add_names(m, DELTA_UNSUBSCRIBE, a->remove);
    if (a->first) {
        add_known(m, a->held);
    }
    add_text(m, DELTA_NONCE, a->nonce);
    add_error(m, DELTA_ERROR, a);
}

static void write_sotw(const struct ask *a, struct buf *m)
{
    char version[17] = "";
    if (a->version) {
        resource_version_text(a->version, version);
    }
    add_text(m, SOTW_VERSION, str_of(version));
    add_node(m, SOTW_NODE, a);
    add_names(m, SOTW_NAMES, a->names);
    wire_add(m, SOTW_TYPE, str_of(xds_type_url(a->t)));
    add_text(m, SOTW_NONCE, a->nonce);
    add_error(m, SOTW_ERROR, a);
}

static struct buf *scratch(void)
{
    static struct buf b;
    if (b.max_bytes == 0) {
        buf_init(&b, LIMIT_ADS_REQUEST_BYTES);
    }
    buf_reset(&b);
    return &b;
}

void ask_write(const struct ask *a, struct buf *out)
{
    struct buf *m = scratch();
    if (a->delta) {
        write_delta(a, m);
    } else {
        write_sotw(a, m);
    }
    uint8_t head[5] = {0};
    for (int i = 0; i < 4; i++) {
        head[1 + i] = (uint8_t)(m->len >> (24 - 8 * i));
    }
    buf_add(out, head, sizeof(head));
    buf_adds(out, buf_str(m));
}
