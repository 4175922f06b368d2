/* SPDX-License-Identifier: Apache-2.0
 * A gate's first process: it forks workers, hands them what they share, watches over them, and
 * reads no byte of any client.
 *
 * Story: a role fills a sp_workers and calls sp_workers_run(). Each worker is a fork that runs
 * .run with what it needs to know; it writes a byte into its pulse each second. A worker that ends
 * or falls silent is started again, with a rest that grows. Datagram sockets (mesh) and a page of
 * counts let workers speak to each other without this process.
 *
 * OWNS the workers, the mesh, the pulses. PROCESS gate roles. TRUST a worker may be taken over: all
 * it can say here is that it lives. SPEC docs/ARCHITECTURE.md "Database gate", sd_notify(3).
 */
#ifndef SP_GATE_WORKERS_H
#define SP_GATE_WORKERS_H

#include "infra/proc/config.h"
#include "lib/base/err.h"

enum { SP_WORKERS_MAX = 64 };

/* What a worker is given. */
typedef struct {
    const sp_config *config;
    unsigned number; /* 0 .. count - 1 */
    unsigned count;
    int mesh_in;         /* to hear others */
    const int *mesh_out; /* to send to that worker */
    uint32_t *loads;     /* sessions of each worker, shared; UINT32_MAX = it does not run */
    int pulse_fd;
    const int *listen_fds;
    size_t listen_count;
} sp_worker_start;

typedef struct {
    const sp_config *config;
    const char *role;   /* "db": of the cage */
    const char *gate;   /* "the database gate": for the log */
    const char *socket; /* "postgres": how its listening sockets are named, postgres0 .. */
    size_t listen_count;
    unsigned wanted; /* workers; 0 = half the cores */
    bool is_patient; /* scheduled as batch: woken, a worker does not push others off its core */
    int (*run)(const sp_worker_start *start); /* a worker's life; the exit status */
} sp_workers;

/* Until the role is told to end; the exit status. */
int sp_workers_run(const sp_workers *workers);

/* A worker's own cage, before it reads a byte of anybody: it may connect and look up names; it can
 * neither listen, start a program, signal anybody nor write a file. It reads the resolver's files
 * and what is named here, up to the first NULL. What fails is logged. */
enum { SP_WORKER_READS_MAX = 4 };
SP_MUST sp_err sp_worker_lock_in(const char *role, uint64_t files_max,
                                 const char *const reads[SP_WORKER_READS_MAX]);

#endif
