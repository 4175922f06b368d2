/* SPDX-License-Identifier: Apache-2.0
 * The life of each role: its turn, start, READY, watchdog, death and back-off, end.
 * OWNS nothing. PROCESS porter. TRUST a role's words change only what is known about that role.
 * SPEC porter/porter.h.
 *
 * A role that ends by itself before the office was ever ready has said what is wrong; trying again
 * would say the same, so the office does not start. A role that a signal ended had an accident:
 * it is started again, as is everything that ends later.
 */
#include "infra/proc/clock.h"
#include "infra/proc/entry.h"
#include "infra/proc/log.h"
#include "porter/porter.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define SECOND_US ((uint64_t)1000 * 1000)
enum {
    START_S = 60,
    END_S = 10,
    SWEEP_S = 3,
    STABLE_S = 60, /* ready for so long: earlier failures are forgotten */
    REST_LEAST_MS = 100,
    REST_MOST_MS = 30 * 1000
};

static const sp_role_kind order[SP_ROLE_COUNT] = {
    SP_ROLE_VAULT, SP_ROLE_LEDGER, SP_ROLE_CORE,    SP_ROLE_KEEPER, SP_ROLE_WEB,
    SP_ROLE_DB,    SP_ROLE_SSH,    SP_ROLE_COURIER, SP_ROLE_WATCH,  SP_ROLE_RUNNER};

const char *porter_state_word(porter_state state)
{
    static const char *const words[PORTER_STATE_COUNT] = {"waiting", "starting", "ready",
                                                          "resting", "ending",   "ended"};
    return words[state];
}

static void enter(porter *p, porter_role *role, porter_state state, uint64_t deadline_us)
{
    role->state = state;
    role->deadline_us = deadline_us;
    role->changed_unix_s = sp_now_unix_us() / SECOND_US;
    p->dirty = true;
}

void porter_roles_init(porter *p)
{
    for (size_t i = 0; i < SP_COUNT(order); i++) {
        if (sp_config_has_role(p->config, order[i])) {
            p->roles[p->roles_count] = (porter_role){.kind = order[i]};
            enter(p, &p->roles[p->roles_count++], PORTER_WAITING, 0);
        }
    }
}

static bool runs(const porter_role *role)
{
    return role->pid > 0;
}

/* ---- dying and starting again ---- */

static uint64_t rest_us(const porter_role *role)
{
    uint64_t rest_ms = REST_LEAST_MS;
    for (unsigned i = 1; i < role->failures && rest_ms < REST_MOST_MS; i++) {
        rest_ms *= 2;
    }
    return (rest_ms < REST_MOST_MS ? rest_ms : REST_MOST_MS) * 1000;
}

static void rest(porter *p, porter_role *role, uint64_t now_us)
{
    if (role->ready_us != 0 && now_us - role->ready_us > STABLE_S * SECOND_US) {
        role->failures = 0;
    }
    role->failures++;
    uint64_t pause_us = rest_us(role);
    sp_log(SP_LOG_WARN, "%s %s; it is started again in %.1f s", sp_role_word(role->kind),
           role->reason, (double)pause_us / 1e6);
    porter_events_add(p->events, SP_SEVERITY_HIGH, role->kind, "died", role->reason);
    enter(p, role, PORTER_RESTING, now_us + pause_us);
}

static void start(porter *p, porter_role *role, uint64_t now_us)
{
    bool again = role->state == PORTER_RESTING;
    role->killed = false;
    role->watchdog_us = 0;
    role->ready_us = 0;
    role->started_us = now_us;
    role->status[0] = '\0';
    role->sandbox[0] = '\0';
    sp_err err = porter_child_start(&p->start, role->kind, &role->pid);
    if (sp_failed(err)) {
        role->pid = 0;
        snprintf(role->reason, sizeof(role->reason), "could not be forked (%s)",
                 sp_code_word(err.code));
        rest(p, role, now_us);
        return;
    }
    if (again) {
        role->restarts++;
        porter_events_add(p->events, SP_SEVERITY_MEDIUM, role->kind, "restarted", role->reason);
    } else {
        porter_events_add(p->events, SP_SEVERITY_INFO, role->kind, "started", "");
    }
    enter(p, role, PORTER_STARTING, now_us + START_S * SECOND_US);
}

static void give_up(porter *p, const porter_role *role, uint64_t now_us)
{
    sp_log(SP_LOG_ERROR, "%s %s before it was ready: the line above says why. The office stops",
           sp_role_word(role->kind), role->reason);
    p->failed = true;
    porter_roles_stop(p, now_us);
}

void porter_roles_ended(porter *p, pid_t pid, int wait_status, uint64_t now_us)
{
    porter_role *role = p->roles;
    while (role < p->roles + p->roles_count && role->pid != pid) {
        role++;
    }
    if (role == p->roles + p->roles_count) {
        return; /* left behind by a role, now gone too */
    }
    bool spoke = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) != 0;
    role->pid = 0;
    auto_buf sp_buf words = sp_buf_make(sizeof(role->reason) - 1);
    porter_child_words(wait_status, &words);
    snprintf(role->reason, sizeof(role->reason), "%.*s", SP_SPAN_ARG(sp_buf_borrow(&words)));
    if (p->stopping) {
        enter(p, role, PORTER_ENDED, 0);
        return;
    }
    if (!p->ready_once && !role->was_ready && spoke) {
        enter(p, role, PORTER_ENDED, 0);
        give_up(p, role, now_us);
        return;
    }
    rest(p, role, now_us);
}

/* ---- hearing ---- */

static void note(char *to, sp_span text)
{
    size_t len = text.len < PORTER_NOTE_BYTES ? text.len : PORTER_NOTE_BYTES - 1;
    sp_copy(to, text.ptr, len);
    to[len] = '\0';
}

static void became_ready(porter *p, porter_role *role, uint64_t now_us)
{
    if (role->state != PORTER_STARTING) {
        return;
    }
    role->ready_us = now_us;
    role->was_ready = true;
    sp_log(SP_LOG_INFO, "%s is ready (process %d, %.2f s)", sp_role_word(role->kind),
           (int)role->pid, (double)(now_us - role->started_us) / 1e6);
    enter(p, role, PORTER_READY, 0);
}

static void hear(porter *p, porter_role *role, sp_span word, uint64_t now_us)
{
    static const char status[] = "STATUS=";
    static const char sandbox[] = "X_SANDBOX=";
    if (sp_span_eq(word, SP_SPAN_LIT("READY=1"))) {
        became_ready(p, role, now_us);
    } else if (sp_span_eq(word, SP_SPAN_LIT("WATCHDOG=1"))) {
        role->watchdog_us = now_us;
    } else if (sp_span_starts(word, sp_span_cstr(status))) {
        note(role->status, sp_span_slice(word, sizeof(status) - 1, word.len));
        p->dirty = true;
    } else if (sp_span_starts(word, sp_span_cstr(sandbox))) {
        note(role->sandbox, sp_span_slice(word, sizeof(sandbox) - 1, word.len));
        p->dirty = true;
    }
}

void porter_roles_heard(porter *p, pid_t pid, sp_span words, uint64_t now_us)
{
    for (size_t i = 0; i < p->roles_count; i++) {
        if (p->roles[i].pid == pid) {
            sp_span word;
            while (sp_span_split(&words, '\n', &word)) {
                hear(p, &p->roles[i], word, now_us);
            }
            return;
        }
    }
}

/* ---- time ---- */

static bool turn_has_come(const porter *p, size_t at)
{
    return at == 0 || p->roles[at - 1].was_ready;
}

static void kill_late(const porter *p, porter_role *role, int number, const char *what)
{
    if (!role->killed) {
        sp_log(SP_LOG_WARN, "%s %s: it is ended by force", sp_role_word(role->kind), what);
    }
    role->killed = true;
    kill(p->stopping ? -role->pid : role->pid, number);
}

static void watch(porter *p, porter_role *role, uint64_t now_us)
{
    const uint64_t silence_us = PORTER_WATCHDOG_S * SECOND_US;
    if (role->watchdog_us == 0 || now_us < role->watchdog_us + silence_us) {
        role->deadline_us = role->watchdog_us == 0 ? 0 : role->watchdog_us + silence_us;
        return;
    }
    if (!role->killed) {
        kill_late(p, role, SIGABRT, "has been silent for 20 s");
        role->deadline_us = now_us + 2 * SECOND_US;
    } else if (now_us >= role->deadline_us) {
        kill_late(p, role, SIGKILL, "does not end");
        role->deadline_us = now_us + SECOND_US;
    }
}

static void turn_one(porter *p, size_t at, uint64_t now_us)
{
    porter_role *role = &p->roles[at];
    bool due = role->deadline_us != 0 && now_us >= role->deadline_us;
    switch (role->state) {
    case PORTER_WAITING:
        if (turn_has_come(p, at)) {
            start(p, role, now_us);
        }
        break;
    case PORTER_STARTING:
        if (due) {
            kill_late(p, role, SIGKILL, "was not ready after 60 s");
            role->deadline_us = now_us + SECOND_US;
        }
        break;
    case PORTER_READY:
        watch(p, role, now_us);
        break;
    case PORTER_RESTING:
        if (due) {
            start(p, role, now_us);
        }
        break;
    case PORTER_ENDING:
        if (due) {
            kill_late(p, role, SIGKILL, "did not end within 10 s");
            role->deadline_us = now_us + SECOND_US;
        }
        break;
    case PORTER_ENDED:
    case PORTER_STATE_COUNT:
        break;
    }
}

static void check_all_ready(porter *p, uint64_t now_us)
{
    for (size_t i = 0; i < p->roles_count; i++) {
        if (p->ready_once || p->roles[i].state != PORTER_READY) {
            return;
        }
    }
    p->ready_once = true;
    sp_log(SP_LOG_INFO, "%s is open at https://%s.%s:%u (%.2f s)", p->config->office,
           p->config->portal, p->config->domain, p->config->public_port,
           (double)(now_us - p->began_us) / 1e6);
    sp_entry_notify("READY=1\nSTATUS=open");
}

/* ---- stopping ---- */

/* One after another from the last: who needs another goes before it. */
static void stop_next(porter *p, uint64_t now_us)
{
    for (size_t i = p->roles_count; i-- > 0;) {
        porter_role *role = &p->roles[i];
        if (role->state == PORTER_ENDING) {
            return;
        }
        if (role->state == PORTER_ENDED) {
            continue;
        }
        if (!runs(role)) {
            enter(p, role, PORTER_ENDED, 0);
            continue;
        }
        kill(role->pid, SIGTERM);
        enter(p, role, PORTER_ENDING, now_us + END_S * SECOND_US);
        return;
    }
    /* all are gone: what they left behind goes now */
    if (p->sweep_us == 0) {
        p->sweep_us = now_us;
        porter_child_sweep(SIGTERM);
    } else if (now_us - p->sweep_us > SWEEP_S * SECOND_US) {
        porter_child_sweep(SIGKILL);
    }
}

void porter_roles_stop(porter *p, uint64_t now_us)
{
    if (p->stopping) {
        return;
    }
    p->stopping = true;
    p->dirty = true;
    sp_entry_notify("STOPPING=1");
    stop_next(p, now_us);
}

void porter_roles_kill(porter *p)
{
    for (size_t i = 0; i < p->roles_count; i++) {
        if (runs(&p->roles[i])) {
            kill(-p->roles[i].pid, SIGKILL);
        }
    }
    porter_child_sweep(SIGKILL);
}

bool porter_roles_gone(const porter *p)
{
    for (size_t i = 0; i < p->roles_count; i++) {
        if (p->roles[i].state != PORTER_ENDED) {
            return false;
        }
    }
    return p->sweep_us != 0 && waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

void porter_roles_signal(porter *p, int signal_number)
{
    for (size_t i = 0; i < p->roles_count; i++) {
        if (runs(&p->roles[i]) && p->roles[i].kind != SP_ROLE_LEDGER) {
            kill(p->roles[i].pid, signal_number);
        }
    }
}

uint64_t porter_roles_turn(porter *p, uint64_t now_us)
{
    if (p->stopping) {
        stop_next(p, now_us);
    }
    uint64_t next_us = now_us + (p->stopping ? SECOND_US / 20 : SECOND_US);
    for (size_t i = 0; i < p->roles_count; i++) {
        if (!p->stopping || p->roles[i].state == PORTER_ENDING) {
            turn_one(p, i, now_us);
        }
        uint64_t deadline_us = p->roles[i].deadline_us;
        if (deadline_us != 0 && deadline_us < next_us) {
            next_us = deadline_us;
        }
    }
    check_all_ready(p, now_us);
    return next_us;
}
