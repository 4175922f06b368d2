/* SPDX-License-Identifier: Apache-2.0
 * The status page as a message.
 * OWNS nothing. PROCESS core, web role. TRUST bodies are bounded. SPEC lib/proto/status_msg.h.
 */
#include "lib/proto/status_msg.h"

static const char *const STATES[] = {"working", "slow", "down", "maintenance"};
_Static_assert(SP_COUNT(STATES) == SP_STATUS_STATE_COUNT, "a word for each");

const char *sp_status_state_word(sp_status_state state)
{
    return (unsigned)state < SP_STATUS_STATE_COUNT ? STATES[state] : "?";
}

sp_err sp_status_state_of(sp_span word, sp_status_state *ret_state)
{
    for (unsigned i = 0; i < SP_STATUS_STATE_COUNT; i++) {
        if (sp_span_eq(word, sp_span_cstr(STATES[i]))) {
            *ret_state = (sp_status_state)i;
            return sp_ok();
        }
    }
    return sp_fail(SP_EINVALID);
}

void sp_status_page_write(const sp_status_page *page, sp_buf *out)
{
    sp_buf_u64(out, page->told_unix_s);
    sp_buf_u8(out, (uint8_t)page->count);
    for (size_t i = 0; i < page->count; i++) {
        const sp_status_item *item = &page->items[i];
        sp_buf_u8(out, item->state);
        sp_buf_u64(out, item->since_unix_s);
        sp_buf_u64(out, item->until_unix_s);
        sp_buf_bytes(out, item->name_en);
        sp_buf_bytes(out, item->name_zh);
        sp_buf_bytes(out, item->text_en);
        sp_buf_bytes(out, item->text_zh);
    }
}

sp_err sp_status_page_read(sp_span body, sp_status_page *ret_page)
{
    sp_reader in = sp_reader_of(body);
    sp_set(ret_page, 0, sizeof(*ret_page));
    ret_page->told_unix_s = sp_read_u64(&in);
    size_t count = sp_read_u8(&in);
    if (count > SP_STATUS_ITEMS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    for (size_t i = 0; i < count; i++) {
        sp_status_item *item = &ret_page->items[i];
        item->state = sp_read_enum(&in, SP_STATUS_STATE_COUNT);
        item->since_unix_s = sp_read_u64(&in);
        item->until_unix_s = sp_read_u64(&in);
        item->name_en = sp_read_text(&in, SP_STATUS_NAME_MAX_BYTES);
        item->name_zh = sp_read_text(&in, SP_STATUS_NAME_MAX_BYTES);
        item->text_en = sp_read_text(&in, SP_STATUS_TEXT_MAX_BYTES);
        item->text_zh = sp_read_text(&in, SP_STATUS_TEXT_MAX_BYTES);
    }
    TRY(sp_reader_finish(&in));
    ret_page->count = count;
    return sp_ok();
}
