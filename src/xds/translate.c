/* What each part of the mesh becomes; the resources themselves are built in the files beside. */
#include "xds/translate.h"

#include "xds/pb.h"

bool translate_claimed(const struct translate *t, struct str ip, uint16_t port)
{
    return !t->claims || claims_owns(t->claims, ip, port, t->service);
}

bool first_of_target_port(const struct mesh_service *s, size_t port)
{
    for (size_t i = 0; i < port; i++) {
        if (s->ports.at[i].target_port == s->ports.at[port].target_port) {
            return false;
        }
    }
    return true;
}

void translate_common(const struct translate *t, resource_vec out[XDS_TYPES])
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    if (t->config->traffic.enable_egress) {
        translate_passthrough_cluster(a, &out[XDS_CDS]);
    }
    translate_root_secrets(a, t, out);
}

void translate_service(const struct translate *t, const struct mesh_service *s,
                       const struct mesh_endpoints *endpoints, resource_vec out[XDS_TYPES])
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    for (size_t i = 0; i < s->ports.len; i++) {
        const struct mesh_port *p = &s->ports.at[i];
        if (first_of_target_port(s, i)) {
            translate_outbound_cluster(a, t, s, p, endpoints, &out[XDS_CDS]);
        }
        if (protocol_is_http(p->protocol)) {
            translate_outbound_routes(a, s, p, &out[XDS_RDS]);
        }
    }
    translate_outbound_listeners(a, t, s, endpoints, &out[XDS_LDS]);
}

void translate_audience(const struct translate *t, const struct mesh_audience *audience,
                        const struct mesh_policy *policy,
                        const struct mesh_ingress_port *const *ingress, resource_vec out[XDS_TYPES])
{
    AUTO(arena_free) struct arena *a = arena_new(16384);
    translate_catcher(a, t, audience->ipv6, &out[XDS_LDS]);
    translate_inbound_listener(a, t, audience, policy, ingress, &out[XDS_LDS]);
    for (size_t i = 0; i < audience->inbound.len; i++) {
        const struct mesh_inbound *in = &audience->inbound.at[i];
        translate_local_cluster(a, in, &out[XDS_CDS]);
        if (protocol_is_http(in->protocol)) {
            translate_inbound_routes(a, t, in, policy, &out[XDS_RDS]);
        }
        if (ingress[i]) {
            translate_ingress_routes(a, in, ingress[i], &out[XDS_RDS]);
        }
    }
    if (audience->prometheus) {
        translate_metrics_cluster(a, &out[XDS_CDS]);
        translate_metrics_listener(a, audience, &out[XDS_LDS]);
    }
}
