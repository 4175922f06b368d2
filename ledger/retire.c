/* SPDX-License-Identifier: Apache-2.0
 * Taking entries out of the store: erasing one, expiring old segments. The hashes stay.
 * OWNS nothing. PROCESS ledger. TRUST called only for what a redaction entry on disk names.
 * SPEC ledger/journal.h.
 */
#include "ledger/journal_parts.h"
#include "lib/base/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Behind key id, source, numbers, times and count, which the accounting of sources needs. */
enum { ERASE_FROM = SP_RECORD_HEAD_BYTES - SP_SHA256_BYTES - SP_RECORD_SALT_BYTES };

sp_err sp_journal_erase(sp_journal *store, uint64_t entry)
{
    static const uint8_t zeros[4096] = {0};
    uint8_t bytes[SP_PLACE_BYTES];
    static const uint8_t form = SP_RECORD_ERASED;
    auto_buf sp_buf record = sp_buf_make(SP_RECORD_MAX_BYTES);
    TRY(sp_journal_read(store, entry, &record));
    TRY(sp_journal_pread(store->places_fd, bytes, sizeof(bytes), entry * SP_PLACE_BYTES));
    sp_reader in = sp_reader_of((sp_span){bytes, sizeof(bytes)});
    uint64_t place = sp_read_u64(&in);
    uint64_t at = (place & ((UINT64_C(1) << SP_PLACE_SHIFT) - 1)) + SP_RECORD_LEN_BYTES;
    auto_close int fd = -1;
    TRY(sp_journal_segment_open(store, (uint32_t)(place >> SP_PLACE_SHIFT), O_RDWR, &fd));
    for (size_t done = ERASE_FROM; done < record.len; done += sizeof(zeros)) {
        size_t len = record.len - done < sizeof(zeros) ? record.len - done : sizeof(zeros);
        TRY(sp_journal_pwrite(fd, (sp_span){zeros, len}, at + done));
    }
    TRY(sp_journal_pwrite(fd, (sp_span){&form, 1}, at));
    return fdatasync(fd) != 0 ? sp_fail(SP_EIO) : sp_ok();
}

/* First entry of a segment; the size of the tree when it does not exist or is empty. */
static sp_err segment_first(sp_journal *store, uint32_t segment, uint64_t *ret_entry)
{
    uint8_t bytes[SP_GROUP_HEAD_BYTES];
    sp_group_head head;
    auto_close int fd = -1;
    TRY(sp_journal_segment_open(store, segment, O_RDONLY, &fd));
    TRY(sp_journal_pread(fd, bytes, sizeof(bytes), 0));
    TRY(sp_group_head_read((sp_span){bytes, sizeof(bytes)}, &head));
    *ret_entry = head.first_entry;
    return sp_ok();
}

/* The newest time in a segment: its groups are in order of time, but a batch may hold older events,
 * so the last group is read whole. The head of every record names its newest event. */
static sp_err newest_of(sp_journal *store, uint64_t from, uint64_t until, uint64_t *ret_unix_us)
{
    auto_buf sp_buf record = sp_buf_make(SP_RECORD_MAX_BYTES);
    *ret_unix_us = 0;
    for (uint64_t entry = from; entry < until; entry++) {
        sp_record_head head;
        TRY(sp_journal_read(store, entry, &record));
        TRY(sp_record_head_read(sp_buf_borrow(&record), &head));
        if (head.last_unix_us > *ret_unix_us) {
            *ret_unix_us = head.last_unix_us;
        }
    }
    return sp_ok();
}

sp_err sp_journal_expirable(sp_journal *store, uint64_t before_unix_us, uint64_t *ret_until)
{
    *ret_until = store->first;
    /* the segment being written never expires */
    for (uint32_t segment = store->first_segment; segment < store->segment; segment++) {
        uint64_t next = 0;
        uint64_t last = 0;
        uint64_t newest = 0;
        TRY(segment_first(store, segment + 1, &next));
        /* the last entry first: most segments are too young, and it alone shows that */
        last = next - 1;
        TRY(newest_of(store, last, next, &newest));
        if (newest >= before_unix_us) {
            return sp_ok();
        }
        TRY(newest_of(store, *ret_until, next, &newest));
        if (newest >= before_unix_us) {
            return sp_ok();
        }
        *ret_until = next;
    }
    return sp_ok();
}

sp_err sp_journal_expire(sp_journal *store, uint64_t until)
{
    while (store->first_segment < store->segment) {
        uint64_t next = 0;
        char name[32];
        TRY(segment_first(store, store->first_segment + 1, &next));
        if (next > until) {
            break;
        }
        snprintf(name, sizeof(name), "entries/%08x", store->first_segment);
        if (unlinkat(store->dir, name, 0) != 0 && errno != ENOENT) {
            return sp_fail(SP_EIO);
        }
        if (store->read_fd >= 0 && store->read_segment == store->first_segment) {
            close(SP_STEAL_FD(store->read_fd));
        }
        store->first_segment++;
        store->first = next;
    }
    auto_close int entries = openat(store->dir, "entries", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return entries < 0 || fsync(entries) != 0 ? sp_fail(SP_EIO) : sp_ok();
}
