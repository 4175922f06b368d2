/* SPDX-License-Identifier: Apache-2.0
 * Columns of devices that are more than a member.
 * OWNS nothing. PROCESS cli. TRUST none. SPEC docs/man/sallyport-device.1.
 */
#include "cli/handlers.h"
#include "cli/table.h"

const char *sp_device_state(const json_t *device)
{
    return json_is_true(json_object_get(device, "cloned")) ? "cloned"
                                                           : sp_json_text(device, "state");
}

/* The first 16 digits of the key's hash, as the agent shows them: "1a2b-3c4d-5e6f-7081". */
const char *sp_device_key(const json_t *device)
{
    static char text[20];
    const char *hex = sp_json_text(device, "key_fingerprint");
    if (sp_span_cstr(hex).len < 16) {
        return "";
    }
    snprintf(text, sizeof(text), "%.4s-%.4s-%.4s-%.4s", hex, hex + 4, hex + 8, hex + 12);
    return text;
}
