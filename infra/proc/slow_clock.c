/* SPDX-License-Identifier: Apache-2.0
 * A clock for what cannot be taken back.
 * OWNS nothing. PROCESS any. TRUST see the header. SPEC infra/proc/slow_clock.h.
 */
#include "infra/proc/slow_clock.h"

#include "infra/proc/file.h"
#include "lib/base/buf.h"
#include "lib/base/mem.h"

#define KEEP_EVERY_US (UINT64_C(60) * 1000000)
enum { FILE_MAX_BYTES = 64 };

static sp_err read_file(sp_slow_clock *clock)
{
    auto_buf sp_buf text = sp_buf_make(FILE_MAX_BYTES);
    TRY(sp_file_read(clock->path, &text));
    sp_span rest = sp_span_trim(sp_buf_borrow(&text));
    sp_span believed = SP_SPAN_EMPTY;
    if (!sp_span_split(&rest, ' ', &believed)) {
        return sp_fail(SP_EINVALID);
    }
    TRY(sp_span_to_u64(believed, UINT64_MAX / 2, &clock->unix_us));
    return sp_span_to_u64(rest, SP_SLOW_CLOCK_DAY_US, &clock->doubted_us);
}

/* An old file makes the next start doubt more, not less. */
static void keep(sp_slow_clock *clock)
{
    auto_buf sp_buf text = sp_buf_make(FILE_MAX_BYTES);
    sp_buf_fmt(&text, "%llu %llu\n", (unsigned long long)clock->unix_us,
               (unsigned long long)clock->doubted_us);
    if (!sp_failed(sp_file_replace(clock->path, 0600, sp_buf_borrow(&text)))) {
        clock->kept_us = clock->unix_us;
    }
}

sp_err sp_slow_clock_open(sp_slow_clock *clock, const char *path, uint64_t now_unix_us,
                          uint64_t now_steady_us)
{
    *clock =
        (sp_slow_clock){.path = path, .steady_us = now_steady_us, .ahead_us = SP_SLOW_CLOCK_DAY_US};
    sp_err err = read_file(clock);
    if (err.code == SP_ENOTFOUND) {
        clock->unix_us = now_unix_us;
        keep(clock);
        return sp_ok();
    }
    clock->kept_us = clock->unix_us;
    return err;
}

bool sp_slow_clock_tick(sp_slow_clock *clock, uint64_t now_unix_us, uint64_t now_steady_us)
{
    uint64_t ran_us = now_steady_us - clock->steady_us;
    uint64_t was_doubted_us = clock->doubted_us;
    clock->steady_us = now_steady_us;
    clock->unix_us += ran_us;
    clock->doubted_us += ran_us + 1;
    uint64_t may = SP_SLOW_CLOCK_DAY_US - clock->ahead_us; /* that it has lost */
    clock->ahead_us += ran_us < may ? ran_us : may;
    uint64_t step_us = now_unix_us > clock->unix_us ? now_unix_us - clock->unix_us : 0;
    if (step_us <= clock->ahead_us || clock->doubted_us >= SP_SLOW_CLOCK_DAY_US) {
        clock->ahead_us -= step_us < clock->ahead_us ? step_us : clock->ahead_us;
        clock->unix_us = now_unix_us;
        clock->doubted_us = 0;
    }
    if (clock->unix_us < clock->kept_us || clock->unix_us - clock->kept_us >= KEEP_EVERY_US ||
        (was_doubted_us == 0) != (clock->doubted_us == 0)) {
        keep(clock);
    }
    return was_doubted_us == 0 && clock->doubted_us > 0;
}
