/* SPDX-License-Identifier: Apache-2.0
 * The web role's launcher: what its files share.
 *
 * Story: launch_core.c hears the policy from core, launch_tls.c the certificates from the vault.
 * When both are there, and whenever one changes, launch_nginx.c writes nginx's configuration; if
 * its text is new it is tested, and nginx is started or told to read it. nginx dies: it is started
 * again, ever more slowly. It is alive when it answers a ping, not when its number exists.
 *
 * OWNS all of it. PROCESS web role, one thread, no client bytes. TRUST core and vault.
 * SPEC docs/ARCHITECTURE.md "Processes".
 */
#ifndef SP_GATES_WEB_LAUNCH_H
#define SP_GATES_WEB_LAUNCH_H

#include "infra/ipc/line.h"
#include "infra/ipc/shm.h"
#include "infra/proc/config.h"
#include "lib/policy/web.h"
#include "lib/proto/vault_msg.h"

#include <uv.h>

enum { LAUNCH_PATH_BYTES = 512, LAUNCH_OLD_MAX = 16 };

typedef struct {
    const sp_config *config;
    uv_loop_t loop;
    uv_signal_t on_term;
    uv_signal_t on_int;
    uv_signal_t on_hup;
    uv_timer_t tick;
    unsigned ticks;
    bool stopping;
    bool ready;
    int exit_status;

    /* core */
    char *core_path;
    int core_fd; /* -1 = not connected */
    uv_poll_t core_poll;
    bool polling;
    sp_buf core_packet;
    sp_shm snapshot;
    sp_policy policy;
    bool has_policy;
    sp_buf status;              /* what core published last, as it was told */
    uint64_t away_since_unix_s; /* core cannot be reached; 0 = it can */

    /* vault */
    char *vault_path;
    sp_line *vault;
    char key_name[SP_VAULT_NAME_MAX_BYTES + 1];
    sp_hash chain_hash;
    bool has_identity;
    bool has_ca;

    /* nginx */
    char *dir; /* state of the role */
    char module_file[LAUNCH_PATH_BYTES];
    char sockets[256]; /* "3;4;" */
    int pulse_fd;      /* a byte a second of every worker comes here */
    int pulse_far_fd;  /* its other end, inherited by nginx */
    uint64_t pulse_at_ms;
    char *listen[SP_LISTEN_MAX + 1];
    char *http[SP_LISTEN_MAX + 1];
    char *asked[SP_LISTEN_MAX + 1];
    char *api_path;
    char *ledger_path;
    sp_buf conf; /* the text that nginx runs with, or that is being tested */
    uv_process_t nginx;
    uv_process_t test;
    bool nginx_runs;
    bool test_runs;
    bool again; /* something changed while a test ran */
    uint64_t restart_at_ms;
    unsigned restart_pause_ms;
    uint64_t stop_at_ms;
    pid_t old[LAUNCH_OLD_MAX]; /* masters that a launcher before us left */
    size_t old_count;
} launcher;

/* launch_core.c */
void launch_core_tick(launcher *self);
void launch_core_stop(launcher *self);
/* launch_status.c */
void launch_status_start(launcher *self);
void launch_status_told(launcher *self, sp_span body);
void launch_status_core(launcher *self, bool there);
/* launch_tls.c */
SP_MUST sp_err launch_tls_start(launcher *self);
void launch_tls_ask(launcher *self);
void launch_tls_stop(launcher *self);
/* launch_nginx.c */
void launch_nginx_changed(launcher *self);
void launch_nginx_tick(launcher *self);
void launch_nginx_stop(launcher *self);
void launch_nginx_done(launcher *self);
/* "<state>/web/<name>" into path. */
void launch_path(const launcher *self, const char *name, char path[LAUNCH_PATH_BYTES]);

#endif
