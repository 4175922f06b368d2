/* SPDX-License-Identifier: Apache-2.0
 * What this computer is, and a few honest checks of its state. All of it is self-reported: a
 * computer that somebody else rules can lie. Policy may ask for it, but it proves nothing.
 * OWNS nothing. PROCESS agent. TRUST files and tools of this computer, read with limits.
 * SPEC docs/man/sallyport-agent.1 "POSTURE".
 */
#ifndef SP_AGENT_PLATFORM_H
#define SP_AGENT_PLATFORM_H

#include "agent/agent.h"

#include <jansson.h>

enum { SP_CHECK_DETAIL_BYTES = 160 };

typedef enum {
    SP_CHECK_UNKNOWN,
    SP_CHECK_PASS,
    SP_CHECK_FAIL,
    SP_CHECK_RESULT_COUNT
} sp_check_result;

typedef struct {
    const char *name;
    sp_check_result result;
    char detail[SP_CHECK_DETAIL_BYTES]; /* the reason, and for a fail what to do */
} sp_check;

enum { SP_CHECKS_COUNT = 5 };

/* {os, version, arch, hostname, agent}; the caller owns it. */
json_t *sp_platform_json(void);
/* Takes up to a few seconds (asks apt). */
void sp_posture_check(sp_check ret_checks[SP_CHECKS_COUNT]);
const char *sp_check_word(sp_check_result result);
/* [{name, result, detail}]; the caller owns it. */
json_t *sp_posture_json(const sp_check checks[SP_CHECKS_COUNT]);

#endif
