/* SPDX-License-Identifier: Apache-2.0
 * Fuzzing public keys and their lines: what is read must print to a line that reads to the same.
 * OWNS nothing. PROCESS fuzz. TRUST the input is hostile. SPEC lib/ssh/key.h.
 */
#include "lib/ssh/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void line(sp_span text, sp_ssh_line_kind kind)
{
    auto_buf sp_buf room = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES);
    auto_buf sp_buf again = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES);
    auto_buf sp_buf printed = sp_buf_make(SP_SSH_KEY_LINE_MAX_BYTES);
    sp_ssh_key_line got;
    sp_ssh_key_line same;
    if (sp_failed(sp_ssh_key_line_parse(text, kind, &room, &got))) {
        return;
    }
    sp_span rest = got.options;
    sp_span name;
    sp_span value;
    bool ok = false;
    while (sp_ssh_option_next(&rest, &name, &value, &ok)) {
    }
    sp_ssh_key_text(got.blob, &printed);
    if (sp_failed(
            sp_ssh_key_line_parse(sp_buf_borrow(&printed), SP_SSH_LINE_PUBLIC, &again, &same)) ||
        !sp_span_eq(got.blob, same.blob)) {
        __builtin_trap();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_ssh_key key;
    sp_span text = sp_span_of(data, size);
    if (!sp_failed(sp_ssh_key_parse(text, &key)) && key.type >= SP_SSH_KEY_TYPE_COUNT) {
        __builtin_trap();
    }
    line(text, SP_SSH_LINE_PUBLIC);
    line(text, SP_SSH_LINE_AUTHORIZED);
    line(text, SP_SSH_LINE_KNOWN_HOST);
    return 0;
}
