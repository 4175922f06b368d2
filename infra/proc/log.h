/* SPDX-License-Identifier: Apache-2.0
 * One line a happening on standard error, for people and for the journal:
 *     2026-02-23T18:56:00.000000Z core warn text
 * OWNS nothing. PROCESS daemons, at the top of a call chain only; lib/ never logs.
 * TRUST arguments may hold hostile bytes: control bytes are replaced. Never a secret.
 * SPEC docs/STYLE.md "Errors".
 */
#ifndef SP_PROC_LOG_H
#define SP_PROC_LOG_H

typedef enum { SP_LOG_DEBUG, SP_LOG_INFO, SP_LOG_WARN, SP_LOG_ERROR, SP_LOG_COUNT } sp_log_level;

/* role is a literal; set once at start. */
void sp_log_start(const char *role, sp_log_level least);
void sp_log(sp_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
