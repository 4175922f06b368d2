/* SPDX-License-Identifier: Apache-2.0
 * Keeping, and saying what keeping would cost.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see keeper.h. SPEC pg_dump(1).
 */
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "keeper/keeper.h"
#include "lib/base/arena.h"

#include <errno.h>
#include <pthread.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ARGS_MAX = KEEP_RELATIONS_MAX + 16, CHUNK_BYTES = 64 * 1024, KEEPS_MAX = 1000 };
#define GIB ((uint64_t)1 << 30)
#define SLACK_BYTES ((uint64_t)64 << 20)

static const char SNAPSHOT[] = "SELECT pg_catalog.pg_export_snapshot()";

/* One moment for the manifest and for pg_dump: the asking connection's, or our own. */
static sp_err begin_snapshot(keep_job *job, PGconn *conn, char *ret_snapshot, size_t room)
{
    TRY(keep_exec(job, conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 0, NULL, NULL));
    if (job->job.snapshot.len > 0) {
        auto_buf sp_buf sql = sp_buf_make(256);
        auto_free char *text = NULL;
        TRY(sp_fit(ret_snapshot, room, job->job.snapshot));
        char *quoted = PQescapeLiteral(conn, ret_snapshot, job->job.snapshot.len);
        sp_buf_text(&sql, "SET TRANSACTION SNAPSHOT ");
        sp_buf_text(&sql, quoted);
        PQfreemem(quoted);
        TRY(sp_buf_take_cstr(&sql, &text));
        return keep_exec(job, conn, text, 0, NULL, NULL);
    }
    auto_result PGresult *result = NULL;
    TRY(keep_exec(job, conn, SNAPSHOT, 0, NULL, &result));
    return sp_fit(ret_snapshot, room, sp_span_cstr(keep_value(result, 0, 0)));
}

/* ---- room ---- */

/* What keeps that are being written may come to; the jobs of one process share it. */
static struct {
    pthread_mutex_t lock;
    uint64_t bytes;
} promised = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* The disk's last part is not ours: the ledger and the store may share it. */
static uint64_t free_of(const struct statvfs *disk)
{
    uint64_t all = (uint64_t)disk->f_blocks * disk->f_frsize;
    uint64_t rest = (uint64_t)disk->f_bavail * disk->f_frsize;
    return less(rest, all / 20 < GIB ? all / 20 : GIB);
}

/* *ret_max: bytes that the keep may have. The lock is held. */
static sp_err check_room(keep_job *job, uint64_t bytes, uint64_t *ret_max)
{
    uint64_t used = 0;
    size_t count = 0;
    struct statvfs disk;
    TRY(keep_files_size(job->store_dir, &used, &count));
    if (statvfs(job->store_dir, &disk) != 0) {
        return sp_fail(SP_EIO);
    }
    uint64_t all = (uint64_t)job->config->keep_gib * GIB;
    uint64_t free_bytes = less(free_of(&disk), promised.bytes);
    uint64_t left = less(less(all, used), promised.bytes);
    uint64_t most = bytes < UINT64_MAX / 8 ? 4 * bytes + SLACK_BYTES : UINT64_MAX;
    if (count >= KEEPS_MAX || bytes / 4 > left || bytes / 4 > free_bytes) {
        sp_buf_fmt(&job->why,
                   "keeping about %llu bytes would pass the room for keeps (%u GiB, %zu of %d "
                   "keeps) or the disk's",
                   (unsigned long long)bytes, job->config->keep_gib, count, KEEPS_MAX);
        return sp_fail(SP_ELIMIT);
    }
    left = left < free_bytes ? left : free_bytes;
    *ret_max = left < most ? left : most;
    return sp_ok();
}

/* promise: until give_room_back(). */
static sp_err take_room(keep_job *job, uint64_t bytes, bool promise, uint64_t *ret_max)
{
    pthread_mutex_lock(&promised.lock);
    sp_err err = check_room(job, bytes, ret_max);
    promised.bytes += sp_failed(err) || !promise ? 0 : *ret_max;
    pthread_mutex_unlock(&promised.lock);
    return err;
}

static void give_room_back(uint64_t bytes)
{
    pthread_mutex_lock(&promised.lock);
    promised.bytes -= bytes;
    pthread_mutex_unlock(&promised.lock);
}

/* ---- pg_dump ---- */

typedef struct {
    const char *items[ARGS_MAX];
    size_t count;
    sp_arena *arena;
} args;

static sp_err add_arg(args *a, sp_span text)
{
    sp_span copy = SP_SPAN_EMPTY;
    if (a->count + 1 >= ARGS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(sp_arena_copy(a->arena, text, &copy));
    a->items[a->count++] = (const char *)copy.ptr;
    return sp_ok();
}

/* "--table="schema"."name"": within double quotes nothing is a pattern. */
static sp_err add_table(args *a, const json_t *relation)
{
    auto_buf sp_buf text = sp_buf_make(1024);
    static const char *const parts[] = {"schema", "name"};
    sp_buf_text(&text, "--table=");
    for (size_t i = 0; i < SP_COUNT(parts); i++) {
        sp_span name = sp_span_cstr(json_string_value(json_object_get(relation, parts[i])));
        sp_buf_text(&text, i == 0 ? "\"" : ".\"");
        for (size_t k = 0; k < name.len; k++) {
            sp_buf_text(&text, name.ptr[k] == '"' ? "\"" : "");
            sp_buf_byte(&text, name.ptr[k]);
        }
        sp_buf_byte(&text, '"');
    }
    TRY(sp_buf_error(&text));
    return add_arg(a, sp_buf_borrow(&text));
}

static sp_err dump_args(keep_job *job, const json_t *manifest, const char *snapshot, args *a)
{
    auto_free char *info = NULL;
    auto_buf sp_buf text = sp_buf_make(512);
    TRY(keep_conninfo(job, NULL, &info));
    TRY(add_arg(a, SP_SPAN_LIT("pg_dump")));
    TRY(add_arg(a, SP_SPAN_LIT("--format=custom")));
    TRY(add_arg(a, SP_SPAN_LIT("--compress=0")));
    TRY(add_arg(a, SP_SPAN_LIT("--no-password")));
    TRY(add_arg(a, SP_SPAN_LIT("--strict-names"))); /* all of them, or it is not kept */
    TRY(add_arg(a, SP_SPAN_LIT("--lock-wait-timeout=30s")));
    sp_buf_fmt(&text, "--snapshot=%s", snapshot);
    TRY(add_arg(a, sp_buf_borrow(&text)));
    sp_buf_reset(&text);
    TRY(add_arg(a, SP_SPAN_LIT("--dbname")));
    TRY(add_arg(a, sp_span_cstr(info)));
    const json_t *relations = json_object_get(manifest, "relations");
    bool whole = json_is_true(json_object_get(manifest, "whole"));
    for (size_t i = 0; !whole && i < json_array_size(relations); i++) {
        TRY(add_table(a, json_array_get(relations, i)));
    }
    return sp_ok();
}

static sp_err pour(keep_job *job, int from, keep_writer *writer, keep_child *lister)
{
    static _Thread_local uint8_t chunk[CHUNK_BYTES];
    for (;;) {
        ssize_t got = read(from, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return sp_fail(SP_EIO);
        }
        if (got == 0) {
            return sp_ok();
        }
        keep_work_moved(&job->work);
        keep_listing_feed(lister, sp_span_of(chunk, (size_t)got));
        TRY(keep_writer_put(writer, sp_span_of(chunk, (size_t)got)));
    }
}

static sp_err dump(keep_job *job, const json_t *manifest, const char *snapshot, keep_writer *writer)
{
    auto_arena sp_arena arena = sp_arena_make(1 << 20);
    args a = {.count = 0, .arena = &arena};
    keep_child child;
    keep_child lister;
    TRY(dump_args(job, manifest, snapshot, &a));
    TRY(keep_listing_start(job, &lister));
    sp_err err = keep_child_start(job, a.items, false, true, &child);
    if (!sp_failed(err)) {
        sp_err poured = pour(job, child.out, writer, &lister);
        err = keep_child_end(job, &child);
        err = sp_failed(poured) ? poured : err;
        keep_child_done(&child);
    }
    sp_err listed = keep_listing_end(job, &lister, sp_failed(err) ? NULL : manifest);
    keep_child_done(&lister);
    return sp_failed(err) ? err : listed;
}

/* ---- the file ---- */

static sp_err write_manifest(keep_job *job, keep_writer *writer, const json_t *manifest)
{
    char *text = json_dumps(manifest, JSON_COMPACT);
    sp_span bytes = sp_span_cstr(text);
    auto_buf sp_buf head = sp_buf_make(8);
    sp_buf_u32(&head, (uint32_t)bytes.len);
    sp_err err = text == NULL || bytes.len > KEEP_MANIFEST_MAX_BYTES
                     ? sp_fail(text == NULL ? SP_ENOMEM : SP_ELIMIT)
                     : keep_writer_put(writer, sp_buf_borrow(&head));
    if (!sp_failed(err)) {
        err = keep_writer_put(writer, bytes);
    } else if (err.code == SP_ELIMIT) {
        sp_buf_text(&job->why, keep_listing_too_long);
    }
    sp_free(text);
    return err;
}

static sp_err new_writer(keep_job *job, uint64_t max_bytes, keep_writer **ret_writer)
{
    auto_key sp_key key = sp_key_new();
    auto_buf sp_buf wrapped = sp_buf_make(512);
    TRY(keep_vault_wrap(job, sp_span_of(key.bytes, sizeof(key.bytes)), &wrapped));
    return keep_writer_new(job->store_dir, job->job.keep, &key, sp_buf_borrow(&wrapped), max_bytes,
                           ret_writer);
}

static sp_err write_all(keep_job *job, const json_t *manifest, const char *snapshot,
                        uint64_t max_bytes)
{
    keep_writer *writer = NULL;
    TRY(new_writer(job, max_bytes, &writer));
    sp_err err = write_manifest(job, writer, manifest);
    if (!sp_failed(err)) {
        err = dump(job, manifest, snapshot, writer);
    }
    if (!sp_failed(err)) {
        err = keep_writer_finish(writer, &job->bytes);
    }
    keep_writer_free(writer);
    return err;
}

/* pg_dump leaves out what belongs to an extension, with its rows, and rows of another server. */
static sp_err check_kept(keep_job *job, const json_t *manifest)
{
    const json_t *relations = json_object_get(manifest, "relations");
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        const char *why = NULL;
        if (json_is_true(json_object_get(one, "member"))) {
            why = "belongs to an extension: it cannot be kept";
        } else if (job->job.whole == 0 && keep_is_elsewhere(manifest, one)) {
            why = "has its rows on another server: they cannot be kept";
        }
        if (why != NULL) {
            sp_buf_fmt(&job->why, "%s %s", json_string_value(json_object_get(one, "quoted")), why);
            return sp_fail(SP_ECONFLICT);
        }
    }
    return sp_ok();
}

sp_err keep_run_keep(keep_job *job)
{
    auto_conn PGconn *conn = NULL;
    auto_json json_t *manifest = NULL;
    char snapshot[SP_KEEPER_NAME_MAX_BYTES + 1];
    uint64_t max_bytes = 0;
    TRY(keep_connect(job, NULL, &conn));
    TRY(begin_snapshot(job, conn, snapshot, sizeof(snapshot)));
    TRY(keep_manifest(job, conn, &manifest));
    TRY(check_kept(job, manifest));
    job->plain_bytes = keep_manifest_bytes(manifest);
    json_object_set_new(manifest, "created",
                        json_integer((json_int_t)(sp_now_unix_us() / 1000000)));
    TRY(take_room(job, job->plain_bytes, true, &max_bytes));
    sp_err err = write_all(job, manifest, snapshot, max_bytes);
    give_room_back(max_bytes);
    TRY(err);
    keep_summary(manifest, 0, &job->report);
    return sp_ok();
}

sp_err keep_run_estimate(keep_job *job)
{
    auto_conn PGconn *conn = NULL;
    auto_json json_t *manifest = NULL;
    uint64_t max_bytes = 0;
    TRY(keep_connect(job, NULL, &conn));
    TRY(keep_exec(job, conn, "BEGIN READ ONLY", 0, NULL, NULL));
    TRY(keep_manifest(job, conn, &manifest));
    job->bytes = keep_manifest_bytes(manifest);
    job->duration_ms = 200 + job->bytes * 1000 / (job->rate == 0 ? 1 : job->rate);
    TRY(take_room(job, job->bytes, false, &max_bytes));
    keep_summary(manifest, job->duration_ms, &job->report);
    return sp_ok();
}

/* ---- opening a keep ---- */

static sp_err read_manifest(keep_reader *reader, json_t **ret_manifest)
{
    auto_buf sp_buf text = sp_buf_make(KEEP_MANIFEST_MAX_BYTES + 4);
    json_error_t error;
    size_t want = 4;
    while (text.len < want) {
        size_t got = 0;
        uint8_t *room = sp_buf_room(&text, want - text.len);
        if (room == NULL) {
            return sp_fail(SP_ENOMEM);
        }
        TRY(keep_reader_read(reader, room, want - text.len, &got));
        if (got == 0) {
            return sp_fail(SP_ECORRUPT);
        }
        sp_buf_grown(&text, got);
        if (want == 4 && text.len == 4) {
            want += (size_t)text.ptr[0] << 24 | (size_t)text.ptr[1] << 16 |
                    (size_t)text.ptr[2] << 8 | text.ptr[3];
            if (want > KEEP_MANIFEST_MAX_BYTES + 4) {
                return sp_fail(SP_ECORRUPT);
            }
        }
    }
    *ret_manifest = json_loadb((const char *)text.ptr + 4, text.len - 4, 0, &error);
    return *ret_manifest == NULL ? sp_fail(SP_ECORRUPT) : sp_ok();
}

sp_err keep_open(keep_job *job, keep_reader **ret_reader, json_t **ret_manifest)
{
    keep_reader *reader = NULL;
    sp_span wrapped = SP_SPAN_EMPTY;
    auto_key sp_key key = {{0}};
    TRY(keep_reader_new(job->store_dir, job->job.keep, &reader, &wrapped));
    sp_err err = keep_vault_unwrap(job, wrapped, &key);
    if (!sp_failed(err)) {
        err = keep_reader_key(reader, &key);
    }
    if (!sp_failed(err)) {
        err = read_manifest(reader, ret_manifest);
    }
    if (sp_failed(err)) {
        keep_reader_free(reader);
        return err;
    }
    *ret_reader = reader;
    return sp_ok();
}
