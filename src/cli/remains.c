/* What a mesh leaves. */
#include "cli/remains.h"

#include "cli/meshes.h"

/* The same on all that the chart, its hooks and the control plane make. */
static const char *made_by(struct cluster *c, const char *mesh)
{
    return label_query(c, "app.kubernetes.io/name=openservicemesh.io,app.kubernetes.io/instance=%s",
                       mesh);
}

static bool was_made(const struct value *object)
{
    return str_is(label_of(object, "app.kubernetes.io/name"), "openservicemesh.io");
}

/* Those by name whose kind may be gone, or whose labels nobody sets. */
static int remove_named(struct cluster *c, const char *namespace, struct err *e)
{
    static const struct {
        const char *group_version, *plural, *name;
        bool only_if_made; /* somebody may have brought his own */
    } objects[] = {
        {"config.openservicemesh.io/v1alpha2", "meshconfigs", CONFIG_NAME, true},
        {"config.openservicemesh.io/v1alpha2", "meshrootcertificates", "osm-mesh-root-certificate",
         true},
        {"coordination.k8s.io/v1", "leases", "osm-controller", false},
        {"coordination.k8s.io/v1", "leases", "osm-injector", false},
        {"coordination.k8s.io/v1", "leases", "osm-bootstrap", false},
    };
    for (size_t i = 0; i < COUNT_OF(objects); i++) {
        struct value *found = NULL;
        const char *path = kube_path_of(c->arena, objects[i].group_version, objects[i].plural,
                                        str_of(namespace), str_of(objects[i].name), NULL, NULL);
        if (cluster_find(c, path, &found, e) < 0) {
            return -1;
        }
        bool ours = found && (!objects[i].only_if_made || was_made(found));
        if (ours && cluster_delete(c, path, e) < 0) {
            return -1;
        }
    }
    return 0;
}

int remains_remove(struct cluster *c, const char *namespace, const char *mesh, struct err *e)
{
    static const struct {
        const char *group_version, *plural;
        bool in_namespace;
    } kinds[] = {
        {"batch/v1", "jobs", true},
        {"v1", "serviceaccounts", true},
        {"rbac.authorization.k8s.io/v1", "roles", true},
        {"rbac.authorization.k8s.io/v1", "rolebindings", true},
        {"rbac.authorization.k8s.io/v1", "clusterroles", false},
        {"rbac.authorization.k8s.io/v1", "clusterrolebindings", false},
        {"admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", false},
        {"admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", false},
    };
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (cluster_delete_listed(c, kinds[i].group_version, kinds[i].plural,
                                  kinds[i].in_namespace ? namespace : "", made_by(c, mesh),
                                  e) < 0) {
            return -1;
        }
    }
    return remains_remove_root(c, namespace, e) < 0 || remains_remove_gateway(c, mesh, e) < 0
               ? -1
               : remove_named(c, namespace, e);
}

/* Open Service Mesh names no mesh on it. */
int remains_remove_root(struct cluster *c, const char *namespace, struct err *e)
{
    const char *query = label_query(c, "app.kubernetes.io/name=openservicemesh.io,!" LABEL_GATEWAY);
    return cluster_delete_listed(c, "v1", "secrets", namespace, query, e);
}

int remains_remove_gateway(struct cluster *c, const char *mesh, struct err *e)
{
    return cluster_delete_listed(c, "v1", "secrets", "", label_query(c, LABEL_GATEWAY "=%s", mesh),
                                 e);
}
