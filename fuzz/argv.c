/* SPDX-License-Identifier: Apache-2.0
 * Fuzzing commands: what splits must quote to something that splits to the same words.
 * OWNS nothing. PROCESS fuzz. TRUST the input is hostile. SPEC lib/argv/argv.h.
 */
#include "lib/argv/argv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sp_argv argv;
static sp_argv again;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_span text = sp_span_of(data, size);
    size_t line = sp_span_index(text, '\n');
    sp_span template_text = sp_span_slice(text, line + 1, size);
    text = sp_span_slice(text, 0, line);
    (void)sp_command_looks_like_transfer(text);
    if (sp_failed(sp_argv_split(text, &argv))) {
        return 0;
    }
    auto_buf sp_buf quoted = sp_buf_make(1 << 16);
    sp_argv_quote(&argv, &quoted);
    sp_span spelt = sp_buf_borrow(&quoted);
    if (spelt.len == 0) {
        __builtin_trap();
    }
    if (spelt.len <= SP_ARGV_BYTES_MAX) {
        if (sp_failed(sp_argv_split(spelt, &again)) || again.count != argv.count) {
            __builtin_trap();
        }
        for (size_t i = 0; i < argv.count; i++) {
            if (!sp_span_eq(argv.words[i], again.words[i])) {
                __builtin_trap();
            }
        }
    }
    sp_command c = sp_command_recognise(&argv);
    if (c.kind >= SP_COMMAND_KIND_COUNT || c.paths_count > SP_COMMAND_PATHS_MAX) {
        __builtin_trap();
    }
    if (sp_argv_template_fault(template_text) == NULL) {
        for (size_t i = 0; i < argv.count; i++) {
            (void)sp_argv_template_fits(template_text, argv.words[i]);
        }
    }
    return 0;
}
