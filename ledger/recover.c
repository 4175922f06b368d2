/* SPDX-License-Identifier: Apache-2.0
 * Starting the store: the settled state, and the groups behind it.
 * OWNS nothing that outlives a call. PROCESS ledger, command line. TRUST files may have been
 * changed by anyone who has the disk: what contradicts itself stops the start, and says where. SPEC
 * ledger/journal.h.
 *
 * Only one thing is ever cut off: a group at the very end that one write left unfinished. Nobody
 * was told that it is on disk. A damaged group with a good one behind it was acknowledged: that is
 * an error for people, because cutting there would unwrite what was written.
 */
#include "ledger/journal_parts.h"
#include "lib/base/reader.h"
#include "lib/merkle/note.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_MAGIC UINT64_C(0x53504c5354303031)
enum { STATE_MAX_BYTES = 256 * 1024 };

typedef struct {
    uint64_t size;
    sp_hash root;
    uint32_t segment;
    uint32_t period;
    uint64_t offset;
} settled;

/* ---- the state file ---- */

static sp_err state_read(sp_journal *store, settled *ret_state)
{
    auto_buf sp_buf file = sp_buf_make(STATE_MAX_BYTES);
    sp_err err = sp_journal_file_read(store, "state", &file);
    if (err.code == SP_ENOTFOUND) {
        *ret_state = (settled){.root = sp_merkle_empty(), .segment = 1};
        return sp_ok();
    }
    TRY(err);
    sp_span bytes = sp_buf_borrow(&file);
    if (bytes.len < SP_SHA256_BYTES) {
        return sp_fail(SP_ECORRUPT);
    }
    sp_span body = sp_span_slice(bytes, 0, bytes.len - SP_SHA256_BYTES);
    sp_hash check = sp_sha256(body);
    sp_reader in = sp_reader_of(body);
    uint64_t magic = sp_read_u64(&in);
    settled state = {.size = sp_read_u64(&in)};
    sp_span root = sp_read_span(&in, SP_SHA256_BYTES);
    sp_copy(state.root.bytes, root.ptr, root.len);
    state.segment = sp_read_u32(&in);
    state.period = sp_read_u32(&in);
    state.offset = sp_read_u64(&in);
    uint32_t count = sp_read_u32(&in);
    for (uint32_t i = 0; i < count && !sp_failed(in.err); i++) {
        sp_mark mark = {sp_read_u64(&in), sp_read_u64(&in), sp_read_u64(&in)};
        sp_journal_mark(store, &mark);
    }
    if (sp_failed(sp_reader_finish(&in)) || magic != STATE_MAGIC ||
        !sp_span_eq(sp_hash_borrow(&check), sp_span_slice(bytes, body.len, bytes.len))) {
        return sp_fail(SP_ECORRUPT);
    }
    *ret_state = state;
    return sp_ok();
}

static sp_err sync_files(const sp_journal *store)
{
    for (unsigned i = 0; i < SP_JOURNAL_LEVELS; i++) {
        if (fdatasync(store->hash_fds[i]) != 0) {
            return sp_fail(SP_EIO);
        }
    }
    return fdatasync(store->places_fd) != 0 ? sp_fail(SP_EIO) : sp_ok();
}

sp_err sp_journal_settle(sp_journal *store)
{
    TRY(sync_files(store));
    auto_buf sp_buf out = sp_buf_make(STATE_MAX_BYTES);
    sp_hash root = sp_merkle_root(&store->tree);
    sp_buf_u64(&out, STATE_MAGIC);
    sp_buf_u64(&out, store->tree.size);
    sp_buf_span(&out, sp_hash_borrow(&root));
    sp_buf_u32(&out, store->segment);
    sp_buf_u32(&out, (uint32_t)store->period);
    sp_buf_u64(&out, store->offset);
    sp_buf_u32(&out, (uint32_t)store->marks_count);
    for (size_t i = 0; i < store->marks_count; i++) {
        sp_buf_u64(&out, store->marks[i].source);
        sp_buf_u64(&out, store->marks[i].seq);
        sp_buf_u64(&out, store->marks[i].lost);
    }
    TRY(sp_buf_error(&out));
    sp_hash check = sp_sha256(sp_buf_borrow(&out));
    sp_buf_span(&out, sp_hash_borrow(&check));
    return sp_journal_file_replace(store, "state", sp_buf_borrow(&out));
}

/* ---- segments ---- */

/* 0 when the name is not that of a segment. */
static uint32_t segment_number(const char *name)
{
    auto_buf sp_buf bytes = sp_buf_make(sizeof(uint32_t));
    sp_reader in;
    if (sp_failed(sp_buf_unhex(&bytes, sp_span_cstr(name)))) {
        return 0;
    }
    in = sp_reader_of(sp_buf_borrow(&bytes));
    return sp_read_u32(&in);
}

sp_err sp_journal_segments(const sp_journal *store, uint32_t *ret_low, uint32_t *ret_high)
{
    *ret_low = *ret_high = 0;
    int fd = openat(store->dir, "entries", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return sp_fail(SP_EIO);
    }
    uint32_t count = 0;
    for (const struct dirent *item = readdir(dir); item != NULL; item = readdir(dir)) {
        uint32_t number = segment_number(item->d_name);
        if (number == 0) {
            continue;
        }
        *ret_low = *ret_low == 0 || number < *ret_low ? number : *ret_low;
        *ret_high = number > *ret_high ? number : *ret_high;
        count++;
    }
    closedir(dir);
    return count > 0 && *ret_high - *ret_low + 1 != count ? sp_fail(SP_ECORRUPT) : sp_ok();
}

/* ---- groups behind the settled state ---- */

typedef struct {
    sp_buf bytes; /* head, records and marks of one group */
    sp_group_head head;
    sp_hash *leaves;
    uint64_t *places;
    size_t cap;
} scan;

static void scan_done(scan *s)
{
    sp_buf_done(&s->bytes);
    sp_free(s->leaves);
    sp_free(s->places);
}

static sp_err scan_room(scan *s)
{
    if (s->head.count <= s->cap) {
        return sp_ok();
    }
    TRY(sp_resize(&s->leaves, s->head.count, sizeof(*s->leaves)));
    TRY(sp_resize(&s->places, s->head.count, sizeof(*s->places)));
    s->cap = s->head.count;
    return sp_ok();
}

/* Reads the group at an offset and checks it. SP_ECORRUPT or SP_ESHORT: no whole group stands
 * there. */
static sp_err group_read(scan *s, int fd, uint32_t segment, uint64_t offset, uint64_t first_entry)
{
    uint8_t head[SP_GROUP_HEAD_BYTES];
    TRY(sp_journal_pread(fd, head, sizeof(head), offset));
    TRY(sp_group_head_read((sp_span){head, sizeof(head)}, &s->head));
    if (s->head.first_entry != first_entry || s->head.count == 0) {
        return sp_fail(SP_ECORRUPT);
    }
    TRY(scan_room(s));
    size_t marks_len = (size_t)s->head.marks * SP_MARK_BYTES;
    size_t len = s->head.payload_bytes + marks_len;
    sp_buf_reset(&s->bytes);
    uint8_t *room = sp_buf_room(&s->bytes, len);
    TRY(sp_buf_error(&s->bytes));
    TRY(sp_journal_pread(fd, room, len, offset + SP_GROUP_HEAD_BYTES));
    sp_buf_grown(&s->bytes, len);
    sp_reader in = sp_reader_of((sp_span){room, s->head.payload_bytes});
    for (uint32_t i = 0; i < s->head.count; i++) {
        uint64_t at = offset + SP_GROUP_HEAD_BYTES + s->head.payload_bytes - in.rest.len;
        s->places[i] = (uint64_t)segment << SP_PLACE_SHIFT | at;
        s->leaves[i] = sp_merkle_leaf(sp_read_span(&in, sp_read_u16(&in)));
    }
    if (sp_failed(sp_reader_finish(&in))) {
        return sp_fail(SP_ECORRUPT);
    }
    sp_span marks = {room + s->head.payload_bytes, marks_len};
    sp_hash check = sp_group_check(head, marks, s->leaves, s->head.count);
    bool good = sp_span_eq(sp_hash_borrow(&check), (sp_span){s->head.check, SP_SHA256_BYTES});
    return good ? sp_ok() : sp_fail(SP_ECORRUPT);
}

static void marks_take(sp_journal *store, const scan *s)
{
    sp_reader in =
        sp_reader_of(sp_span_slice(sp_buf_borrow(&s->bytes), s->head.payload_bytes, s->bytes.len));
    for (uint32_t i = 0; i < s->head.marks; i++) {
        sp_mark mark = {sp_read_u64(&in), sp_read_u64(&in), sp_read_u64(&in)};
        sp_journal_mark(store, &mark);
    }
}

/* Whether a whole group stands anywhere in [from, end): then what lies before it is damage. */
static bool later_group(scan *s, int fd, uint32_t segment, uint64_t from, uint64_t end)
{
    enum { WINDOW = 64 * 1024 };
    uint8_t window[WINDOW];
    uint8_t magic[8];
    for (size_t i = 0; i < sizeof(magic); i++) {
        magic[i] = (uint8_t)(SP_GROUP_MAGIC >> (56 - 8 * i));
    }
    while (from + SP_GROUP_HEAD_BYTES <= end) {
        size_t len = end - from < WINDOW ? (size_t)(end - from) : WINDOW;
        if (sp_failed(sp_journal_pread(fd, window, len, from))) {
            return false;
        }
        size_t hit = sp_span_find((sp_span){window, len}, (sp_span){magic, sizeof(magic)});
        if (hit + SP_GROUP_HEAD_BYTES > len) {
            if (len < WINDOW) {
                return false;
            }
            from += hit < len ? hit : len - sizeof(magic) + 1;
            continue;
        }
        sp_group_head head;
        sp_span at = {window + hit, SP_GROUP_HEAD_BYTES};
        if (!sp_failed(sp_group_head_read(at, &head)) &&
            !sp_failed(group_read(s, fd, segment, from + hit, head.first_entry))) {
            return true;
        }
        from += hit + 1;
    }
    return false;
}

/* Takes in the groups of one segment from store->offset on. *ret_end: it goes on in the next
 * segment. */
static sp_err replay_segment(sp_journal *store, scan *s, bool last, sp_buf *why)
{
    auto_close int fd = -1;
    TRY(sp_journal_segment_open(store, store->segment, store->writable ? O_RDWR : O_RDONLY, &fd));
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return sp_fail(SP_EIO);
    }
    uint64_t end = (uint64_t)st.st_size;
    while (store->offset < end) {
        sp_err err =
            group_read(s, fd, store->segment, store->offset, store->tree.size + store->tail);
        if (err.code == SP_EIO || err.code == SP_ENOMEM) {
            return err;
        }
        if (sp_failed(err)) {
            uint64_t at = store->offset;
            if (!last || later_group(s, fd, store->segment, at + 1, end)) {
                sp_buf_fmt(why, "segment %08x is damaged at byte %llu: restore it from a backup",
                           store->segment, (unsigned long long)at);
                return sp_fail(SP_ECORRUPT);
            }
            return store->writable && ftruncate(fd, (off_t)at) != 0 ? sp_fail(SP_EIO) : sp_ok();
        }
        if (store->offset == 0) {
            store->period = s->head.period;
        }
        if (store->writable) {
            TRY(sp_journal_extend(store, s->leaves, s->places, s->head.count));
            marks_take(store, s);
        } else {
            store->tail += s->head.count; /* looked at, not taken in */
        }
        store->offset += SP_GROUP_HEAD_BYTES + s->bytes.len;
    }
    if (store->offset > end) {
        sp_buf_fmt(why, "segment %08x is shorter than the settled state: it was truncated",
                   store->segment);
        return sp_fail(SP_ECORRUPT);
    }
    return sp_ok();
}

static sp_err replay(sp_journal *store, uint32_t high, sp_buf *why)
{
    __attribute__((cleanup(scan_done))) scan s = {
        .bytes = sp_buf_make(SP_JOURNAL_GROUP_MAX_BYTES + SP_JOURNAL_MARKS_MAX * SP_MARK_BYTES)};
    for (;;) {
        TRY(replay_segment(store, &s, store->segment >= high, why));
        if (store->segment >= high) {
            return sp_ok();
        }
        store->segment++;
        store->offset = 0;
    }
}

static sp_err first_entry(sp_journal *store, uint32_t low)
{
    uint8_t bytes[SP_GROUP_HEAD_BYTES];
    sp_group_head head;
    auto_close int fd = -1;
    TRY(sp_journal_segment_open(store, low, O_RDONLY, &fd));
    sp_err err = sp_journal_pread(fd, bytes, sizeof(bytes), 0);
    if (err.code == SP_ESHORT) {
        store->first = store->tree.size; /* just started: nothing in it yet */
        return sp_ok();
    }
    TRY(err);
    TRY(sp_group_head_read((sp_span){bytes, sizeof(bytes)}, &head));
    store->first = head.first_entry;
    return sp_ok();
}

/* The tree of the files must hold the local checkpoint's root. */
static sp_err check_checkpoint(sp_journal *store, sp_buf *why)
{
    auto_buf sp_buf bytes = sp_buf_make(SP_NOTE_MAX_BYTES);
    sp_err err = sp_journal_checkpoint_read(store, &bytes);
    if (err.code == SP_ENOTFOUND) {
        return sp_ok();
    }
    TRY(err);
    sp_note note;
    sp_checkpoint checkpoint;
    err = sp_note_parse(sp_buf_borrow(&bytes), &note);
    if (!sp_failed(err)) {
        err = sp_checkpoint_parse(note.text, &checkpoint);
    }
    if (sp_failed(err)) {
        sp_buf_text(why, "the checkpoint file is not a signed checkpoint");
        return sp_fail(SP_ECORRUPT);
    }
    if (checkpoint.size > store->tree.size) {
        sp_buf_fmt(why, "the checkpoint says %llu entries, the files hold %llu: rolled back",
                   (unsigned long long)checkpoint.size, (unsigned long long)store->tree.size);
        return sp_fail(SP_ECORRUPT);
    }
    if (sp_failed(sp_journal_holds(store, checkpoint.size, &checkpoint.root))) {
        sp_buf_fmt(why, "the hashes of the first %llu entries are not those of the checkpoint",
                   (unsigned long long)checkpoint.size);
        return sp_fail(SP_ECORRUPT);
    }
    return sp_ok();
}

sp_err sp_journal_holds(sp_journal *store, uint64_t size, const sp_hash *root)
{
    sp_merkle tree;
    sp_merkle_source source = sp_journal_hashes(store);
    if (size > store->tree.size) {
        return sp_fail(SP_ECORRUPT);
    }
    TRY(sp_merkle_load(&source, size, &tree));
    sp_hash mine = sp_merkle_root(&tree);
    return sp_hash_eq(&mine, root) ? sp_ok() : sp_fail(SP_ECORRUPT);
}

static sp_err check_settled(sp_journal *store, const settled *state, sp_buf *why)
{
    sp_merkle_source source = sp_journal_hashes(store);
    sp_err err = sp_merkle_load(&source, state->size, &store->tree);
    sp_hash root = sp_merkle_root(&store->tree);
    if (sp_failed(err) || !sp_hash_eq(&root, &state->root)) {
        sp_buf_text(why, "the hash files do not match the settled state");
        return sp_fail(SP_ECORRUPT);
    }
    return sp_ok();
}

sp_err sp_journal_recover(sp_journal *store, sp_buf *why)
{
    settled state;
    uint32_t low = 0;
    uint32_t high = 0;
    sp_err err = state_read(store, &state);
    if (sp_failed(err)) {
        sp_buf_text(why, "the state file is damaged");
        return err;
    }
    TRY(check_settled(store, &state, why));
    store->segment = state.segment;
    store->offset = state.offset;
    store->period = state.period;
    err = sp_journal_segments(store, &low, &high);
    if (!sp_failed(err) && state.size > 0 && high < state.segment) {
        err = sp_fail(SP_ECORRUPT);
    }
    if (sp_failed(err)) {
        sp_buf_text(why, "segments are missing in entries/");
        return err;
    }
    if (high > 0) {
        TRY(replay(store, high, why));
        TRY(first_entry(store, low));
    }
    store->first_segment = low == 0 ? store->segment : low;
    store->bytes = (uint64_t)(store->segment - store->first_segment) * SP_JOURNAL_SEGMENT_BYTES +
                   store->offset;
    return check_checkpoint(store, why);
}
