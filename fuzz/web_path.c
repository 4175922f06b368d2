/* SPDX-License-Identifier: Apache-2.0
 * Paths of any bytes: a path that is accepted is in its one spelling, so reading what the upstream
 * gets must give the same path again.
 * OWNS nothing. PROCESS fuzzing. TRUST none. SPEC lib/web/path.h.
 */
#include "lib/base/mem.h"
#include "lib/web/path.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t room[4 * SP_WEB_PATH_MAX_BYTES];
    static uint8_t again_room[4 * 3 * SP_WEB_PATH_MAX_BYTES];
    static uint8_t cut[SP_WEB_PATH_MAX_BYTES];
    sp_web_path path;
    if (sp_web_path_read((sp_span){data, size}, room, &path) != SP_PATH_OK) {
        return 0;
    }
    sp_span bare = sp_web_path_without_params(path.plain, cut);
    if (bare.len > path.plain.len || sp_span_index(bare, ';') != bare.len) {
        abort();
    }
    sp_web_path again;
    if (path.wire.len > SP_WEB_PATH_MAX_BYTES) {
        return 0;
    }
    if (sp_web_path_read(path.wire, again_room, &again) != SP_PATH_OK ||
        !sp_span_eq(again.plain, path.plain) || !sp_span_eq(again.wire, path.wire)) {
        abort();
    }
    return 0;
}
