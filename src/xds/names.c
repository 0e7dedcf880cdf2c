/* Type URLs. */
#include "xds/names.h"

static const struct {
    const char *name, *url;
} types[XDS_TYPES] = {
    [XDS_CDS] = {"cds", "type.googleapis.com/envoy.config.cluster.v3.Cluster"},
    [XDS_EDS] = {"eds", "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"},
    [XDS_SDS] = {"sds", "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"},
    [XDS_LDS] = {"lds", "type.googleapis.com/envoy.config.listener.v3.Listener"},
    [XDS_RDS] = {"rds", "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"},
};

const char *xds_type_url(enum xds_type t)
{
    return types[t].url;
}

const char *xds_type_name(enum xds_type t)
{
    return types[t].name;
}

bool xds_type_parse(struct str url, enum xds_type *ret)
{
    for (int i = 0; i < XDS_TYPES; i++) {
        if (str_is(url, types[i].url)) {
            *ret = (enum xds_type)i;
            return true;
        }
    }
    return false;
}
