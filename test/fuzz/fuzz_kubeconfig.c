/* Any bytes as a kubeconfig: a configuration, or a sentence that names the file. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kube/config.h"
#include "kube/kubeconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    AUTO_FD int fd = memfd_create("kubeconfig", MFD_CLOEXEC);
    AUTO(arena_free) struct arena *a = arena_new(4096);
    struct kubeconfig k = {0};
    struct kube_config *config = NULL;
    struct err e = ERR_INIT;
    char path[64];
    ASSERT(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (kubeconfig_read(a, path, &k, &e) < 0) {
        ASSERT(strncmp(e.text, path, strlen(path)) == 0);
    }
    e = ERR_INIT;
    struct kube_config_options o = {.kubeconfig = path};
    if (kube_config_load(&o, &config, &e) == 0) {
        ASSERT(strncmp(kube_config_server(config), "http", 4) == 0);
        kube_config_free(config);
    } else {
        ASSERT(strncmp(e.text, path, strlen(path)) == 0);
    }
    return 0;
}
