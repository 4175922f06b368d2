/* SPDX-License-Identifier: Apache-2.0
 * Whatever decodes as an event renders as one JSON object that jansson reads, within its bounds.
 * OWNS nothing. PROCESS fuzzing. TRUST all input is hostile. SPEC lib/proto/ocsf.h.
 */
#include "lib/proto/ocsf.h"
#include "lib/proto/json.h"

#include <jansson.h>

#include <stdlib.h>

/* An entry of one event, behind the COMMON of another that it may share. */
static void check_render(const sp_event *first, const sp_event *event)
{
    auto_buf sp_buf out = sp_buf_make(SP_OCSF_COMMON_MAX_BYTES + SP_OCSF_EVENT_MAX_BYTES);
    sp_buf_byte(&out, '{');
    sp_ocsf_common(first, SP_SPAN_LIT("fuzz"), &out);
    sp_buf_text(&out, ",\"events\":[{");
    sp_ocsf_event(event, first, 1, &out);
    sp_buf_text(&out, "}]}");
    sp_span text = sp_buf_borrow(&out);
    json_t *root = json_loadb((const char *)text.ptr, text.len, JSON_ALLOW_NUL, NULL);
    if (root == NULL) {
        abort();
    }
    json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_event event;
    sp_span input = {data, size};
    if (sp_json_is_object(input)) {
        json_t *read = json_loadb((const char *)data, size, 0, NULL);
        if (read == NULL) {
            abort(); /* it would spoil the entry that holds it */
        }
        json_decref(read);
    }
    if (sp_failed(sp_event_decode(input, &event))) {
        return 0;
    }
    check_render(&event, &event);
    sp_event other = event;
    other.verdict = (uint8_t)((event.verdict + 1) % SP_VERDICT_COUNT);
    other.method = SP_SPAN_LIT("OTHER");
    if (sp_ocsf_same_common(&event, &other)) {
        check_render(&event, &other);
    }
    return 0;
}
