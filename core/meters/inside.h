/* SPDX-License-Identifier: Apache-2.0
 * What the files of core/meters share.
 * OWNS nothing. PROCESS core. TRUST see meters.h. SPEC core/meters/README.md.
 */
#ifndef SP_CORE_METERS_INSIDE_H
#define SP_CORE_METERS_INSIDE_H

#include "core/meters/meters.h"
#include "lib/proto/ledger_msg.h"

enum { METER_SECONDS = 600, METER_MINUTES = 24 * 60 };

/* What the console draws: rates a second, and a few levels. */
typedef enum {
    SERIES_WEB,
    SERIES_DB,
    SERIES_SSH,
    SERIES_WEB_REFUSED,
    SERIES_DB_REFUSED,
    SERIES_SSH_REFUSED,
    SERIES_EVENTS,
    SERIES_ENTRIES,
    SERIES_BYTES_IN,
    SERIES_BYTES_OUT,
    SERIES_ALARMS,
    SERIES_DELAY_MS,  /* level: from happening to disk, mean of that second */
    SERIES_SESSIONS,  /* level */
    SERIES_DB_OPEN,   /* level */
    SERIES_SSH_OPEN,  /* level */
    SERIES_WATCH_LAG, /* level, ms */
    SERIES_COUNT
} meter_series;

typedef struct {
    uint64_t at_unix_s; /* 0 = empty */
    double values[SERIES_COUNT];
} meter_sample;

/* The ledger's state, without its texts. */
typedef struct {
    bool known;
    bool recording;
    uint64_t entries;
    uint64_t bytes;
    uint64_t lost;
    uint64_t checkpoint_unix_us;
    uint64_t sources;
} meter_ledger;

/* What core speaks to. */
typedef enum { METER_LEDGER, METER_WATCH, METER_VAULT, METER_COURIER, METER_PARTS } meter_part;

struct sp_meters {
    sp_core *core;
    uv_timer_t timer;
    bool asked;
    bool stopping;
    sp_ledger_meters now; /* started_unix_us 0 = none came yet */
    sp_ledger_meters before;
    meter_ledger ledger;
    uint64_t ledger_us;            /* steady: when that came */
    uint64_t seen_us[METER_PARTS]; /* steady: when it was there last */
    bool told[METER_PARTS];        /* that it is away */
    uint64_t entries_before;
    uint64_t asked_us;  /* steady: of the figures in now */
    uint64_t before_us; /* steady: of those in before */
    meter_sample seconds[METER_SECONDS];
    meter_sample minutes[METER_MINUTES];
    meter_sample minute; /* sums of the minute that runs */
    unsigned minute_count;
    size_t seconds_at; /* next place */
    size_t minutes_at;
};

/* away.c: once a second */
void meter_look_for_away(sp_meters *meters);
/* rates.c */
void meter_take(sp_meters *meters);
SP_MUST sp_err meter_rates_routes(sp_core *core);
/* text.c */
void meter_text(const sp_meters *meters, sp_buf *out);
/* token.c */
SP_MUST sp_err meter_token_start(sp_core *core);

/* ---- text format, for text.c and for rooms with rows of their own ---- */
/* "# HELP", "# TYPE". */
void sp_meter_head(sp_buf *out, const char *name, const char *type, const char *help);
/* One row; label NULL = none. */
void sp_meter_row(sp_buf *out, const char *name, const char *label, sp_span value, double number);

#endif
