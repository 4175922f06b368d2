/* SPDX-License-Identifier: Apache-2.0
 * Notes, checkpoints and verifier keys never read outside their input, and what parses is written
 * back the same.
 * OWNS nothing. PROCESS fuzzing. TRUST all input is hostile. SPEC lib/merkle/note.h.
 */
#include "lib/merkle/note.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_span input = {data, size};
    sp_note note;
    sp_checkpoint checkpoint;
    sp_note_key key;
    auto_buf sp_buf again = sp_buf_make(2 * SP_NOTE_MAX_BYTES);
    if (!sp_failed(sp_note_parse(input, &note))) {
        sp_buf_span(&again, note.text);
        sp_buf_byte(&again, '\n');
        for (size_t i = 0; i < note.count; i++) {
            sp_note_sig_line(note.sigs[i].name, note.sigs[i].key_id,
                             (sp_span){note.sigs[i].bytes, note.sigs[i].len}, &again);
        }
        if (!sp_span_eq(sp_buf_borrow(&again), input)) {
            abort();
        }
        SP_IGNORE(sp_checkpoint_parse(note.text, &checkpoint)); /* looked for: memory errors */
    }
    if (!sp_failed(sp_checkpoint_parse(input, &checkpoint))) {
        sp_buf_reset(&again);
        sp_checkpoint_text(&checkpoint, &again);
        if (!sp_failed(sp_buf_error(&again)) && !sp_span_starts(input, sp_buf_borrow(&again))) {
            abort();
        }
    }
    if (!sp_failed(sp_note_key_parse(input, &key)) && key.name.len == 0) {
        abort();
    }
    return 0;
}
