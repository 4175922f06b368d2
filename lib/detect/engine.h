/* SPDX-License-Identifier: Apache-2.0
 * The engine: events in, alarms out, in bounded memory. What it will say depends on its program,
 * its state and the events alone: after a restart with the last state it says the same again, with
 * the same ids.
 *
 * Time is event time. An event that is later than the clock given plus ten minutes counts as of the
 * clock. One that is older than what its window still holds is counted as late and left out. When
 * the clock is set while the engine runs, what windows hold moves with it (sp_detect_engine_jump),
 * so that a jump neither empties a window nor ends a quiet. When the clock is more than ten minutes
 * behind what was seen and nobody said so (it was set back while nobody ran), what windows hold of
 * the future is dropped. jumps counts both. What stays away is counted in time that passed, not by
 * the clock.
 *
 * Memory: each detection has at most keys_max keys, all together memory_max bytes; past that the
 * key that was quiet for longest is dropped; evicted counts it when its window, or its quiet, still
 * ran. Windows are counted in 31
 * steps: they are up to 1/31 longer than written.
 *
 * OWNS its tables and the program. PROCESS watch, cli. TRUST events hold what hostile people wrote;
 * hashes are seeded. SPEC docs/DETECTIONS.md.
 */
#ifndef SP_DETECT_ENGINE_H
#define SP_DETECT_ENGINE_H

#include "lib/detect/program.h"
#include "lib/proto/watch_msg.h"

enum {
    SP_DETECT_SEED_BYTES = 16,
    SP_DETECT_MEMORY_DEFAULT_BYTES = 256 * 1024 * 1024,
    SP_DETECT_STATE_MAX_BYTES = 512 * 1024 * 1024
};

/* Where an address is, by the operator's place data. */
typedef struct {
    double latitude;
    double longitude;
    char country[2];
} sp_detect_place;

typedef struct {
    /* The alarm is valid during the call. */
    void (*alarm)(void *self, const sp_alarm *alarm);
    /* NULL: nothing is known of places. Asked only when a detection needs it. */
    bool (*place)(void *self, const uint8_t peer[16], sp_detect_place *ret_place);
    void *self;
} sp_detect_calls;

typedef struct {
    uint64_t events;  /* looked at */
    uint64_t matched; /* times that a detection took one */
    uint64_t alarms;
    uint64_t quiet; /* alarms held back because the key had spoken */
    uint64_t late;
    uint64_t evicted;
    uint64_t jumps; /* the clock was set */
    uint64_t memory_bytes;
} sp_detect_stats;

/* Of one detection. */
typedef struct {
    uint64_t matched;
    uint64_t alarms;
    uint64_t evicted;
    uint32_t keys;
} sp_detect_rule_stats;

typedef struct sp_detect_engine sp_detect_engine;

/* program: bytes of sp_detect_program_write(). seed is random, of this office's watch. */
SP_MUST sp_err sp_detect_engine_new(sp_span program, const uint8_t seed[SP_DETECT_SEED_BYTES],
                                    uint64_t memory_max, const sp_detect_calls *calls,
                                    sp_detect_engine **ret_engine);
void sp_detect_engine_free(sp_detect_engine *engine);
void sp_detect_engine_auto_(sp_detect_engine **engine);
#define auto_detect_engine __attribute__((cleanup(sp_detect_engine_auto_)))

/* Live, or a test over the past: stands in each alarm. */
void sp_detect_engine_mode(sp_detect_engine *engine, sp_alarm_mode mode);
/* One event of the ledger; now_unix_us is the clock. */
void sp_detect_engine_event(sp_detect_engine *engine, const sp_event *event, uint64_t entry,
                            uint16_t at, uint64_t now_unix_us);
/* The clock was set by so much; back: negative. Events are of the new clock from now on. */
void sp_detect_engine_jump(sp_detect_engine *engine, int64_t by_us);
/* So much time has passed since the last call, by a clock that nobody sets. Looks for what stayed
 * away when no events wait (is_in_time). */
void sp_detect_engine_tick(sp_detect_engine *engine, uint64_t now_unix_us, uint64_t passed_us,
                           bool is_in_time);

/* Its state, to be loaded by an engine that may have another program: detections that are the same
 * go on, others begin anew. A failure stays in the buffer. */
void sp_detect_engine_save(const sp_detect_engine *engine, sp_buf *out);
/* Into a new engine. SP_EINVALID, SP_ESHORT, SP_ELIMIT: nothing was taken. */
SP_MUST sp_err sp_detect_engine_load(sp_detect_engine *engine, sp_span state);

const sp_detect_program *sp_detect_engine_program(const sp_detect_engine *engine);
sp_detect_stats sp_detect_engine_stats(const sp_detect_engine *engine);
sp_detect_rule_stats sp_detect_engine_rule_stats(const sp_detect_engine *engine, size_t rule);

#endif
