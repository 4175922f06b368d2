/* SPDX-License-Identifier: Apache-2.0
 * Signed notes and what stands in them.
 * OWNS nothing. PROCESS ledger, vault, command line. TRUST notes are hostile.
 * SPEC lib/merkle/note.h.
 */
#include "lib/merkle/note.h"

#include "lib/base/reader.h"

#define DASH SP_SPAN_LIT("\xE2\x80\x94 ")
enum { TIME_BYTES = 8, ED25519_BYTES = 64, PATH_STEP = 1000 };

/* A key name: not empty, no blank, no '+', no control byte, UTF-8. */
static bool name_ok(sp_span name)
{
    if (name.len == 0 || name.len > SP_NOTE_NAME_MAX_BYTES || !sp_span_is_utf8(name)) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] <= ' ' || name.ptr[i] == '+' || name.ptr[i] == 0x7F) {
            return false;
        }
    }
    return true;
}

static sp_err decode(sp_span base64, uint8_t *to, size_t max_bytes, size_t *ret_len)
{
    auto_buf sp_buf bytes = sp_buf_make(max_bytes);
    TRY(sp_buf_unbase64(&bytes, base64));
    sp_span got = sp_buf_borrow(&bytes);
    sp_copy(to, got.ptr, got.len);
    *ret_len = got.len;
    return sp_ok();
}

static sp_err sig_parse(sp_span line, sp_note_sig *sig)
{
    if (!sp_span_starts(line, DASH)) {
        return sp_fail(SP_EINVALID);
    }
    sp_span rest = sp_span_slice(line, DASH.len, line.len);
    size_t blank = sp_span_index(rest, ' ');
    sig->name = sp_span_slice(rest, 0, blank);
    if (!name_ok(sig->name) || blank >= rest.len) {
        return sp_fail(SP_EINVALID);
    }
    uint8_t bytes[SP_NOTE_KEY_ID_BYTES + SP_NOTE_SIG_MAX_BYTES];
    size_t len = 0;
    TRY(decode(sp_span_slice(rest, blank + 1, rest.len), bytes, sizeof(bytes), &len));
    if (len <= SP_NOTE_KEY_ID_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    sp_copy(sig->key_id, bytes, SP_NOTE_KEY_ID_BYTES);
    sig->len = len - SP_NOTE_KEY_ID_BYTES;
    sp_copy(sig->bytes, bytes + SP_NOTE_KEY_ID_BYTES, sig->len);
    return sp_ok();
}

/* Where the signature lines start: behind the last empty line. */
static size_t split_at(sp_span bytes)
{
    for (size_t i = bytes.len; i >= 2; i--) {
        if (bytes.ptr[i - 1] == '\n' && bytes.ptr[i - 2] == '\n') {
            return i;
        }
    }
    return 0;
}

sp_err sp_note_parse(sp_span bytes, sp_note *ret_note)
{
    if (bytes.len > SP_NOTE_MAX_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    size_t at = split_at(bytes);
    if (at == 0 || at == bytes.len || bytes.ptr[bytes.len - 1] != '\n' || !sp_span_is_utf8(bytes)) {
        return sp_fail(SP_EINVALID);
    }
    ret_note->text = sp_span_slice(bytes, 0, at - 1);
    ret_note->count = 0;
    sp_span rest = sp_span_slice(bytes, at, bytes.len);
    sp_span line;
    while (sp_span_split(&rest, '\n', &line)) {
        if (ret_note->count >= SP_NOTE_SIGS_MAX) {
            return sp_fail(SP_ELIMIT);
        }
        TRY(sig_parse(line, &ret_note->sigs[ret_note->count]));
        ret_note->count++;
    }
    return sp_ok();
}

static void sig_line(sp_span name, const uint8_t *key_id, sp_span first, sp_span second,
                     sp_buf *out)
{
    auto_buf sp_buf bytes = sp_buf_make(SP_NOTE_KEY_ID_BYTES + SP_NOTE_SIG_MAX_BYTES);
    sp_buf_span(&bytes, (sp_span){key_id, SP_NOTE_KEY_ID_BYTES});
    sp_buf_span(&bytes, first);
    sp_buf_span(&bytes, second);
    if (sp_failed(sp_buf_error(&bytes))) {
        out->err = bytes.err;
        return;
    }
    sp_buf_span(out, DASH);
    sp_buf_span(out, name);
    sp_buf_byte(out, ' ');
    sp_buf_base64(out, sp_buf_borrow(&bytes));
    sp_buf_byte(out, '\n');
}

void sp_note_sig_line(sp_span name, const uint8_t key_id[SP_NOTE_KEY_ID_BYTES], sp_span signature,
                      sp_buf *out)
{
    sig_line(name, key_id, signature, SP_SPAN_EMPTY, out);
}

void sp_checkpoint_text(const sp_checkpoint *checkpoint, sp_buf *out)
{
    sp_buf_span(out, checkpoint->origin);
    sp_buf_byte(out, '\n');
    sp_buf_u64_text(out, checkpoint->size);
    sp_buf_byte(out, '\n');
    sp_buf_base64(out, sp_hash_borrow(&checkpoint->root));
    sp_buf_byte(out, '\n');
}

static bool is_canonical_number(sp_span text)
{
    return text.len == 1 || (text.len > 1 && text.ptr[0] != '0');
}

sp_err sp_checkpoint_parse(sp_span text, sp_checkpoint *ret_checkpoint)
{
    sp_span rest = text;
    sp_span origin;
    sp_span size;
    sp_span root;
    if (text.len == 0 || text.ptr[text.len - 1] != '\n' || !sp_span_split(&rest, '\n', &origin) ||
        !sp_span_split(&rest, '\n', &size) || !sp_span_split(&rest, '\n', &root)) {
        return sp_fail(SP_EINVALID);
    }
    sp_checkpoint checkpoint = {.origin = origin};
    size_t len = 0;
    if (origin.len == 0 || !is_canonical_number(size)) {
        return sp_fail(SP_EINVALID);
    }
    TRY(sp_span_to_u64(size, UINT64_MAX, &checkpoint.size));
    TRY(decode(root, checkpoint.root.bytes, SP_SHA256_BYTES, &len));
    if (len != SP_SHA256_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    *ret_checkpoint = checkpoint;
    return sp_ok();
}

sp_note_key sp_note_key_of(sp_span name, sp_note_alg alg, const uint8_t key[SP_NOTE_KEY_BYTES])
{
    sp_note_key made = {.name = name, .alg = (uint8_t)alg};
    sp_copy(made.key, key, SP_NOTE_KEY_BYTES);
    const sp_span parts[] = {
        name, SP_SPAN_LIT("\n"), {&made.alg, 1}, {made.key, SP_NOTE_KEY_BYTES}};
    sp_hash hash = sp_sha256_parts(parts, SP_COUNT(parts));
    sp_copy(made.key_id, hash.bytes, SP_NOTE_KEY_ID_BYTES);
    return made;
}

void sp_note_key_text(const sp_note_key *key, sp_buf *out)
{
    uint8_t bytes[1 + SP_NOTE_KEY_BYTES];
    bytes[0] = key->alg;
    sp_copy(bytes + 1, key->key, SP_NOTE_KEY_BYTES);
    sp_buf_span(out, key->name);
    sp_buf_byte(out, '+');
    sp_buf_hex(out, (sp_span){key->key_id, SP_NOTE_KEY_ID_BYTES});
    sp_buf_byte(out, '+');
    sp_buf_base64(out, (sp_span){bytes, sizeof(bytes)});
}

sp_err sp_note_key_parse(sp_span text, sp_note_key *ret_key)
{
    sp_span rest = text;
    sp_span name;
    sp_span id;
    if (!sp_span_split(&rest, '+', &name) || !sp_span_split(&rest, '+', &id) || !name_ok(name)) {
        return sp_fail(SP_EINVALID);
    }
    uint8_t bytes[1 + SP_NOTE_KEY_BYTES];
    size_t len = 0;
    TRY(decode(rest, bytes, sizeof(bytes), &len));
    if (len != sizeof(bytes) || (bytes[0] != SP_NOTE_ED25519 && bytes[0] != SP_NOTE_COSIGNATURE)) {
        return sp_fail(SP_EINVALID);
    }
    sp_note_key key = sp_note_key_of(name, (sp_note_alg)bytes[0], bytes + 1);
    auto_buf sp_buf hex = sp_buf_make(2 * SP_NOTE_KEY_ID_BYTES);
    sp_buf_hex(&hex, (sp_span){key.key_id, SP_NOTE_KEY_ID_BYTES});
    if (!sp_span_eq_nocase(sp_buf_borrow(&hex), id)) {
        return sp_fail(SP_EINVALID);
    }
    *ret_key = key;
    return sp_ok();
}

const sp_note_sig *sp_note_find(const sp_note *note, const sp_note_key *key)
{
    for (size_t i = 0; i < note->count; i++) {
        if (sp_span_eq(note->sigs[i].name, key->name) &&
            sp_span_eq((sp_span){note->sigs[i].key_id, SP_NOTE_KEY_ID_BYTES},
                       (sp_span){key->key_id, SP_NOTE_KEY_ID_BYTES})) {
            return &note->sigs[i];
        }
    }
    return NULL;
}

void sp_cosignature_text(uint64_t time_unix_s, sp_span checkpoint_text, sp_buf *out)
{
    sp_buf_text(out, "cosignature/v1\ntime ");
    sp_buf_u64_text(out, time_unix_s);
    sp_buf_byte(out, '\n');
    sp_buf_span(out, checkpoint_text);
}

void sp_cosignature_line(const sp_note_key *key, uint64_t time_unix_s, sp_span signature,
                         sp_buf *out)
{
    uint8_t time[TIME_BYTES];
    for (size_t i = 0; i < sizeof(time); i++) {
        time[i] = (uint8_t)(time_unix_s >> (8 * (sizeof(time) - 1 - i)));
    }
    sig_line(key->name, key->key_id, (sp_span){time, sizeof(time)}, signature, out);
}

sp_err sp_cosignature_split(const sp_note_sig *sig, uint64_t *ret_time_unix_s,
                            sp_span *ret_signature)
{
    sp_reader in = sp_reader_of((sp_span){sig->bytes, sig->len});
    uint64_t time = sp_read_u64(&in);
    sp_span signature = sp_read_span(&in, ED25519_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_time_unix_s = time;
    *ret_signature = signature;
    return sp_ok();
}

void sp_tile_path(int level, uint64_t index, unsigned width, sp_buf *out)
{
    sp_buf_text(out, "tile/");
    if (level < 0) {
        sp_buf_text(out, "entries");
    } else {
        sp_buf_u64_text(out, (uint64_t)level);
    }
    uint64_t scale = 1;
    while (index / scale >= PATH_STEP) {
        scale *= PATH_STEP;
    }
    for (; scale > 0; scale /= PATH_STEP) {
        sp_buf_fmt(out, "/%s%03u", scale > 1 ? "x" : "", (unsigned)(index / scale % PATH_STEP));
    }
    if (width < 256) {
        sp_buf_fmt(out, ".p/%u", width);
    }
}
