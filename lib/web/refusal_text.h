/* SPDX-License-Identifier: Apache-2.0
 * The sentences of refusals, in English and Chinese.
 * OWNS nothing: static text. PROCESS web gate. TRUST none. SPEC lib/web/refusal.h.
 */
#ifndef SP_WEB_REFUSAL_TEXT_H
#define SP_WEB_REFUSAL_TEXT_H

#include "lib/policy/types.h"

/* Ready for HTML and JSON: no character in them needs escaping. */
typedef struct {
    const char *title;
    const char *why;
    const char *mend;
} sp_refusal_says;

typedef struct {
    const char *language; /* for <html lang> */
    const char *what_to_do;
    const char *reference;
    const char *resource;
    const char *action;
    const char *person;
    const char *device;
    const char *time;
    const char *portal;
} sp_refusal_words;

sp_refusal_says sp_refusal_say(sp_reason reason, uint16_t status, bool chinese);
const sp_refusal_words *sp_refusal_words_of(bool chinese);
const char *sp_refusal_action(sp_action action, bool chinese);

#endif
