/* SPDX-License-Identifier: Apache-2.0
 * What the rooms of core share: the loop, the store, the live table, the clients of ledger and
 * vault, the router. One thread: everything here is used on the loop.
 *
 * Story: sp_core_role() (role.c) opens the store, makes the live table, starts the clients, then
 * the rooms in order: identity, sessions, state (documents, devices, snapshot, core.sock, the
 * administration API), each of which registers its routes, then HTTP. On SIGTERM they stop in the
 * other order.
 *
 * OWNS what role.c made. PROCESS core. TRUST see each room. SPEC docs/ARCHITECTURE.md.
 */
#ifndef SP_CORE_CORE_H
#define SP_CORE_CORE_H

#include "infra/ipc/shm.h"
#include "infra/proc/config.h"
#include "infra/proc/jumps.h"
#include "infra/store/store.h"
#include "lib/proto/event.h"
#include "lib/proto/live.h"

#include <uv.h>

typedef struct sp_router sp_router;
typedef struct sp_http sp_http;
typedef struct sp_sse sp_sse;
typedef struct sp_ledger_client sp_ledger_client;
typedef struct sp_vault_client sp_vault_client;
typedef struct sp_identity sp_identity;   /* core/identity */
typedef struct sp_sessions sp_sessions;   /* core/sessions */
typedef struct sp_approvals sp_approvals; /* core/approvals */
typedef struct sp_databases sp_databases; /* core/database */
typedef struct sp_ssh sp_ssh;             /* core/ssh */
typedef struct sp_notices sp_notices;     /* core/notices */
typedef struct sp_cutter sp_cutter;       /* core/cut */
typedef struct sp_plans sp_plans;         /* core/plans */
typedef struct sp_watcher sp_watcher;     /* core/watch */
typedef struct sp_reports sp_reports;     /* core/reports */
typedef struct sp_sinks sp_sinks;         /* core/sinks */
typedef struct sp_meters sp_meters;       /* core/meters */
typedef struct sp_state sp_state;         /* core/state: documents, devices, snapshot, core.sock */

typedef struct sp_core {
    uv_loop_t *loop;
    const sp_config *config;
    sp_store *store;
    sp_live live; /* the writer's view */
    sp_shm live_shm;
    int live_fd; /* for gates: read-only */
    sp_router *router;
    sp_http *http;
    sp_sse *sse;
    struct sp_stream *streams; /* answers being made piece by piece (http/stream.c) */
    sp_ledger_client *ledger;
    sp_vault_client *vault;
    sp_identity *identity;
    sp_sessions *sessions;
    sp_state *state;
    sp_approvals *approvals;
    sp_databases *databases;
    sp_ssh *ssh;
    sp_notices *notices;
    sp_watcher *watcher;
    sp_cutter *cutter;
    sp_plans *plans;
    sp_reports *reports;
    sp_sinks *sinks;
    sp_meters *meters;
    sp_jumps jumps;      /* clock.c */
    uint64_t jump_id;    /* clock.c: of one that is not in the store yet; 0 = none */
    int64_t jump_s;      /* clock.c: by which rows of the store are still to be moved */
    int64_t jump_back_s; /* of it, what went back */
    uint64_t jump_cut; /* the newest cut when the clock jumped: later ones go by the clock of now */
    bool cuts_stale;   /* they were moved in the store, and not in the live table yet */
    char *portal_host; /* "portal.office.localhost" */
    char *portal_origin; /* "https://portal.office.localhost:8443" */
} sp_core;

/* ---- what core-state gives (core/state) ---- */
/* Starts documents, devices, snapshot publishing and core.sock, and adds its routes. The store is
 * open, the live table formatted, the router ready; roles and people are loaded. */
SP_MUST sp_err sp_state_start(sp_core *core, sp_state **ret_state);
void sp_state_stop(sp_state *state);
/* After the live table lost something: moves the epoch on and pushes AGAIN to every worker. */
void sp_state_again(sp_core *core);

#endif
