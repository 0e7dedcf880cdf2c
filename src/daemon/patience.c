/* Asking until there is an answer. */
#include "daemon/patience.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define RETRY_MS 500

int patient_do(struct kube_client *client, const struct kube_request *q, bool absent,
               struct arena *a, struct value **ret, struct err *e)
{
    int64_t deadline = clock_mono_ms() + PATIENCE_MS;
    bool said = false;
    while (true) {
        struct err why = ERR_INIT;
        int status = kube_do(client, q, a, ret, &why);
        bool again = status < 0 || status == 429 || status >= 500 || (absent && status == 404);
        if (!again || clock_mono_ms() > deadline) {
            *e = *why.text ? why : *e;
            return status;
        }
        if (!said) {
            log_event(LOG_WARN, "the API server can't do this yet; trying again", "reason",
                      why.text, NULL);
            said = true;
        }
        usleep(RETRY_MS * 1000);
    }
}
