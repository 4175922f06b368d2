/* SPDX-License-Identifier: Apache-2.0
 * A worker of the database gate: its lines, its cage, accepting, once a second, its end.
 * OWNS the worker. PROCESS db gate workers. TRUST core, vault and ledger are other processes of
 * ours; clients are nobody yet. SPEC gates/db/db.h.
 */
#include "gates/db/db.h"

#include "gates/db/tls.h"
#include "infra/crypto/random.h"
#include "infra/proc/log.h"
#include "infra/tls/engine.h"
#include "lib/proto/db_msg.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RING_BYTES = 16 << 20,
    FILES_MAX = 131072,
    FILES_SPARE = 128,
    FILES_A_SESSION = 2,
    ACCEPTS_A_TURN = 32,
    TICK_US = 1000000,
    TLS_EVERY_TICKS = 600,
    LOOK_EVERY_TICKS = 10,
    TLS_WAIT_MS = 5000
};

db_worker db_here;

static struct {
    char *core_path;
    char *vault_path;
    char *ledger_path;
    uint32_t sessions_max;
    unsigned ticks;
    sp_watch signals;
} own;

/* ---- accepting ---- */

static void on_listening(sp_watch *watch, unsigned ready)
{
    (void)ready;
    for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        socklen_t len = sizeof(address);
        int fd =
            accept4(watch->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        if (db_here.session_count >= own.sessions_max) {
            close(fd); /* the listening socket must not be left ringing */
            continue;
        }
        if (!sp_give_away(&db_here.give, db_here.session_count, fd)) {
            db_session_new(fd, (const struct sockaddr *)&address);
        }
    }
}

/* ---- lines ---- */

static void on_again(sp_office *office, bool fresh_policy)
{
    (void)office;
    if (fresh_policy) {
        db_judge_policy_changed();
    }
    db_session_look_again();
}

static void on_hello(sp_office *office)
{
    (void)office;
    db_session_tell_all();
    db_judge_hello();
}

/* What people ask of one connection: its end, or that of what it runs. A connection that is not
 * here has ended already. */
static void on_push(sp_office *office, const sp_msg *msg)
{
    sp_db_kill end;
    sp_db_cancel cancel;
    (void)office;
    if (msg->kind == SP_CORE_DB_KILL && !sp_failed(sp_db_kill_read(msg->body, &end))) {
        db_session_kill(end.connection, end.reason);
    } else if (msg->kind == SP_CORE_DB_CANCEL &&
               !sp_failed(sp_db_cancel_read(msg->body, &cancel))) {
        db_session *session = db_session_of(cancel.connection);
        if (session != NULL) {
            db_cancel_session(session);
        }
    } else if (msg->kind == SP_CORE_DB_ASK_DONE) {
        db_judge_push(msg);
    }
}

static void on_vault(sp_link *link)
{
    (void)link;
    db_tls_ask();
}

static bool has_front(const void *self)
{
    (void)self;
    return db_tls_front() != NULL;
}

/* The epoch moved and core did not live to say so; or a session's time or the hours of a rule have
 * gone by, of which nobody sends word. */
static bool is_time_to_look(void)
{
    bool moved = db_here.office.has_live && sp_live_epoch(&db_here.office.live) != db_here.epoch;
    return moved || (db_here.office.has_live && own.ticks % LOOK_EVERY_TICKS == 0);
}

static void on_tick(sp_timer *timer)
{
    static const char beat = '.';
    if (++own.ticks % TLS_EVERY_TICKS == 0 || db_tls_front() == NULL) {
        db_tls_ask();
    }
    db_judge_tick();
    db_strangers_sweep(false);
    db_session_tick();
    if (is_time_to_look()) {
        db_session_look_again();
    }
    (void)!write(db_here.pulse_fd, &beat, 1); /* full: the supervisor has enough to read */
    SP_IGNORE(sp_timer_set(db_here.loop, timer, TICK_US)); /* its place in the heap is free */
}

static void on_signal(sp_watch *watch, unsigned ready)
{
    struct signalfd_siginfo info;
    (void)ready;
    while (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
            db_here.stopping = true;
            sp_loop_stop(db_here.loop);
        } else if (info.ssi_signo == SIGHUP) {
            db_tls_ask();
        }
    }
}

static sp_err watch_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_SETMASK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        return sp_fail(SP_EIO);
    }
    own.signals = (sp_watch){.on_ready = on_signal, .fd = -1};
    return sp_watch_start(db_here.loop, &own.signals, fd);
}

static sp_err start_lines(const sp_config *config)
{
    char name[32];
    TRY(sp_config_socket(config, "core", &own.core_path));
    TRY(sp_config_socket(config, "vault", &own.vault_path));
    TRY(sp_config_socket(config, "ledger", &own.ledger_path));
    TRY(sp_tls_engine_register(own.vault_path));
    snprintf(name, sizeof(name), "db worker %u", db_here.number + 1);
    TRY(sp_recorder_start(&db_here.recorder, db_here.loop, own.ledger_path, SP_GATE_DB, name,
                          RING_BYTES));
    db_here.office.on_again = on_again;
    db_here.office.on_hello = on_hello;
    db_here.office.on_push = on_push;
    sp_office_start(&db_here.office, db_here.loop, own.core_path, SP_GATE_DB);
    db_here.vault = (sp_link){.name = "the vault", .path = own.vault_path, .on_open = on_vault};
    sp_link_start(&db_here.vault, db_here.loop);
    sp_link_wait(&db_here.vault, has_front, NULL, TLS_WAIT_MS);
    return sp_ok();
}

static sp_err start_listening(const sp_worker_start *start)
{
    for (size_t i = 0; i < start->listen_count; i++) {
        db_here.listening[i] = (sp_watch){.on_ready = on_listening, .fd = -1};
        TRY(sp_watch_start_shared(db_here.loop, &db_here.listening[i], start->listen_fds[i]));
    }
    db_here.listening_count = start->listen_count;
    db_here.mesh_watch = (sp_watch){.on_ready = db_mesh_on_ready, .fd = -1};
    TRY(sp_watch_start(db_here.loop, &db_here.mesh_watch, start->mesh_in));
    db_here.tick.on_time = on_tick;
    sp_give_count(&db_here.give, 0);
    return sp_timer_set(db_here.loop, &db_here.tick, 0);
}

/* ---- the cage ---- */

/* CA files lie in /etc, or beside the office's own files. */
static sp_err lock_in(const sp_config *config)
{
    char beside[512];
    sp_span file = sp_span_cstr(config->file);
    while (file.len > 1 && file.ptr[file.len - 1] != '/') {
        file.len--;
    }
    TRY(sp_fit(beside, sizeof(beside), file));
    const char *const reads[SP_WORKER_READS_MAX] = {beside, config->documents_dir};
    sp_err err = sp_worker_lock_in("db", FILES_MAX, reads);
    struct rlimit files = {.rlim_cur = 1024};
    getrlimit(RLIMIT_NOFILE, &files);
    own.sessions_max = (uint32_t)((files.rlim_cur - FILES_SPARE) / FILES_A_SESSION);
    return err;
}

/* ---- life ---- */

static sp_err prepare(const sp_worker_start *start)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    db_here.config = start->config;
    db_here.number = start->number;
    db_here.count = start->count;
    db_here.pulse_fd = start->pulse_fd;
    sp_give_start(&db_here.give, start);
    db_here.may_be_plain = start->config->postgres_plain;
    TRY(sp_crypto_start());
    TRY(lock_in(start->config));
    TRY(sp_loop_new(&db_here.loop));
    TRY(db_stream_prepare(db_here.loop));
    TRY(sp_resolve_prepare(db_here.loop));
    TRY(watch_signals());
    TRY(db_judge_start());
    TRY(start_lines(start->config));
    return start_listening(start);
}

static void say_goodbye(void)
{
    static db_refusal refusal;
    for (uint32_t i = 0; i < db_here.session_cap; i++) {
        if (db_here.sessions[i] != NULL && db_here.sessions[i]->at < DB_AT_ENDING) {
            db_refuse(&refusal, "57P01", SP_REASON_UNAVAILABLE, "the gate is stopping");
            db_session_break(db_here.sessions[i], &refusal);
        }
    }
    for (uint32_t i = 0; i < db_here.session_cap; i++) {
        if (db_here.sessions[i] != NULL) {
            db_session_drop(db_here.sessions[i]);
        }
    }
}

int db_worker_run(const sp_worker_start *start)
{
    sp_err err = prepare(start);
    if (!sp_failed(err)) {
        err = sp_loop_run(db_here.loop);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "worker %u of the database gate cannot go on (%s)", start->number + 1,
               sp_code_word(err.code));
        return EXIT_FAILURE;
    }
    say_goodbye();
    db_judge_stop();
    db_strangers_sweep(true);
    sp_recorder_stop(&db_here.recorder);
    sp_office_stop(&db_here.office);
    sp_link_stop(&db_here.vault);
    return EXIT_SUCCESS;
}
