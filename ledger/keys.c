/* SPDX-License-Identifier: Apache-2.0
 * The subjects' keys: an append-only file of wrapped keys and two tables over them.
 * OWNS the keys in memory, wiped at the end. PROCESS ledger, command line. TRUST see the header.
 * SPEC ledger/keys.h.
 */
#include "ledger/keys.h"

#include "infra/crypto/random.h"
#include "infra/proc/file.h"
#include "lib/base/reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ID_BYTES = 8,
    PLAIN_BYTES = 4 + 4 + SP_KEY_BYTES,
    SLOT_BYTES = ID_BYTES + PLAIN_BYTES + SP_SEAL_EXTRA_BYTES,
    FILE_MAX_BYTES = 512 * 1024 * 1024,
    FIRST_TABLE = 256,
    KEYS_MAX = 4000000
};
#define DAY_US (UINT64_C(86400) * 1000000)

struct sp_keys {
    int fd;
    sp_key kek;
    sp_subject_key *items; /* in the order of slots; id 0 = destroyed */
    size_t count;
    size_t cap;
    uint32_t *by_person; /* open addressing: item + 1, 0 = empty; person and period */
    uint32_t *by_id;
    size_t table; /* slots of both, a power of two */
    size_t taken; /* items that were handed out for writing */
};

uint32_t sp_keys_period(uint64_t when_unix_us)
{
    return (uint32_t)(when_unix_us / (DAY_US * SP_KEYS_PERIOD_DAYS));
}

static size_t home_of(uint64_t a, uint64_t b, size_t table)
{
    uint64_t mixed =
        (a + 1) * UINT64_C(0x9E3779B97F4A7C15) ^ (b + 7) * UINT64_C(0xC2B2AE3D27D4EB4F);
    return (size_t)(mixed >> 20) & (table - 1);
}

static void table_put(uint32_t *slots, size_t table, size_t home, size_t item)
{
    while (slots[home] != 0) {
        home = (home + 1) & (table - 1);
    }
    slots[home] = (uint32_t)item + 1;
}

static void index_item(sp_keys *keys, size_t item)
{
    const sp_subject_key *key = &keys->items[item];
    table_put(keys->by_person, keys->table, home_of(key->person, key->period, keys->table), item);
    table_put(keys->by_id, keys->table, home_of(key->id, 0, keys->table), item);
}

/* Tables stay at most half full. */
static sp_err make_room(sp_keys *keys)
{
    if (keys->count == keys->cap) {
        size_t cap = keys->cap == 0 ? FIRST_TABLE / 2 : keys->cap * 2;
        TRY(sp_resize(&keys->items, cap, sizeof(*keys->items)));
        keys->cap = cap;
    }
    if ((keys->count + 1) * 2 <= keys->table) {
        return sp_ok();
    }
    size_t table = keys->table == 0 ? FIRST_TABLE : keys->table * 2;
    auto_free uint32_t *by_person = NULL;
    auto_free uint32_t *by_id = NULL;
    TRY(sp_alloc(table, sizeof(*by_person), &by_person));
    TRY(sp_alloc(table, sizeof(*by_id), &by_id));
    sp_free(keys->by_person);
    sp_free(keys->by_id);
    keys->by_person = SP_STEAL(by_person);
    keys->by_id = SP_STEAL(by_id);
    keys->table = table;
    for (size_t i = 0; i < keys->count; i++) {
        index_item(keys, i);
    }
    return sp_ok();
}

static sp_err add_item(sp_keys *keys, const sp_subject_key *key)
{
    TRY(make_room(keys));
    keys->items[keys->count] = *key;
    index_item(keys, keys->count);
    keys->count++;
    return sp_ok();
}

static sp_err slot_read(sp_keys *keys, sp_span slot)
{
    sp_reader in = sp_reader_of(slot);
    sp_span id_bytes = sp_read_span(&in, ID_BYTES);
    sp_span sealed = in.rest;
    sp_reader id_in = sp_reader_of(id_bytes);
    sp_subject_key key = {.id = sp_read_u64(&id_in)};
    if (key.id == 0) {
        return add_item(keys, &key); /* destroyed: the place stays taken */
    }
    auto_buf sp_buf plain = sp_buf_make(PLAIN_BYTES);
    sp_err err = sp_unseal(&keys->kek, sealed, id_bytes, &plain);
    sp_reader fields = sp_reader_of(sp_buf_borrow(&plain));
    key.person = sp_read_u32(&fields);
    key.period = sp_read_u32(&fields);
    sp_span bytes = sp_read_span(&fields, SP_KEY_BYTES);
    if (!sp_failed(err) && !sp_failed(sp_reader_finish(&fields))) {
        sp_copy(key.key.bytes, bytes.ptr, bytes.len);
        err = add_item(keys, &key);
    }
    sp_key_wipe(&key.key);
    sp_buf_wipe(&plain);
    return err;
}

static sp_err load(sp_keys *keys, const char *path)
{
    auto_buf sp_buf file = sp_buf_make(FILE_MAX_BYTES);
    sp_err err = sp_file_read(path, &file);
    if (err.code == SP_ENOTFOUND) {
        return sp_ok();
    }
    TRY(err);
    sp_span rest = sp_buf_borrow(&file);
    sp_err torn = sp_ok();
    for (; rest.len >= SLOT_BYTES; rest = sp_span_slice(rest, SLOT_BYTES, rest.len)) {
        size_t before = keys->count;
        sp_err got = slot_read(keys, sp_span_slice(rest, 0, SLOT_BYTES));
        if (got.code == SP_ECORRUPT) {
            torn = got;
        } else {
            TRY(got);
            if (sp_failed(torn) && keys->items[before].id != 0) {
                return torn; /* a good key behind a bad one: not the end of an unfinished write */
            }
        }
    }
    /* slots that a crash left unfinished at the end were never needed: they are written over */
    keys->taken = keys->count;
    return sp_ok();
}

sp_err sp_keys_open(const char *path, const sp_key *kek, bool writable, sp_keys **ret_keys)
{
    sp_keys *keys = NULL;
    TRY(sp_alloc(1, sizeof(*keys), &keys));
    keys->kek = *kek;
    keys->fd = -1;
    sp_err err = load(keys, path);
    if (!sp_failed(err) && writable) {
        keys->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        err = keys->fd < 0 ? sp_fail(SP_EIO) : sp_ok();
    }
    if (sp_failed(err)) {
        sp_keys_close(keys);
        return err;
    }
    *ret_keys = keys;
    return sp_ok();
}

void sp_keys_close(sp_keys *keys)
{
    if (keys == NULL) {
        return;
    }
    if (keys->fd >= 0) {
        close(keys->fd);
    }
    if (keys->items != NULL) {
        sp_wipe(keys->items, keys->cap * sizeof(*keys->items));
    }
    sp_key_wipe(&keys->kek);
    sp_free(keys->items);
    sp_free(keys->by_person);
    sp_free(keys->by_id);
    sp_free(keys);
}

static const sp_subject_key *find_person(const sp_keys *keys, uint32_t person, uint32_t period)
{
    if (keys->table == 0) {
        return NULL;
    }
    size_t at = home_of(person, period, keys->table);
    for (; keys->by_person[at] != 0; at = (at + 1) & (keys->table - 1)) {
        const sp_subject_key *key = &keys->items[keys->by_person[at] - 1];
        if (key->person == person && key->period == period && key->id != 0) {
            return key;
        }
    }
    return NULL;
}

const sp_subject_key *sp_keys_find(const sp_keys *keys, uint64_t id)
{
    if (keys->table == 0 || id == 0) {
        return NULL;
    }
    size_t at = home_of(id, 0, keys->table);
    for (; keys->by_id[at] != 0; at = (at + 1) & (keys->table - 1)) {
        const sp_subject_key *key = &keys->items[keys->by_id[at] - 1];
        if (key->id == id) {
            return key;
        }
    }
    return NULL;
}

sp_err sp_keys_of(sp_keys *keys, uint32_t person, uint64_t when_unix_us,
                  const sp_subject_key **ret_key)
{
    uint32_t period = sp_keys_period(when_unix_us);
    if (keys->count >= KEYS_MAX) {
        person = 0; /* a gate that makes persons up fills no memory: they share nobody's key */
    }
    const sp_subject_key *known = find_person(keys, person, period);
    if (known == NULL) {
        sp_subject_key key = {.person = person, .period = period, .key = sp_key_new()};
        do {
            key.id = sp_random_u64();
        } while (key.id == 0 || sp_keys_find(keys, key.id) != NULL);
        sp_err err = add_item(keys, &key);
        sp_key_wipe(&key.key);
        TRY(err);
        known = &keys->items[keys->count - 1];
    }
    *ret_key = known;
    return sp_ok();
}

static sp_err slot_write(const sp_keys *keys, const sp_subject_key *key, sp_buf *out)
{
    auto_buf sp_buf id = sp_buf_make(ID_BYTES);
    auto_buf sp_buf plain = sp_buf_make(PLAIN_BYTES);
    sp_buf_u64(&id, key->id);
    sp_buf_u32(&plain, key->person);
    sp_buf_u32(&plain, key->period);
    sp_buf_span(&plain, (sp_span){key->key.bytes, SP_KEY_BYTES});
    TRY(sp_buf_error(&plain));
    sp_buf_span(out, sp_buf_borrow(&id));
    sp_err err = sp_seal(&keys->kek, sp_buf_borrow(&plain), sp_buf_borrow(&id), out);
    sp_buf_wipe(&plain);
    return err;
}

sp_err sp_keys_write(const sp_keys *keys, sp_span bytes, uint64_t at)
{
    while (bytes.len > 0) {
        ssize_t put = pwrite(keys->fd, bytes.ptr, bytes.len, (off_t)at);
        if (put <= 0) {
            return sp_fail(SP_EIO);
        }
        at += (uint64_t)put;
        bytes = sp_span_slice(bytes, (size_t)put, bytes.len);
    }
    return fdatasync(keys->fd) != 0 ? sp_fail(SP_EIO) : sp_ok();
}

sp_err sp_keys_take_new(sp_keys *keys, sp_buf *out, uint64_t *ret_at)
{
    for (size_t i = keys->taken; i < keys->count; i++) {
        TRY(slot_write(keys, &keys->items[i], out));
    }
    *ret_at = (uint64_t)keys->taken * SLOT_BYTES;
    keys->taken = keys->count;
    return sp_ok();
}

static bool is_due(const sp_subject_key *key, uint32_t person, uint64_t before_unix_us)
{
    uint64_t end_us = ((uint64_t)key->period + 1) * SP_KEYS_PERIOD_DAYS * DAY_US;
    return key->id != 0 && end_us <= before_unix_us &&
           (person == UINT32_MAX || key->person == person);
}

size_t sp_keys_count_before(const sp_keys *keys, uint32_t person, uint64_t before_unix_us)
{
    size_t count = 0;
    for (size_t i = 0; i < keys->count; i++) {
        count += is_due(&keys->items[i], person, before_unix_us) ? 1 : 0;
    }
    return count;
}

sp_err sp_keys_destroy(sp_keys *keys, uint32_t person, uint64_t before_unix_us, uint64_t *ret_ids,
                       size_t max, size_t *ret_count)
{
    static const uint8_t zeros[SLOT_BYTES] = {0};
    *ret_count = 0;
    for (size_t i = 0; i < keys->count && *ret_count < max; i++) {
        sp_subject_key *key = &keys->items[i];
        if (!is_due(key, person, before_unix_us)) {
            continue;
        }
        TRY(sp_keys_write(keys, (sp_span){zeros, sizeof(zeros)}, (uint64_t)i * SLOT_BYTES));
        ret_ids[(*ret_count)++] = key->id;
        sp_key_wipe(&key->key);
        key->id = 0; /* its places in the tables lead nowhere from now on */
    }
    return sp_ok();
}
