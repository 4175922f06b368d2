/* SPDX-License-Identifier: Apache-2.0
 * The log line.
 * OWNS nothing. PROCESS daemons. TRUST arguments may be hostile. SPEC infra/proc/log.h.
 */
#include "infra/proc/log.h"

#include "infra/proc/clock.h"
#include "lib/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 };

static const char *log_role = "sallyport";
static sp_log_level log_least = SP_LOG_INFO;

void sp_log_start(const char *role, sp_log_level least)
{
    log_role = role;
    log_least = least;
}

void sp_log(sp_log_level level, const char *format, ...)
{
    static const char *const words[SP_LOG_COUNT] = {"debug", "info", "warn", "error"};
    if (level < log_least) {
        return;
    }
    char text[LINE_MAX_BYTES / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            *p = '?';
        }
    }
    auto_buf sp_buf line = sp_buf_make(LINE_MAX_BYTES);
    sp_buf_time(&line, sp_now_unix_us());
    sp_buf_fmt(&line, " %s %s %s\n", log_role, words[level], text);
    sp_span out = sp_buf_borrow(&line);
    ssize_t written = write(STDERR_FILENO, out.ptr, out.len);
    (void)written; /* nowhere left to complain */
}
