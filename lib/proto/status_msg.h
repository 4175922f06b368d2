/* SPDX-License-Identifier: Apache-2.0
 * What staff may read of the office's state without signing in: texts that a person wrote, as core
 * tells them to the launcher of the web gate, which serves them even when core is gone.
 * OWNS nothing: spans point into the body. PROCESS core writes, web role reads. TRUST bodies are
 * bounded; texts are public. SPEC docs/OPERATIONS.md "Status page".
 */
#ifndef SP_PROTO_STATUS_MSG_H
#define SP_PROTO_STATUS_MSG_H

#include "lib/base/buf.h"
#include "lib/base/reader.h"

enum { SP_STATUS_ITEMS_MAX = 40, SP_STATUS_NAME_MAX_BYTES = 120, SP_STATUS_TEXT_MAX_BYTES = 1000 };

typedef enum {
    SP_STATUS_WORKING,
    SP_STATUS_SLOW,
    SP_STATUS_DOWN,
    SP_STATUS_MAINTENANCE,
    SP_STATUS_STATE_COUNT
} sp_status_state;

typedef struct {
    uint8_t state;         /* sp_status_state */
    uint64_t since_unix_s; /* when it came to be so */
    uint64_t until_unix_s; /* expected to be over; 0 = not said */
    sp_span name_en;       /* of a group of services, as staff call it */
    sp_span name_zh;
    sp_span text_en; /* cause and what to do, may be empty */
    sp_span text_zh;
} sp_status_item;

typedef struct {
    uint64_t told_unix_s;
    size_t count;
    sp_status_item items[SP_STATUS_ITEMS_MAX];
} sp_status_page;

void sp_status_page_write(const sp_status_page *page, sp_buf *out);
/* SP_ESHORT, SP_ELIMIT, SP_EINVALID. */
SP_MUST sp_err sp_status_page_read(sp_span body, sp_status_page *ret_page);

const char *sp_status_state_word(sp_status_state state);
SP_MUST sp_err sp_status_state_of(sp_span word, sp_status_state *ret_state);

#endif
