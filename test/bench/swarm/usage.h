/* What processes and threads used, as the kernel counts. */
#ifndef BENCH_SWARM_USAGE_H
#define BENCH_SWARM_USAGE_H

#include <stdint.h>
#include <sys/types.h>

/* Nanoseconds on a CPU since the start, from schedstat; of the first thread, and of all. */
struct usage_cpu {
    int64_t first_ns, all_ns;
};
struct usage_cpu usage_cpu(pid_t pid);
/* Kibibytes. "VmRSS", "RssAnon", "VmHWM". */
int64_t usage_memory(pid_t pid, const char *field);
/* Bytes on their way from a server on this machine to its clients, by the client's port: in the
 * server's sockets, not acknowledged, and in the client's, not read. */
enum { USAGE_PORTS = 1 << 16 };
void usage_queued(uint16_t server_port, uint32_t by_port[USAGE_PORTS]);

#endif
