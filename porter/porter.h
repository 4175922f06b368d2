/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the porter share.
 *
 * Story: `sallyport run` reads the bootstrap file, makes directories and listening sockets
 * (places.c), locks itself in, and starts the roles one after another, each when the one before
 * has said READY (roles.c, child.c). From then on it waits: for a signal, for a role's word
 * (notify.c), for a role's end. A role that ends is started again after a back-off; what happened
 * is logged, shown in <run>/status.json (status.c) and told to the ledger (events.c). At the end
 * the roles are stopped in the other order, and nothing of them stays.
 *
 * OWNS what run.c made. PROCESS porter only, one thread. TRUST roles may have been taken over:
 * their words are bounded and believed about themselves only; no client byte comes here.
 * SPEC docs/ARCHITECTURE.md "Processes", sd_notify(3), sd_listen_fds(3).
 */
#ifndef SP_PORTER_PORTER_H
#define SP_PORTER_PORTER_H

#include "infra/proc/config.h"
#include "lib/base/buf.h"
#include "lib/proto/event.h"

#include <sys/types.h>

enum {
    PORTER_SOCKETS_MAX = 6 + 5 * SP_LISTEN_MAX,
    PORTER_WORDS_MAX_BYTES = 4096, /* one datagram of a role */
    PORTER_NOTE_BYTES = 512,       /* STATUS=, X_SANDBOX= and reasons, kept for doctor */
    PORTER_WATCHDOG_S = 20
};

/* ---- places.c ---- */
typedef struct {
    char name[16]; /* in LISTEN_FDNAMES */
    sp_role_kind role;
    int fd;
    char *path; /* NULL for TCP */
} porter_socket;

typedef struct {
    int state_lock; /* the directories themselves, held by flock */
    int run_lock;
    porter_socket sockets[PORTER_SOCKETS_MAX];
    size_t socket_count;
} porter_places;

/* Directories with their owners, the lock against a second porter, the sockets. On failure *why
 * says what, where and what to do; nothing stays behind. */
SP_MUST sp_err porter_places_make(const sp_config *config, porter_places *places, sp_buf *why);
/* Closes and removes the sockets. */
void porter_places_done(porter_places *places);

/* Where a role says how it is. */
typedef struct {
    char *path; /* NULL = a role that this office has not */
    int fd;
} porter_ear;

/* ---- child.c ---- */
typedef struct {
    const sp_config *config;
    const porter_places *places;
    const porter_ear *ears; /* by role */
    int program_fd; /* our own program: the one that runs now, even when the file is replaced */
} porter_start;

/* A role as a process of its own: its user, its sockets, a clean environment. */
SP_MUST sp_err porter_child_start(const porter_start *start, sp_role_kind role, pid_t *ret_pid);
/* "exited with status 1", "was ended by signal 9 (Killed)" */
void porter_child_words(int wait_status, sp_buf *out);
/* Signals every process whose parent we are: what roles left behind. Returns how many. */
unsigned porter_child_sweep(int signal_number);

/* ---- events.c ---- */
typedef struct porter_events porter_events;
SP_MUST sp_err porter_events_new(const sp_config *config, porter_events **ret_events);
void porter_events_free(porter_events *events);
/* Queues one; the oldest falls out of a full queue and is counted. */
void porter_events_add(porter_events *events, sp_severity severity, sp_role_kind role,
                       const char *what, const char *why);
/* Sends what waits, reads what came; open = the ledger can be asked now. */
void porter_events_turn(porter_events *events, bool open);
/* To be polled for input, -1 = nothing to wait for. */
int porter_events_fd(const porter_events *events);
bool porter_events_waiting(const porter_events *events);

/* ---- roles.c ---- */
typedef enum {
    PORTER_WAITING,  /* its turn has not come */
    PORTER_STARTING, /* runs, not READY yet */
    PORTER_READY,
    PORTER_RESTING, /* died; starts again when its back-off is over */
    PORTER_ENDING,  /* was asked to end */
    PORTER_ENDED,
    PORTER_STATE_COUNT
} porter_state;

typedef struct {
    sp_role_kind kind;
    porter_state state;
    pid_t pid; /* 0 = none */
    bool was_ready;
    bool killed;             /* SIGKILL sent, or SIGABRT by the watchdog */
    unsigned restarts;       /* since the porter started */
    unsigned failures;       /* in a row, for the back-off */
    uint64_t started_us;     /* steady */
    uint64_t ready_us;       /* steady, 0 = not now */
    uint64_t deadline_us;    /* steady: end of back-off, of starting, of ending; 0 = none */
    uint64_t watchdog_us;    /* steady: last WATCHDOG=1, 0 = never sent one */
    uint64_t changed_unix_s; /* when its state changed */
    char status[PORTER_NOTE_BYTES];
    char sandbox[PORTER_NOTE_BYTES];
    char reason[PORTER_NOTE_BYTES]; /* how its last life ended */
} porter_role;

typedef struct {
    const sp_config *config;
    porter_start start;
    porter_events *events;
    porter_role roles[SP_ROLE_COUNT]; /* those of this office, in starting order */
    size_t roles_count;
    bool ready_once; /* the whole office was ready */
    bool stopping;
    bool failed; /* exit status 1 */
    bool dirty;  /* status.json is behind */
    uint64_t began_us;
    uint64_t sweep_us; /* when leftovers were asked to end, 0 = not yet */
    uint64_t status_written_us;
} porter;

void porter_roles_init(porter *p);
/* Moves every role on; returns the steady time of the next deadline. */
uint64_t porter_roles_turn(porter *p, uint64_t now_us);
/* A child ended. */
void porter_roles_ended(porter *p, pid_t pid, int wait_status, uint64_t now_us);
/* A role's own words, from the process with that id. */
void porter_roles_heard(porter *p, pid_t pid, sp_span words, uint64_t now_us);
void porter_roles_stop(porter *p, uint64_t now_us);
/* The hurried way: SIGKILL to all that is left. */
void porter_roles_kill(porter *p);
void porter_roles_signal(porter *p, int signal_number);
bool porter_roles_gone(const porter *p);
const char *porter_state_word(porter_state state);

/* ---- notify.c ---- */
/* Of all roles of the office, by role; ears[] begin as {.fd = -1}. SP_EIO, SP_ELIMIT: why says it.
 */
SP_MUST sp_err porter_ears_open(const sp_config *config, porter_ear *ears, sp_buf *why);
void porter_ears_close(porter_ear *ears);
/* Hands what has come to porter_roles_heard(). */
void porter_ears_read(porter *p, const porter_ear *ears, uint64_t now_us);

/* ---- status.c ---- */
/* Writes <run>/status.json, at most five times a second unless forced. */
void porter_status_write(porter *p, uint64_t now_us, bool force);
void porter_status_remove(const sp_config *config);

#endif
