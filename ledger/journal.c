/* SPDX-License-Identifier: Apache-2.0
 * The ledger's files: writing groups, reading entries and hashes.
 * OWNS its descriptors. PROCESS ledger, command line. TRUST as ledger/journal.h.
 * SPEC ledger/journal.h.
 */
#include "ledger/journal_parts.h"

#include "infra/proc/file.h"
#include "lib/base/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_BYTES = 32, PATH_MAX_BYTES = 4096 };

/* ---- groups ---- */

void sp_group_init(sp_group *group)
{
    *group = (sp_group){.bytes = sp_buf_make(SP_JOURNAL_GROUP_MAX_BYTES)};
    sp_group_reset(group);
}

void sp_group_done(sp_group *group)
{
    sp_buf_done(&group->bytes);
    sp_free(group->at);
    sp_free(group->marks);
    sp_free(group->leaves);
    *group = (sp_group){0};
}

void sp_group_reset(sp_group *group)
{
    static const uint8_t room[SP_GROUP_HEAD_BYTES] = {0};
    sp_buf_reset(&group->bytes);
    sp_buf_span(&group->bytes, (sp_span){room, sizeof(room)});
    group->count = 0;
    group->marks_count = 0;
    group->period = 0;
}

static sp_err grow(void *array_ptr, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap) {
        return sp_ok();
    }
    size_t more = *cap < 64 ? 64 : *cap * 2;
    while (more < need) {
        more *= 2;
    }
    TRY(sp_resize(array_ptr, more, size));
    *cap = more;
    return sp_ok();
}

sp_err sp_group_add(sp_group *group, size_t at)
{
    TRY(sp_buf_error(&group->bytes));
    TRY(grow(&group->at, &group->cap, group->count + 1, sizeof(*group->at)));
    group->at[group->count++] = (uint32_t)at;
    return sp_ok();
}

sp_err sp_group_mark(sp_group *group, const sp_mark *mark)
{
    for (size_t i = 0; i < group->marks_count; i++) {
        if (group->marks[i].source == mark->source) {
            group->marks[i] = *mark;
            return sp_ok();
        }
    }
    TRY(grow(&group->marks, &group->marks_cap, group->marks_count + 1, sizeof(*group->marks)));
    group->marks[group->marks_count++] = *mark;
    return sp_ok();
}

static void put_be(uint8_t *at, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        at[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
    }
}

void sp_group_head_write(const sp_group_head *head, uint8_t room[SP_GROUP_HEAD_BYTES])
{
    put_be(room, SP_GROUP_MAGIC, 8);
    put_be(room + 8, head->first_entry, 8);
    put_be(room + 16, head->count, 4);
    put_be(room + 20, head->payload_bytes, 4);
    put_be(room + 24, head->marks, 4);
    put_be(room + 28, head->period, 4);
    sp_copy(room + 32, head->check, SP_SHA256_BYTES);
}

sp_err sp_group_head_read(sp_span bytes, sp_group_head *ret_head)
{
    sp_reader in = sp_reader_of(bytes);
    uint64_t magic = sp_read_u64(&in);
    sp_group_head head = {.first_entry = sp_read_u64(&in)};
    head.count = sp_read_u32(&in);
    head.payload_bytes = sp_read_u32(&in);
    head.marks = sp_read_u32(&in);
    head.period = sp_read_u32(&in);
    sp_span check = sp_read_span(&in, SP_SHA256_BYTES);
    sp_copy(head.check, check.ptr, check.len);
    TRY(sp_reader_finish(&in));
    if (magic != SP_GROUP_MAGIC || head.payload_bytes > SP_JOURNAL_GROUP_MAX_BYTES ||
        head.count > head.payload_bytes || head.marks > SP_JOURNAL_MARKS_MAX) {
        return sp_fail(SP_ECORRUPT);
    }
    *ret_head = head;
    return sp_ok();
}

sp_hash sp_group_check(const uint8_t *head, sp_span marks, const sp_hash *leaves, size_t count)
{
    const sp_span parts[] = {
        {head, SP_GROUP_HEAD_BYTES - SP_SHA256_BYTES},
        marks,
        {(const uint8_t *)leaves, count * sizeof(*leaves)},
    };
    return sp_sha256_parts(parts, SP_COUNT(parts));
}

/* ---- files ---- */

sp_err sp_journal_segment_open(const sp_journal *store, uint32_t segment, int flags, int *ret_fd)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof(name), "entries/%08x", segment);
    int fd = openat(store->dir, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return sp_fail(errno == ENOENT ? SP_ENOTFOUND : SP_EIO);
    }
    *ret_fd = fd;
    return sp_ok();
}

sp_err sp_journal_pwrite(int fd, sp_span bytes, uint64_t at)
{
    while (bytes.len > 0) {
        ssize_t put = pwrite(fd, bytes.ptr, bytes.len, (off_t)at);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return sp_fail(SP_EIO);
        }
        at += (uint64_t)put;
        bytes = sp_span_slice(bytes, (size_t)put, bytes.len);
    }
    return sp_ok();
}

sp_err sp_journal_pread(int fd, void *to, size_t len, uint64_t at)
{
    uint8_t *room = to;
    while (len > 0) {
        ssize_t got = pread(fd, room, len, (off_t)at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return sp_fail(got == 0 ? SP_ESHORT : SP_EIO);
        }
        room += got;
        at += (uint64_t)got;
        len -= (size_t)got;
    }
    return sp_ok();
}

static sp_err path_of(const sp_journal *store, const char *name, sp_buf *path)
{
    sp_buf_fmt(path, "%s/%s", store->path, name);
    sp_buf_byte(path, 0);
    return sp_buf_error(path);
}

sp_err sp_journal_file_read(const sp_journal *store, const char *name, sp_buf *out)
{
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    TRY(path_of(store, name, &path));
    return sp_file_read((const char *)path.ptr, out);
}

sp_err sp_journal_file_replace(const sp_journal *store, const char *name, sp_span bytes)
{
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    TRY(path_of(store, name, &path));
    return sp_file_replace((const char *)path.ptr, 0600, bytes);
}

/* ---- open and close ---- */

static sp_err open_files(sp_journal *store)
{
    int flags = (store->writable ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW;
    store->places_fd = openat(store->dir, "places", flags, 0600);
    for (unsigned i = 0; i < SP_JOURNAL_LEVELS; i++) {
        char name[NAME_BYTES];
        snprintf(name, sizeof(name), "hash/%u", i);
        store->hash_fds[i] = openat(store->dir, name, flags, 0600);
        if (store->hash_fds[i] < 0) {
            return sp_fail(errno == ENOENT ? SP_ENOTFOUND : SP_EIO);
        }
    }
    return store->places_fd < 0 ? sp_fail(SP_EIO) : sp_ok();
}

static sp_err make_dirs(const sp_journal *store)
{
    static const char *const names[] = {"entries", "hash"};
    for (size_t i = 0; i < SP_COUNT(names); i++) {
        if (mkdirat(store->dir, names[i], 0700) != 0 && errno != EEXIST) {
            return sp_fail(SP_EIO);
        }
    }
    return fsync(store->dir) != 0 ? sp_fail(SP_EIO) : sp_ok();
}

sp_err sp_journal_open(const char *dir, bool writable, sp_buf *why, sp_journal **ret_store)
{
    sp_journal *store = NULL;
    TRY(sp_alloc(1, sizeof(*store), &store));
    store->writable = writable;
    store->segment_fd = store->read_fd = store->places_fd = -1;
    for (unsigned i = 0; i < SP_JOURNAL_LEVELS; i++) {
        store->hash_fds[i] = -1;
    }
    sp_err named = sp_strdup(sp_span_cstr(dir), &store->path);
    store->dir = sp_failed(named) ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    sp_err err = store->dir < 0 ? sp_fail(errno == ENOENT ? SP_ENOTFOUND : SP_EIO) : sp_ok();
    if (!sp_failed(err) && writable) {
        err = make_dirs(store);
    }
    if (!sp_failed(err)) {
        err = open_files(store);
    }
    if (sp_failed(err)) {
        sp_buf_fmt(why, "%s cannot be opened as a ledger", dir);
    } else {
        err = sp_journal_recover(store, why);
    }
    if (sp_failed(err)) {
        sp_journal_close(store);
        return err;
    }
    store->seen = store->tree;
    *ret_store = store;
    return sp_ok();
}

static void close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

void sp_journal_close(sp_journal *store)
{
    if (store == NULL) {
        return;
    }
    for (unsigned i = 0; i < SP_JOURNAL_LEVELS; i++) {
        close_fd(store->hash_fds[i]);
    }
    close_fd(store->places_fd);
    close_fd(store->segment_fd);
    close_fd(store->read_fd);
    close_fd(store->dir);
    sp_free(store->path);
    sp_free(store->marks);
    sp_free(store->fresh);
    sp_free(store);
}

/* ---- reading ---- */

uint64_t sp_journal_size(const sp_journal *store)
{
    return store->seen.size;
}

uint64_t sp_journal_first(const sp_journal *store)
{
    return store->first;
}

uint64_t sp_journal_tail(const sp_journal *store)
{
    return store->tail;
}

uint64_t sp_journal_bytes(const sp_journal *store)
{
    return store->bytes;
}

const sp_merkle *sp_journal_tree(const sp_journal *store)
{
    return &store->seen;
}

const sp_mark *sp_journal_marks(const sp_journal *store, size_t *ret_count)
{
    *ret_count = store->marks_count;
    return store->marks;
}

static sp_err read_hashes(void *self, unsigned tile_level, uint64_t index, size_t count,
                          sp_hash *ret_hashes)
{
    const sp_journal *store = self;
    if (tile_level >= SP_JOURNAL_LEVELS) {
        return sp_fail(SP_ELIMIT);
    }
    return sp_journal_pread(store->hash_fds[tile_level], ret_hashes, count * sizeof(*ret_hashes),
                            index * sizeof(*ret_hashes));
}

sp_merkle_source sp_journal_hashes(sp_journal *store)
{
    return (sp_merkle_source){read_hashes, store};
}

sp_err sp_journal_leaf(sp_journal *store, uint64_t entry, sp_hash *ret_leaf)
{
    if (entry >= store->seen.size) {
        return sp_fail(SP_ENOTFOUND);
    }
    return read_hashes(store, 0, entry, 1, ret_leaf);
}

static sp_err reading_segment(sp_journal *store, uint32_t segment)
{
    if (store->read_fd >= 0 && store->read_segment == segment) {
        return sp_ok();
    }
    int fd = -1;
    TRY(sp_journal_segment_open(store, segment, O_RDONLY, &fd));
    close_fd(store->read_fd);
    store->read_fd = fd;
    store->read_segment = segment;
    return sp_ok();
}

sp_err sp_journal_read(sp_journal *store, uint64_t entry, sp_buf *record)
{
    uint8_t bytes[SP_PLACE_BYTES];
    uint8_t len_bytes[SP_RECORD_LEN_BYTES];
    sp_buf_reset(record);
    if (entry >= store->seen.size || entry < store->first) {
        return sp_fail(SP_ENOTFOUND);
    }
    TRY(sp_journal_pread(store->places_fd, bytes, sizeof(bytes), entry * SP_PLACE_BYTES));
    sp_reader in = sp_reader_of((sp_span){bytes, sizeof(bytes)});
    uint64_t place = sp_read_u64(&in);
    uint64_t at = place & ((UINT64_C(1) << SP_PLACE_SHIFT) - 1);
    TRY(reading_segment(store, (uint32_t)(place >> SP_PLACE_SHIFT)));
    TRY(sp_journal_pread(store->read_fd, len_bytes, sizeof(len_bytes), at));
    size_t len = (size_t)len_bytes[0] << 8 | len_bytes[1];
    uint8_t *room = sp_buf_room(record, len);
    TRY(sp_buf_error(record));
    TRY(sp_journal_pread(store->read_fd, room, len, at + sizeof(len_bytes)));
    sp_buf_grown(record, len);
    return sp_ok();
}

/* ---- writing ---- */

sp_err sp_journal_extend(sp_journal *store, const sp_hash *leaves, const uint64_t *places,
                         size_t count)
{
    sp_merkle tree = store->tree;
    for (size_t i = 0; i < count; i++) {
        sp_hash full[SP_MERKLE_TILE_LEVELS];
        unsigned runs = sp_merkle_add(&tree, &leaves[i], full);
        for (unsigned k = 1; k <= runs && k < SP_JOURNAL_LEVELS; k++) {
            uint64_t index = (tree.size >> (SP_MERKLE_TILE_BITS * k)) - 1;
            TRY(sp_journal_pwrite(store->hash_fds[k], sp_hash_borrow(&full[k - 1]),
                                  index * SP_SHA256_BYTES));
        }
    }
    auto_buf sp_buf bytes = sp_buf_make(count * SP_PLACE_BYTES);
    for (size_t i = 0; i < count; i++) {
        sp_buf_u64(&bytes, places[i]);
    }
    TRY(sp_buf_error(&bytes));
    TRY(sp_journal_pwrite(store->hash_fds[0],
                          (sp_span){(const uint8_t *)leaves, count * sizeof(*leaves)},
                          store->tree.size * SP_SHA256_BYTES));
    TRY(sp_journal_pwrite(store->places_fd, sp_buf_borrow(&bytes),
                          store->tree.size * SP_PLACE_BYTES));
    store->tree = tree;
    return sp_ok();
}

static sp_err start_segment(sp_journal *store, uint32_t segment)
{
    int fd = -1;
    TRY(sp_journal_segment_open(store, segment, O_RDWR | O_CREAT, &fd));
    auto_close int entries = openat(store->dir, "entries", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (entries < 0 || fsync(entries) != 0) {
        close(fd);
        return sp_fail(SP_EIO);
    }
    close_fd(store->segment_fd);
    store->segment_fd = fd;
    if (segment != store->segment) {
        store->segment = segment;
        store->offset = 0;
    }
    return sp_ok();
}

static sp_err right_segment(sp_journal *store, const sp_group *group)
{
    bool full = store->offset >= SP_JOURNAL_SEGMENT_BYTES;
    bool other_period = store->offset > 0 && store->period != group->period;
    if (store->segment_fd < 0 || full || other_period) {
        TRY(start_segment(store, store->segment + (full || other_period ? 1 : 0)));
    }
    if (store->offset == 0) {
        store->period = group->period;
    }
    return sp_ok();
}

static sp_span record_of(const sp_group *group, size_t i)
{
    const uint8_t *at = group->bytes.ptr + group->at[i];
    return (sp_span){at + SP_RECORD_LEN_BYTES, (size_t)at[0] << 8 | at[1]};
}

static sp_err take_fresh(sp_journal *store, const sp_group *group)
{
    TRY(sp_resize(&store->fresh, group->marks_count + 1, sizeof(*store->fresh)));
    sp_copy(store->fresh, group->marks, group->marks_count * sizeof(*group->marks));
    store->fresh_count = group->marks_count;
    return sp_ok();
}

/* Hashes the records and puts head and marks around them; the marks stay in `marks`. */
static sp_err close_group(const sp_journal *store, sp_group *group, sp_buf *marks)
{
    TRY(sp_buf_error(&group->bytes));
    TRY(grow(&group->leaves, &group->leaves_cap, group->count, sizeof(*group->leaves)));
    for (size_t i = 0; i < group->count; i++) {
        group->leaves[i] = sp_merkle_leaf(record_of(group, i));
    }
    for (size_t i = 0; i < group->marks_count; i++) {
        sp_buf_u64(marks, group->marks[i].source);
        sp_buf_u64(marks, group->marks[i].seq);
        sp_buf_u64(marks, group->marks[i].lost);
    }
    TRY(sp_buf_error(marks));
    sp_group_head head = {
        .first_entry = store->tree.size,
        .count = (uint32_t)group->count,
        .payload_bytes = (uint32_t)(group->bytes.len - SP_GROUP_HEAD_BYTES),
        .marks = (uint32_t)group->marks_count,
        .period = (uint32_t)group->period,
    };
    sp_group_head_write(&head, group->bytes.ptr);
    sp_hash check =
        sp_group_check(group->bytes.ptr, sp_buf_borrow(marks), group->leaves, group->count);
    sp_copy(head.check, check.bytes, sizeof(head.check));
    sp_group_head_write(&head, group->bytes.ptr);
    return sp_ok();
}

static sp_err append_group(sp_journal *store, const sp_group *group, sp_span marks)
{
    sp_err err = sp_journal_pwrite(store->segment_fd, sp_buf_borrow(&group->bytes), store->offset);
    if (!sp_failed(err)) {
        err = sp_journal_pwrite(store->segment_fd, marks, store->offset + group->bytes.len);
    }
    if (!sp_failed(err) && fdatasync(store->segment_fd) != 0) {
        err = sp_fail(SP_EIO);
    }
    if (sp_failed(err) && ftruncate(store->segment_fd, (off_t)store->offset) != 0) {
        return sp_fail(SP_EIO); /* the unfinished group is cut off by recovery then */
    }
    return err;
}

sp_err sp_journal_write(sp_journal *store, sp_group *group)
{
    auto_buf sp_buf marks = sp_buf_make(SP_JOURNAL_MARKS_MAX * SP_MARK_BYTES);
    auto_free uint64_t *places = NULL;
    if (group->count == 0) {
        return sp_fail(SP_EINVALID);
    }
    TRY(right_segment(store, group));
    TRY(close_group(store, group, &marks));
    TRY(take_fresh(store, group));
    TRY(sp_alloc(group->count, sizeof(*places), &places));
    for (size_t i = 0; i < group->count; i++) {
        places[i] = (uint64_t)store->segment << SP_PLACE_SHIFT | (store->offset + group->at[i]);
    }
    TRY(append_group(store, group, sp_buf_borrow(&marks)));
    TRY(sp_journal_extend(store, group->leaves, places, group->count));
    store->offset += group->bytes.len + marks.len;
    return sp_ok();
}

void sp_journal_mark(sp_journal *store, const sp_mark *mark)
{
    for (size_t i = 0; i < store->marks_count; i++) {
        if (store->marks[i].source == mark->source) {
            store->marks[i] = *mark;
            return;
        }
    }
    if (store->marks_count == SP_JOURNAL_MARKS_MAX) { /* the oldest source is forgotten */
        sp_move(store->marks, store->marks + 1, (SP_JOURNAL_MARKS_MAX - 1) * sizeof(*mark));
        store->marks_count--;
    } else if (sp_failed(sp_resize(&store->marks, store->marks_count + 1, sizeof(*mark)))) {
        return; /* a source without a mark is only read again after a restart: twice, not lost */
    }
    store->marks[store->marks_count++] = *mark;
}

void sp_journal_publish(sp_journal *store)
{
    for (size_t i = 0; i < store->fresh_count; i++) {
        sp_journal_mark(store, &store->fresh[i]);
    }
    store->fresh_count = 0;
    if (store->first == store->seen.size && store->first_segment == 0) {
        store->first_segment = store->segment;
    }
    store->seen = store->tree;
    store->bytes = (uint64_t)(store->segment - store->first_segment) * SP_JOURNAL_SEGMENT_BYTES +
                   store->offset;
}

sp_err sp_journal_checkpoint_read(const sp_journal *store, sp_buf *note)
{
    return sp_journal_file_read(store, "checkpoint", note);
}

sp_err sp_journal_checkpoint_write(const sp_journal *store, sp_span note)
{
    return sp_journal_file_replace(store, "checkpoint", note);
}

sp_err sp_journal_cosigned_write(const sp_journal *store, sp_span note)
{
    return sp_journal_file_replace(store, "cosigned", note);
}

sp_err sp_journal_key_read(const sp_journal *store, sp_buf *key)
{
    return sp_journal_file_read(store, "verifier-key", key);
}

sp_err sp_journal_key_write(const sp_journal *store, sp_span key)
{
    return sp_journal_file_replace(store, "verifier-key", key);
}
