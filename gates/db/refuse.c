/* SPDX-License-Identifier: Apache-2.0
 * Refusals as PostgreSQL clients read them.
 * OWNS nothing. PROCESS db gate workers. TRUST texts may quote clients: cut, never interpreted.
 * SPEC PostgreSQL 15 manual, 55.8 (error fields), appendix A (SQLSTATE).
 */
#include "gates/db/db.h"

#include <stdarg.h>
#include <stdio.h>

void db_refuse(db_refusal *refusal, const char *sqlstate, sp_reason reason, const char *message,
               ...)
{
    *refusal = (db_refusal){.reason = reason, .reference = sp_recorder_reference()};
    SP_IGNORE(sp_fit(refusal->sqlstate, sizeof(refusal->sqlstate),
                     sp_span_cstr(sqlstate))); /* five letters */
    va_list arguments;
    va_start(arguments, message);
    vsnprintf(refusal->message, sizeof(refusal->message), message, arguments);
    va_end(arguments);
}

void db_refusal_write(const db_refusal *refusal, const char *severity, sp_buf *out)
{
    auto_buf sp_buf detail = sp_buf_make(sizeof(refusal->detail) + 64);
    sp_buf_text(&detail, refusal->detail);
    if (refusal->reference != 0) {
        char reference[SP_REFERENCE_TEXT_BYTES];
        sp_reference_text(refusal->reference, reference);
        sp_buf_text(&detail, refusal->detail[0] != '\0' ? " " : "");
        sp_buf_fmt(&detail, "Reference %s.", reference);
    }
    auto_buf sp_buf position = sp_buf_make(16);
    if (refusal->position > 0) {
        sp_buf_fmt(&position, "%u", refusal->position);
    }
    const sp_pg_error error = {.severity = sp_span_cstr(severity),
                               .sqlstate = sp_span_cstr(refusal->sqlstate),
                               .message = sp_span_cstr(refusal->message),
                               .detail = sp_buf_borrow(&detail),
                               .hint = sp_span_cstr(refusal->hint),
                               .position = sp_buf_borrow(&position)};
    sp_pg_error_write(out, 'E', &error);
}

void db_refusal_poison(bool simple, sp_buf *out)
{
    static const char text[] = "this statement was refused by the gate";
    if (simple) {
        sp_pg_query_write(out, sp_span_cstr(text));
    } else {
        sp_pg_parse_write(out, SP_SPAN_LIT("sallyport refused"), sp_span_cstr(text));
    }
}
