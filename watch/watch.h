/* SPDX-License-Identifier: Apache-2.0
 * The watch as its parts see it.
 * OWNS nothing of its own. PROCESS watch. TRUST see each part. SPEC watch/README.md.
 */
#ifndef SP_WATCH_WATCH_H
#define SP_WATCH_WATCH_H

#include "infra/crypto/aead.h"
#include "infra/ipc/line.h"
#include "infra/place/place.h"
#include "infra/proc/config.h"
#include "infra/proc/jumps.h"
#include "lib/detect/engine.h"
#include "lib/proto/ledger_msg.h"

enum { SP_WATCH_PENDING_MAX = 1000 };

/* An alarm that core has not taken yet: its body. */
typedef struct pending {
    struct pending *next;
    struct watch *watch;
    bool asked; /* its reply is to come */
    size_t len;
    uint8_t body[];
} pending;

typedef struct watch {
    const sp_config *config;
    uv_loop_t loop;
    uv_signal_t term;
    uv_timer_t second;
    sp_line *core;
    sp_line *ledger;
    sp_places *places; /* NULL: nothing is known of places */
    char *state_path;

    /* program.c */
    sp_detect_engine *engine; /* NULL: no program yet */
    uint64_t version;         /* of the engine's program */
    sp_detections wanted;     /* what core says is in force */
    sp_buf program;           /* as far as it has come */
    bool fetching;

    /* follow.c */
    bool asked;            /* a FOLLOW waits for its reply */
    uint64_t next;         /* first entry that was not looked at */
    uint64_t behind;       /* entries that are there and were not looked at */
    uint64_t last_us;      /* time of the last event looked at */
    uint64_t tell_from_us; /* nothing older is told: what there was before the watch */
    sp_buf room;
    sp_jumps clock;
    int64_t jump_us;        /* how far the clock was set last */
    uint64_t jump_until_us; /* steady; events may come until then that are of the clock before */
    uint64_t jump_next;     /* entries before this one are, whenever they are looked at */
    uint64_t tick_us;       /* steady, of the last tick */
    uint64_t evicted;       /* keys that were dropped, as it was told last */
    uint64_t forgot_us;     /* steady, when the last of them was; 0 = never */

    /* alarms.c */
    pending *pending_first;
    pending *pending_last;
    size_t pending_count;
    uint64_t told;

    /* kept.c */
    sp_key key;
    sp_buf wrapped; /* the key, as the vault wrapped it */
    sp_buf kept;    /* the engine's state as read, until there is a program */
    bool dirty;
    uint64_t save_after_us; /* steady */
} watch;

/* kept.c: reads what there is and gets the key for it from the vault; before the loop runs. */
SP_MUST sp_err watch_kept_start(watch *w);
/* Saves, when it may and is worth it. */
void watch_kept_save(watch *w, bool now);
/* program.c */
void watch_program_hello(watch *w);
void watch_program_changed(watch *w, sp_span body);
/* follow.c */
void watch_follow(watch *w);
/* Looks at the clock; one that was set moves what the engine remembers. */
void watch_clock(watch *w);
/* alarms.c */
void watch_alarm(void *self, const sp_alarm *alarm);
void watch_alarms_send(watch *w);

#endif
