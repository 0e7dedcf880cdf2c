/* Flags that the daemons share. */
#include "daemon/flags.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"

/* Flags of certificate managers that aren't built in: what they are when nothing was meant by them,
 * which is also what a chart passes that names every flag. */
static int check_unused(const struct daemon_flags *f, struct err *e)
{
    static const struct daemon_flags defaults = DAEMON_FLAGS_DEFAULTS;
    const struct {
        const char *name, *value, *unset;
    } unused[] = {
        {"vault-protocol", f->vault_protocol, defaults.vault_protocol},
        {"vault-host", f->vault_host, defaults.vault_host},
        {"vault-token", f->vault_token, NULL},
        {"vault-role", f->vault_role, defaults.vault_role},
        {"vault-port", f->vault_port, defaults.vault_port},
        {"vault-token-secret-name", f->vault_token_secret_name, NULL},
        {"vault-token-secret-key", f->vault_token_secret_key, NULL},
        {"cert-manager-issuer-name", f->cert_manager_issuer_name,
         defaults.cert_manager_issuer_name},
        {"cert-manager-issuer-kind", f->cert_manager_issuer_kind,
         defaults.cert_manager_issuer_kind},
        {"cert-manager-issuer-group", f->cert_manager_issuer_group,
         defaults.cert_manager_issuer_group},
    };
    for (size_t i = 0; i < COUNT_OF(unused); i++) {
        const char *value = unused[i].value ? unused[i].value : "";
        if (value[0] && !(unused[i].unset && strcmp(value, unused[i].unset) == 0)) {
            return err_set(e,
                           "--%s has no effect: this version signs certificates itself; leave the "
                           "flag out",
                           unused[i].name);
        }
    }
    return 0;
}

static int check_required(const struct daemon_flags *f, struct err *e)
{
    const struct {
        const char *name, *value;
    } required[] = {
        {"mesh-name", f->mesh_name},
        {"osm-namespace", f->osm_namespace},
        {"osm-config-name", f->osm_config_name},
        {"ca-bundle-secret-name", f->ca_bundle_secret_name},
        {"trust-domain", f->trust_domain},
    };
    for (size_t i = 0; i < COUNT_OF(required); i++) {
        if (!required[i].value[0]) {
            return err_set(e, "--%s: expected a name, found nothing", required[i].name);
        }
    }
    return 0;
}

static int check(const struct daemon_flags *f, struct err *e)
{
    if (strcmp(f->certificate_manager, "tresor") != 0) {
        return err_set(e,
                       "--certificate-manager %s isn't built into this version: use tresor, with a "
                       "root of your own in the Secret %s/%s if you have one",
                       f->certificate_manager, f->osm_namespace, f->ca_bundle_secret_name);
    }
    return check_required(f, e) < 0 ? -1 : check_unused(f, e);
}

void daemon_log_level(const struct daemon_flags *f, struct str osm_log_level)
{
    enum log_level level = LOG_INFO;
    bool known = log_level_parse(osm_log_level, &level);
    if (!known && f->verbosity) {
        log_level_parse(str_of(f->verbosity), &level);
    }
    log_set_level(level);
    if (!known && osm_log_level.len > 0) {
        AUTO(free) char *found = mem_memdup(osm_log_level.ptr, osm_log_level.len);
        log_event(LOG_ERROR, "MeshConfig's observability.osmLogLevel is no log level", "found",
                  found, "error_code", "E1001", NULL);
    }
}

/* Each connection takes a descriptor; the customary 1024 would be a limit of the mesh. */
static void raise_descriptor_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

int daemon_begin(const char *name, enum metrics_program program, const struct daemon_flags *f,
                 struct err *e)
{
    const char *human = getenv("OSM_HUMAN_DEBUG_LOG");
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    log_set_component(name);
    log_set_json(!(human && strcmp(human, "true") == 0));
    daemon_log_level(f, (struct str){0});
    metrics_init(program);
    if (check(f, e) < 0) {
        log_event(LOG_ERROR, "the command line is wrong", "reason", e->text, "error_code", "E1000",
                  NULL);
        return -1;
    }
    return 0;
}
