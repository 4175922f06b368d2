/* SPDX-License-Identifier: Apache-2.0
 * Reading the client's messages of SCRAM.
 * OWNS nothing. PROCESS core. TRUST hostile. SPEC lib/proto/scram_msg.h.
 */
#include "lib/proto/scram_msg.h"

#include "lib/base/mem.h"

enum { FIRST_PRINTABLE = 0x21, LAST_PRINTABLE = 0x7e };

/* Takes "x=value" off *rest; false when the next attribute is not that one. */
static bool take(sp_span *rest, char name, sp_span *ret_value)
{
    sp_span piece = SP_SPAN_EMPTY;
    sp_span copy = *rest;
    if (!sp_span_split(&copy, ',', &piece) || piece.len < 2 || piece.ptr[0] != (uint8_t)name ||
        piece.ptr[1] != '=') {
        return false;
    }
    *rest = copy;
    *ret_value = sp_span_slice(piece, 2, piece.len);
    return true;
}

static bool nonce_ok(sp_span nonce)
{
    for (size_t i = 0; i < nonce.len; i++) {
        if (nonce.ptr[i] < FIRST_PRINTABLE || nonce.ptr[i] > LAST_PRINTABLE) {
            return false;
        }
    }
    return nonce.len > 0 && nonce.len <= SP_SCRAM_NONCE_MAX_BYTES;
}

/* "n,,", "y,," or "p=tls-server-end-point,,": no identity to act as. */
static sp_err read_gs2(sp_span message, sp_scram_first *first)
{
    static const struct {
        const char *text;
        sp_scram_bind bind;
    } HEADS[] = {{"n,,", SP_SCRAM_BIND_NONE},
                 {"y,,", SP_SCRAM_BIND_NOT_SEEN},
                 {"p=tls-server-end-point,,", SP_SCRAM_BIND_END_POINT}};
    for (size_t i = 0; i < SP_COUNT(HEADS); i++) {
        sp_span head = sp_span_cstr(HEADS[i].text);
        if (sp_span_starts(message, head)) {
            first->bind = HEADS[i].bind;
            first->gs2 = sp_span_slice(message, 0, head.len);
            first->bare = sp_span_slice(message, head.len, message.len);
            return sp_ok();
        }
    }
    return sp_fail(SP_EUNSUPPORTED);
}

sp_err sp_scram_first_read(sp_span message, sp_scram_first *ret_first)
{
    sp_scram_first first = {0};
    sp_span name = SP_SPAN_EMPTY;
    if (!sp_span_is_utf8(message) || sp_span_index(message, 0) != message.len) {
        return sp_fail(SP_EINVALID);
    }
    TRY(read_gs2(message, &first));
    sp_span rest = first.bare;
    if (sp_span_starts(rest, SP_SPAN_LIT("m="))) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    if (!take(&rest, 'n', &name) || !take(&rest, 'r', &first.nonce) || !nonce_ok(first.nonce)) {
        return sp_fail(SP_EINVALID);
    }
    *ret_first = first; /* extensions behind it are no business of ours */
    return sp_ok();
}

static sp_err read_proof(sp_span text, uint8_t ret_proof[SP_SCRAM_PROOF_BYTES])
{
    auto_buf sp_buf proof = sp_buf_make(SP_SCRAM_PROOF_BYTES);
    TRY(sp_buf_unbase64(&proof, text));
    if (proof.len != SP_SCRAM_PROOF_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    sp_copy(ret_proof, proof.ptr, proof.len);
    return sp_ok();
}

sp_err sp_scram_final_read(sp_span message, sp_scram_final *ret_final)
{
    sp_scram_final final = {0};
    if (!sp_span_is_utf8(message) || sp_span_index(message, 0) != message.len) {
        return sp_fail(SP_EINVALID);
    }
    /* base64 holds no ',', so the proof begins behind the last one */
    size_t comma = message.len;
    while (comma > 0 && message.ptr[comma - 1] != ',') {
        comma--;
    }
    sp_span proof = sp_span_slice(message, comma, message.len);
    if (comma == 0 || !sp_span_starts(proof, SP_SPAN_LIT("p="))) {
        return sp_fail(SP_EINVALID);
    }
    final.bare = sp_span_slice(message, 0, comma - 1);
    sp_span rest = final.bare;
    if (!take(&rest, 'c', &final.binding) || !take(&rest, 'r', &final.nonce) ||
        final.nonce.len > 2 * (size_t)SP_SCRAM_NONCE_MAX_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    TRY(read_proof(sp_span_slice(proof, 2, proof.len), final.proof));
    *ret_final = final;
    return sp_ok();
}
