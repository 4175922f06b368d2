/* SPDX-License-Identifier: Apache-2.0
 * sallyport ledger export: a pack for somebody who does not trust the office, checked offline by
 * sallyport-verify. The layout is C2SP tlog-tiles, so that other tools read it as well:
 *     checkpoint  key  tile/0/..  tile/1/..  ...  tile/entries/..  secrets
 * Records of other people stay sealed; `secrets` opens those that the filters name, one by one.
 * OWNS nothing. PROCESS command line, as root on the host. TRUST replies are bounded.
 * SPEC c2sp.org/tlog-tiles; ledger/verify/verify.c reads it.
 */
#include "infra/ipc/conn.h"
#include "infra/proc/file.h"
#include "ledger/command.h"
#include "ledger/journal.h"
#include "ledger/lookup.h"
#include "lib/merkle/note.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 4096, SECRETS_MAX_BYTES = 64 * 1024 * 1024 };
enum { BUNDLE_MAX_BYTES = SP_MERKLE_TILE_WIDTH * (SP_RECORD_MAX_BYTES + 2) };

typedef struct {
    const sp_ledger_args *args;
    int fd;
    sp_journal *journal;
    uint64_t size; /* of the checkpoint */
    sp_buf secrets;
    uint64_t records;
    uint64_t opened;
} export;

/* Writes a file of the pack, with the directories above it. */
static sp_err put(const export *e, sp_span name, sp_span bytes)
{
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    sp_buf_text(&path, e->args->directory);
    sp_buf_byte(&path, '/');
    size_t root = path.len;
    sp_buf_span(&path, name);
    sp_buf_byte(&path, 0);
    TRY(sp_buf_error(&path));
    for (size_t i = root; path.ptr[i] != '\0'; i++) {
        if (path.ptr[i] == '/') {
            path.ptr[i] = '\0';
            TRY(sp_dir_make((const char *)path.ptr, 0755));
            path.ptr[i] = '/';
        }
    }
    return sp_file_replace((const char *)path.ptr, 0644, bytes);
}

static sp_err put_tile(const export *e, int level, uint64_t index, unsigned width, sp_span bytes)
{
    auto_buf sp_buf name = sp_buf_make(PATH_MAX_BYTES);
    sp_tile_path(level, index, width, &name);
    TRY(sp_buf_error(&name));
    return put(e, sp_buf_borrow(&name), bytes);
}

/* Tiles [from, to) of a level that has count hashes. */
static sp_err put_hashes(const export *e, unsigned level, uint64_t count, uint64_t from,
                         uint64_t to)
{
    sp_merkle_source source = sp_journal_hashes(e->journal);
    for (uint64_t i = from; i < to && i * SP_MERKLE_TILE_WIDTH < count; i++) {
        sp_hash row[SP_MERKLE_TILE_WIDTH];
        uint64_t left = count - i * SP_MERKLE_TILE_WIDTH;
        unsigned width = left < SP_MERKLE_TILE_WIDTH ? (unsigned)left : SP_MERKLE_TILE_WIDTH;
        TRY(source.read(source.self, level, i * SP_MERKLE_TILE_WIDTH, width, row));
        TRY(put_tile(e, (int)level, i, width, (sp_span){row[0].bytes, width * sizeof(row[0])}));
    }
    return sp_ok();
}

static bool match_any(void *self, uint16_t at, sp_span json)
{
    bool *any = self;
    (void)at;
    (void)json;
    *any = true;
    return false;
}

/* The record of an entry as the running ledger gives it; its secret when the filters name it. */
static sp_err take_entry(export *e, uint64_t which, sp_buf *bundle)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    const sp_ledger_entry_ask ask = {.reader = e->args->search.reader, .entry = which};
    sp_ledger_entry entry;
    bool any = false;
    bool asked = which >= e->args->from_entry && which < e->args->until_entry;
    sp_ledger_entry_ask_write(&ask, &body);
    TRY(sp_ledger_ask(e->fd, SP_LEDGER_ENTRY, sp_buf_borrow(&body), &reply));
    TRY(sp_ledger_entry_read(sp_buf_borrow(&reply), &entry));
    sp_buf_u16(bundle, (uint16_t)entry.record.len);
    sp_buf_span(bundle, entry.record);
    e->records += entry.record.len > 0 ? 1 : 0;
    if (asked && entry.secret.len > 0) {
        TRY(sp_lookup_match(&e->args->search, entry.json, UINT16_MAX, match_any, &any));
    }
    if (any) {
        sp_buf_u64_text(&e->secrets, which);
        sp_buf_byte(&e->secrets, ' ');
        sp_buf_hex(&e->secrets, entry.secret);
        sp_buf_byte(&e->secrets, '\n');
        e->opened++;
    }
    return sp_buf_error(bundle);
}

static sp_err put_bundle(export *e, uint64_t index)
{
    auto_buf sp_buf bundle = sp_buf_make(BUNDLE_MAX_BYTES);
    uint64_t first = index * SP_MERKLE_TILE_WIDTH;
    uint64_t left = e->size - first;
    unsigned width = left < SP_MERKLE_TILE_WIDTH ? (unsigned)left : SP_MERKLE_TILE_WIDTH;
    for (unsigned i = 0; i < width; i++) {
        TRY(take_entry(e, first + i, &bundle));
    }
    return put_tile(e, -1, index, width, sp_buf_borrow(&bundle));
}

static sp_err put_checkpoint(export *e)
{
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_note note;
    sp_checkpoint said;
    sp_ledger_stats stats;
    TRY(sp_ledger_ask(e->fd, SP_LEDGER_CHECKPOINT, SP_SPAN_EMPTY, &reply));
    TRY(sp_note_parse(sp_buf_borrow(&reply), &note));
    TRY(sp_checkpoint_parse(note.text, &said));
    e->size = said.size;
    TRY(put(e, SP_SPAN_LIT("checkpoint"), sp_buf_borrow(&reply)));
    sp_buf_reset(&reply);
    TRY(sp_ledger_ask(e->fd, SP_LEDGER_STATS, SP_SPAN_EMPTY, &reply));
    TRY(sp_ledger_stats_read(sp_buf_borrow(&reply), &stats));
    return put(e, SP_SPAN_LIT("key"), stats.verifier_key);
}

static sp_err export_all(export *e, sp_config *config)
{
    auto_free char *state = NULL;
    auto_buf sp_buf why = sp_buf_make(1024);
    TRY(sp_dir_make(e->args->directory, 0755));
    TRY(put_checkpoint(e));
    TRY(sp_config_state(config, SP_ROLE_LEDGER, "", &state));
    sp_err err = sp_journal_open(state, false, &why, &e->journal);
    if (sp_failed(err)) {
        fprintf(stderr, "%.*s\n", SP_SPAN_ARG(sp_buf_borrow(&why)));
        return err;
    }
    for (unsigned level = 1; level < 5; level++) {
        uint64_t count = e->size >> (SP_MERKLE_TILE_BITS * level);
        TRY(put_hashes(e, level, count, 0, count / SP_MERKLE_TILE_WIDTH + 1));
    }
    uint64_t from = e->args->from_entry / SP_MERKLE_TILE_WIDTH;
    uint64_t until = e->args->until_entry < e->size ? e->args->until_entry : e->size;
    uint64_t to = (until + SP_MERKLE_TILE_WIDTH - 1) / SP_MERKLE_TILE_WIDTH;
    uint64_t last = e->size / SP_MERKLE_TILE_WIDTH;
    TRY(put_hashes(e, 0, e->size, from, to));
    TRY(put_hashes(e, 0, e->size, last, last + 1)); /* the right edge gives the root */
    for (uint64_t i = from; i < to; i++) {
        TRY(put_bundle(e, i));
    }
    return put(e, SP_SPAN_LIT("secrets"), sp_buf_borrow(&e->secrets));
}

int sp_ledger_cmd_export(const sp_ledger_args *args)
{
    sp_config *config = NULL;
    export e = {.args = args, .fd = -1, .secrets = sp_buf_make(SECRETS_MAX_BYTES)};
    sp_err err = sp_ledger_connect(args, &config, &e.fd);
    if (!sp_failed(err)) {
        err = export_all(&e, config);
    }
    if (!sp_failed(err)) {
        fprintf(stderr, "%s: tree of %llu entries, %llu records, %llu of them can be opened\n",
                args->directory, (unsigned long long)e.size, (unsigned long long)e.records,
                (unsigned long long)e.opened);
    } else {
        fprintf(stderr, "the export failed: %s\n", sp_code_word(err.code));
    }
    sp_journal_close(e.journal);
    sp_buf_wipe(&e.secrets);
    sp_buf_done(&e.secrets);
    sp_config_free(config);
    if (e.fd >= 0) {
        close(e.fd);
    }
    return sp_failed(err) ? SP_LEDGER_EXIT_BAD : 0;
}
