/* SPDX-License-Identifier: Apache-2.0
 * Reading the scp protocol.
 * OWNS nothing. PROCESS ssh gate. TRUST both sides are hostile. SPEC lib/proto/scp.h.
 */
#include "lib/proto/scp.h"

enum { GOOD = 0, WARNING = 1, FATAL = 2, MODE_DIGITS = 4 };

void sp_scp_init(sp_scp *scp, sp_scp_side side)
{
    sp_set(scp, 0, sizeof(*scp));
    scp->side = (uint8_t)side;
}

/* A line's rest after its first byte, split at blanks. */
static sp_span next_word(sp_span *rest)
{
    sp_span word = SP_SPAN_EMPTY;
    (void)sp_span_split(rest, ' ', &word);
    return word;
}

static sp_err read_mode(sp_span word, uint32_t *ret_mode)
{
    uint32_t mode = 0;
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] < '0' || word.ptr[i] > '7') {
            return sp_fail(SP_EINVALID);
        }
        mode = mode << 3 | (uint32_t)(word.ptr[i] - '0');
    }
    *ret_mode = mode;
    return word.len == MODE_DIGITS ? sp_ok() : sp_fail(SP_EINVALID);
}

static bool is_name(sp_span name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] < 0x20 || name.ptr[i] == 0x7f || name.ptr[i] == '/') {
            return false;
        }
    }
    return name.len > 0 && name.len <= SP_SCP_NAME_MAX_BYTES &&
           !sp_span_eq(name, SP_SPAN_LIT(".")) && !sp_span_eq(name, SP_SPAN_LIT(".."));
}

/* C0644 299 name */
static sp_err read_entry(sp_scp *scp, sp_span rest, sp_scp_event *event)
{
    TRY(read_mode(next_word(&rest), &event->mode));
    TRY(sp_span_to_u64(next_word(&rest), INT64_MAX, &event->size));
    event->name = rest;
    if (!is_name(event->name)) {
        return sp_fail(SP_EINVALID);
    }
    if (event->kind == SP_SCP_FILE) {
        scp->in_file = true;
        scp->left = event->size;
        return sp_ok();
    }
    return ++scp->depth > SP_SCP_DEPTH_MAX ? sp_fail(SP_ELIMIT) : sp_ok();
}

/* T1183828267 0 1183828267 0 */
static sp_err read_times(sp_span rest, sp_scp_event *event)
{
    uint64_t micros = 0;
    TRY(sp_span_to_u64(next_word(&rest), INT64_MAX, &event->mtime));
    TRY(sp_span_to_u64(next_word(&rest), UINT32_MAX, &micros));
    TRY(sp_span_to_u64(next_word(&rest), INT64_MAX, &event->atime));
    return sp_span_to_u64(rest, UINT32_MAX, &micros);
}

static sp_err read_record(sp_scp *scp, sp_span line, sp_scp_event *event)
{
    sp_span rest = sp_span_slice(line, 1, line.len);
    switch (line.ptr[0]) {
    case 'C':
        event->kind = SP_SCP_FILE;
        return read_entry(scp, rest, event);
    case 'D':
        event->kind = SP_SCP_FOLDER;
        return read_entry(scp, rest, event);
    case 'T':
        event->kind = SP_SCP_TIMES;
        return read_times(rest, event);
    case 'E':
        event->kind = SP_SCP_FOLDER_END;
        if (rest.len > 0 || scp->depth == 0) {
            return sp_fail(SP_EINVALID);
        }
        scp->depth--;
        return sp_ok();
    default:
        return sp_fail(SP_EINVALID);
    }
}

/* A whole line without its end. */
static sp_err read_line(sp_scp *scp, sp_span line, sp_scp_event *event)
{
    uint8_t first = line.len > 0 ? line.ptr[0] : 'x';
    if (first == WARNING || first == FATAL) {
        event->text = sp_span_slice(line, 1, line.len);
        event->kind = first == WARNING ? SP_SCP_WARNING : SP_SCP_FATAL;
        if (scp->in_file) {
            scp->in_file = false;
            event->kind = SP_SCP_FILE_END;
        }
        return sp_ok();
    }
    if (line.len == 0 || scp->side == SP_SCP_SINK || scp->in_file) {
        return sp_fail(SP_EINVALID);
    }
    return read_record(scp, line, event);
}

/* The byte 0 stands alone: from a sink always, from a source behind a file's bytes. */
static bool takes_good(const sp_scp *scp)
{
    return scp->side == SP_SCP_SINK || scp->in_file;
}

static sp_err take_line(sp_scp *scp, sp_span *input, sp_scp_event *event)
{
    size_t end = sp_span_index(*input, '\n');
    size_t take = end == input->len ? end : end + 1;
    if (scp->len + take > SP_SCP_LINE_MAX_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    sp_span whole = sp_span_slice(*input, 0, take);
    if (scp->len > 0 || end == input->len) { /* in pieces: kept until all of it is there */
        sp_copy(scp->line + scp->len, input->ptr, take);
        scp->len += take;
        whole = sp_span_of(scp->line, scp->len);
    }
    *input = sp_span_slice(*input, take, input->len);
    if (whole.ptr[whole.len - 1] != '\n') {
        return sp_ok();
    }
    scp->len = 0;
    event->raw = whole;
    return read_line(scp, sp_span_slice(whole, 0, whole.len - 1), event);
}

sp_err sp_scp_next(sp_scp *scp, sp_span *input, sp_scp_event *ret_event)
{
    *ret_event = (sp_scp_event){.kind = SP_SCP_WANTS_MORE};
    if (input->len == 0) {
        return sp_ok();
    }
    if (scp->in_file && scp->left > 0) {
        size_t take = scp->left < input->len ? (size_t)scp->left : input->len;
        ret_event->kind = SP_SCP_PIECE;
        ret_event->raw = sp_span_slice(*input, 0, take);
        scp->left -= take;
        *input = sp_span_slice(*input, take, input->len);
        return sp_ok();
    }
    if (scp->len == 0 && input->ptr[0] == GOOD && takes_good(scp)) {
        ret_event->kind = scp->in_file ? SP_SCP_FILE_END : SP_SCP_GOOD;
        ret_event->raw = sp_span_slice(*input, 0, 1);
        scp->in_file = false;
        *input = sp_span_slice(*input, 1, input->len);
        return sp_ok();
    }
    return take_line(scp, input, ret_event);
}

void sp_scp_put_fatal(sp_buf *out, sp_span text)
{
    sp_buf_byte(out, FATAL);
    sp_buf_text(out, "scp: ");
    for (size_t i = 0; i < text.len && i < SP_SCP_LINE_MAX_BYTES / 2; i++) {
        sp_buf_byte(out, text.ptr[i] < 0x20 || text.ptr[i] == 0x7f ? ' ' : text.ptr[i]);
    }
    sp_buf_byte(out, '\n');
}
