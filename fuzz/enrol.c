/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: what an agent sends: codes, certificate requests in PEM, posture checks and platform in
 * JSON. OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC core/devices/enrol.h.
 */
#include "core/devices/enrol.h"

#include <stdlib.h>

static void checks(const json_t *value)
{
    sp_posture posture = SP_POSTURE_COUNT;
    const char *expected = NULL;
    sp_err err = sp_enrol_posture(value, &posture, &expected);
    if (sp_failed(err) ? posture != SP_POSTURE_COUNT : posture >= SP_POSTURE_COUNT) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_span input = sp_span_of(data, size);
    sp_hash hash;
    if (!sp_failed(sp_enrol_code_hash(input, &hash)) && size < 16) {
        abort(); /* a code has 16 letters */
    }
    auto_buf sp_buf der = sp_buf_make(4096);
    if (!sp_failed(sp_enrol_csr_der(input, &der)) && der.len > size) {
        abort();
    }
    json_t *value = json_loadb((const char *)data, size, JSON_DECODE_ANY, NULL);
    checks(value);
    if (sp_enrol_platform_ok(value) && json_object_get(value, "os") == NULL) {
        abort();
    }
    json_decref(value);
    return 0;
}
