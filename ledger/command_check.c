/* SPDX-License-Identifier: Apache-2.0
 * sallyport ledger verify and witness: checking what stands on the disk, and standing witness to
 * it. OWNS nothing. PROCESS command line, also on another computer than the office's. TRUST nothing
 * on the disk and no reply. SPEC ledger/README.md "Verify"; c2sp.org/tlog-cosignature.
 */
#include "infra/crypto/sign.h"
#include "infra/ipc/conn.h"
#include "infra/proc/clock.h"
#include "infra/proc/file.h"
#include "ledger/command.h"
#include "ledger/verify.h"
#include "lib/merkle/note.h"

#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FINDINGS_MAX = 20, SOURCES_MAX = 65536 };

/* ---- verify ---- */

/* What the heads of a source's records say; losses that were written down count as explained. */
typedef struct {
    uint64_t id;
    uint64_t lowest;
    uint64_t highest;
    uint64_t events;
    uint64_t explained;
} account;

typedef struct {
    uint64_t from;
    uint64_t until;
} range;

typedef struct {
    sp_journal *journal;
    unsigned long long findings;
    unsigned long long erased;
    account *accounts;
    size_t accounts_count;
    range *redacted;
    size_t redacted_count;
    range *missing; /* erased records, to be compared with the redactions */
    size_t missing_count;
} audit;

__attribute__((format(printf, 2, 3))) static void find(audit *a, const char *format, ...)
{
    va_list args;
    if (a->findings++ >= FINDINGS_MAX) {
        return;
    }
    va_start(args, format);
    fputs("FAIL: ", stdout);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

static account *account_of(audit *a, uint64_t id)
{
    for (size_t i = a->accounts_count; i > 0; i--) {
        if (a->accounts[i - 1].id == id) {
            return &a->accounts[i - 1];
        }
    }
    if (a->accounts_count >= SOURCES_MAX ||
        sp_failed(sp_resize(&a->accounts, a->accounts_count + 1, sizeof(*a->accounts)))) {
        return NULL;
    }
    a->accounts[a->accounts_count] = (account){.id = id, .lowest = UINT64_MAX};
    return &a->accounts[a->accounts_count++];
}

static void add_range(range **list, size_t *count, uint64_t from, uint64_t until)
{
    if (*count > 0 && (*list)[*count - 1].until == from) {
        (*list)[*count - 1].until = until;
    } else if (!sp_failed(sp_resize(list, *count + 1, sizeof(**list)))) {
        (*list)[(*count)++] = (range){from, until};
    }
}

static uint64_t number_of(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* "erased: entry 5 on 2026-11-26T14:00:00Z by person 3 (approval 7F3K-9Q2M-XA4T): why" */
static void tell_redaction(const json_t *event, const json_t *detail)
{
    auto_buf sp_buf line = sp_buf_make(4096);
    const char *approval = json_string_value(json_object_get(detail, "approval"));
    const char *why = json_string_value(json_object_get(event, "message"));
    uint64_t from = number_of(detail, "from");
    uint64_t until = number_of(detail, "until");
    if (json_object_get(detail, "subject_keys") != NULL) {
        sp_buf_text(&line, "a person's entries");
    } else if (until == from + 1) {
        sp_buf_fmt(&line, "entry %" PRIu64, from);
    } else {
        sp_buf_fmt(&line, "entries %" PRIu64 " to %" PRIu64, from, until - 1);
    }
    sp_buf_text(&line, " on ");
    sp_buf_time(&line, number_of(event, "time") * 1000);
    if (json_object_get(detail, "by") != NULL) {
        sp_buf_fmt(&line, " by person %" PRIu64, number_of(detail, "by"));
    }
    if (approval != NULL) {
        sp_buf_fmt(&line, " (approval %.*s)", SP_SPAN_ARG(sp_span_cstr(approval)));
    }
    sp_buf_text(&line, ": ");
    sp_buf_seen(&line, sp_span_cstr(why == NULL ? "" : why));
    printf("erased: %.*s\n", SP_SPAN_ARG(sp_buf_borrow(&line)));
}

/* What the ledger itself says in open records: redactions, and numbers known to be missing. */
static void hear(audit *a, sp_span json)
{
    json_t *batch = json_loadb((const char *)json.ptr, json.len, JSON_ALLOW_NUL, NULL);
    const json_t *shared_kind = json_object_get(json_object_get(batch, "unmapped"), "kind");
    size_t at = 0;
    json_t *event = NULL;
    json_array_foreach(json_object_get(batch, "events"), at, event)
    {
        const json_t *more = json_object_get(event, "unmapped");
        const json_t *own_kind = json_object_get(more, "kind");
        const char *kind = json_string_value(own_kind != NULL ? own_kind : shared_kind);
        const json_t *detail = json_object_get(more, "detail");
        const json_t *until = json_object_get(detail, "until");
        const char *source = json_string_value(json_object_get(detail, "source"));
        bool redaction = kind != NULL && strcmp(kind, "redaction") == 0;
        if (redaction) {
            tell_redaction(event, detail);
        }
        if (redaction && json_is_integer(until)) {
            add_range(&a->redacted, &a->redacted_count, number_of(detail, "from"),
                      number_of(detail, "until"));
        }
        auto_buf sp_buf id = sp_buf_make(sizeof(uint64_t));
        bool counts = kind != NULL && (strcmp(kind, "gap") == 0 || strcmp(kind, "loss") == 0);
        if (counts && !sp_failed(sp_buf_unhex(&id, sp_span_cstr(source))) && id.len > 0) {
            sp_reader in = sp_reader_of(sp_buf_borrow(&id));
            account *about = account_of(a, sp_read_u64(&in));
            if (about != NULL) {
                about->explained += (uint64_t)json_integer_value(json_object_get(more, "count"));
            }
        }
    }
    json_decref(batch);
}

static void check_entry(audit *a, uint64_t entry, sp_buf *record)
{
    sp_record_head head;
    auto_buf sp_buf why = sp_buf_make(1024);
    if (sp_failed(sp_verify_entry(a->journal, entry, &why))) {
        find(a, "%.*s", SP_SPAN_ARG(sp_buf_borrow(&why)));
        return;
    }
    if (sp_failed(sp_journal_read(a->journal, entry, record)) ||
        sp_failed(sp_record_head_read(sp_buf_borrow(record), &head))) {
        find(a, "entry %" PRIu64 " cannot be read", entry);
        return;
    }
    account *source = account_of(a, head.source);
    if (source != NULL) {
        source->events += head.count;
        source->lowest = head.first_seq < source->lowest ? head.first_seq : source->lowest;
        source->highest = head.last_seq > source->highest ? head.last_seq : source->highest;
    }
    if (head.form == SP_RECORD_ERASED) {
        add_range(&a->missing, &a->missing_count, entry, entry + 1);
    } else if (head.form == SP_RECORD_OPEN) {
        auto_buf sp_buf json = sp_buf_make(SP_RECORD_MAX_BYTES);
        if (!sp_failed(sp_record_open(sp_buf_borrow(record), NULL, &json))) {
            hear(a, sp_buf_borrow(&json));
        }
    }
}

static void check_accounts(audit *a)
{
    for (size_t i = 0; i < a->accounts_count; i++) {
        const account *s = &a->accounts[i];
        uint64_t span = s->events == 0 ? 0 : s->highest - s->lowest + 1;
        if (span > s->events + s->explained) {
            find(a, "source %016" PRIx64 ": %" PRIu64 " events are missing and nothing says why",
                 s->id, span - s->events - s->explained);
        } else if (span < s->events) {
            find(a, "source %016" PRIx64 ": %" PRIu64 " events stand there twice", s->id,
                 s->events - span);
        }
    }
}

static bool is_redacted(const audit *a, uint64_t from, uint64_t until)
{
    for (size_t i = 0; i < a->redacted_count && from < until; i++) {
        if (a->redacted[i].from <= from && from < a->redacted[i].until) {
            from = a->redacted[i].until;
            i = (size_t)-1; /* from the start again: ranges are in no order */
        }
    }
    return from >= until;
}

static void check_redactions(audit *a)
{
    uint64_t first = sp_journal_first(a->journal);
    if (first > 0 && !is_redacted(a, 0, first)) {
        find(a, "entries below %" PRIu64 " are gone and no redaction says so", first);
    }
    for (size_t i = 0; i < a->missing_count; i++) {
        a->erased += a->missing[i].until - a->missing[i].from;
        if (!is_redacted(a, a->missing[i].from, a->missing[i].until)) {
            find(a, "entries %" PRIu64 " to %" PRIu64 " were erased and no redaction says so",
                 a->missing[i].from, a->missing[i].until - 1);
        }
    }
}

static bool signed_by(const sp_note *note, const sp_note_key *key)
{
    const sp_note_sig *sig = sp_note_find(note, key);
    sp_verify_key public;
    sp_signature signature;
    if (sig == NULL || key->alg != SP_NOTE_ED25519 || sig->len != SP_SIGNATURE_BYTES) {
        return false;
    }
    sp_copy(public.bytes, key->key, sizeof(public.bytes));
    sp_copy(signature.bytes, sig->bytes, sizeof(signature.bytes));
    return sp_verify(&public, note->text, &signature);
}

/* The journal has compared the checkpoint's root with its hashes at opening; here its signature. */
static void check_checkpoint(audit *a, const char *key_text)
{
    auto_buf sp_buf bytes = sp_buf_make(SP_NOTE_MAX_BYTES);
    auto_buf sp_buf own_key = sp_buf_make(SP_NOTE_MAX_BYTES);
    sp_note note;
    sp_note_key key;
    sp_checkpoint said;
    if (sp_failed(sp_journal_checkpoint_read(a->journal, &bytes)) ||
        sp_failed(sp_note_parse(sp_buf_borrow(&bytes), &note)) ||
        sp_failed(sp_checkpoint_parse(note.text, &said))) {
        find(a, "there is no signed checkpoint: a missing seal is a failure");
        return;
    }
    sp_span text = sp_span_cstr(key_text);
    if (key_text == NULL && !sp_failed(sp_journal_key_read(a->journal, &own_key))) {
        text = sp_span_trim(sp_buf_borrow(&own_key));
        printf("note: the key is the directory's own, compare it with the one you know:\n  %.*s\n",
               SP_SPAN_ARG(text));
    }
    if (sp_failed(sp_note_key_parse(text, &key))) {
        find(a, "there is no readable verifier key: give it with --key");
    } else if (!signed_by(&note, &key)) {
        find(a, "the checkpoint is not signed by this key");
    }
    uint64_t size = sp_journal_size(a->journal);
    printf("checkpoint: %" PRIu64 " of %" PRIu64 " entries, %" PRIu64 " more behind them\n",
           said.size, size, sp_journal_tail(a->journal));
}

static int conclude(audit *a)
{
    printf("%s: %" PRIu64 " entries (%" PRIu64 " to %" PRIu64 "), %llu erased, %zu sources, %llu "
           "findings\n",
           a->findings == 0 ? "GOOD" : "BAD", sp_journal_size(a->journal),
           sp_journal_first(a->journal), sp_journal_size(a->journal), a->erased, a->accounts_count,
           a->findings);
    sp_free(a->accounts);
    sp_free(a->redacted);
    sp_free(a->missing);
    sp_journal_close(a->journal);
    return a->findings == 0 ? 0 : SP_LEDGER_EXIT_BAD;
}

int sp_ledger_cmd_verify(const sp_ledger_args *args)
{
    audit a = {0};
    auto_free char *path = NULL;
    auto_buf sp_buf why = sp_buf_make(1024);
    auto_buf sp_buf record = sp_buf_make(SP_RECORD_MAX_BYTES);
    if (sp_failed(sp_ledger_directory(args, &path))) {
        return SP_LEDGER_EXIT_USAGE;
    }
    if (sp_failed(sp_journal_open(path, false, &why, &a.journal))) {
        printf("FAIL: %.*s\nBAD: %s\n", SP_SPAN_ARG(sp_buf_borrow(&why)), path);
        return SP_LEDGER_EXIT_BAD;
    }
    uint64_t size = sp_journal_size(a.journal);
    for (uint64_t i = sp_journal_first(a.journal); i < size; i++) {
        check_entry(&a, i, &record);
    }
    if (sp_failed(sp_verify_tree(a.journal, size, &why))) {
        find(&a, "%.*s", SP_SPAN_ARG(sp_buf_borrow(&why)));
    }
    check_accounts(&a);
    check_redactions(&a);
    check_checkpoint(&a, args->key);
    return conclude(&a);
}

/* ---- witness ---- */

typedef struct {
    sp_sign_key secret;
    sp_verify_key public;
} witness_key;

/* 64 bytes in hex; made when the file is not there. */
static sp_err load_key(const char *path, witness_key *key)
{
    auto_buf sp_buf text = sp_buf_make(4096);
    auto_buf sp_buf bytes = sp_buf_make(SP_SIGN_SECRET_BYTES);
    sp_err err = sp_file_read(path, &text);
    if (err.code == SP_ENOTFOUND) {
        sp_sign_key_new(&key->secret, &key->public);
        sp_buf_hex(&text, (sp_span){key->secret.bytes, SP_SIGN_SECRET_BYTES});
        err = sp_file_replace(path, 0600, sp_buf_borrow(&text));
        sp_buf_wipe(&text);
        return err;
    }
    TRY(err);
    TRY(sp_buf_unhex(&bytes, sp_span_trim(sp_buf_borrow(&text))));
    if (bytes.len != SP_SIGN_SECRET_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    sp_copy(key->secret.bytes, bytes.ptr, bytes.len);
    key->public = sp_sign_key_public(&key->secret);
    sp_buf_wipe(&text);
    sp_buf_wipe(&bytes);
    return sp_ok();
}

/* The checkpoint seen last; size 0 when there is none yet. */
static sp_err load_last(const char *path, sp_buf *bytes, sp_checkpoint *ret_last)
{
    sp_note note;
    sp_err err = sp_file_read(path, bytes);
    *ret_last = (sp_checkpoint){.root = sp_merkle_empty()};
    if (err.code == SP_ENOTFOUND) {
        return sp_ok();
    }
    TRY(err);
    TRY(sp_note_parse(sp_buf_borrow(bytes), &note));
    return sp_checkpoint_parse(note.text, ret_last);
}

/* The new checkpoint must be of the same log, signed by the known key, and contain the old. */
static const char *refuse(const sp_note *note, const sp_note_key *key, const sp_checkpoint *old,
                          const sp_checkpoint *new, const sp_ledger_proof *proof)
{
    if (!signed_by(note, key)) {
        return "the checkpoint is not signed by the ledger's key";
    }
    if (old->size > 0 && !sp_span_eq(old->origin, new->origin)) {
        return "the checkpoint is of another ledger";
    }
    if (new->size < old->size) {
        return "the ledger is smaller than it was: ROLLED BACK";
    }
    if (!sp_merkle_extends(old->size, &old->root, new->size, &new->root, proof->path,
                           proof->count)) {
        return "the ledger does not contain what was seen before: FORKED";
    }
    return NULL;
}

static sp_err cosign(int fd, const sp_ledger_args *args, const sp_note *note, sp_span old_note,
                     const witness_key *key)
{
    sp_note_key name =
        sp_note_key_of(sp_span_cstr(args->name), SP_NOTE_COSIGNATURE, key->public.bytes);
    auto_buf sp_buf message = sp_buf_make(2 * SP_NOTE_MAX_BYTES);
    auto_buf sp_buf cosigned = sp_buf_make(2 * SP_NOTE_MAX_BYTES);
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_buf sp_buf vkey = sp_buf_make(1024);
    uint64_t now = sp_now_unix_us() / 1000000;
    sp_cosignature_text(now, note->text, &message);
    TRY(sp_buf_error(&message));
    sp_signature signature = sp_sign(&key->secret, sp_buf_borrow(&message));
    sp_buf_span(&cosigned, old_note);
    sp_cosignature_line(&name, now, (sp_span){signature.bytes, SP_SIGNATURE_BYTES}, &cosigned);
    TRY(sp_buf_error(&cosigned));
    TRY(sp_ledger_ask(fd, SP_LEDGER_COSIGN, sp_buf_borrow(&cosigned), &reply));
    TRY(sp_file_replace(args->last, 0644, sp_buf_borrow(&cosigned)));
    sp_note_key_text(&name, &vkey);
    fprintf(stderr, "witness %.*s\n", SP_SPAN_ARG(sp_buf_borrow(&vkey)));
    fwrite(cosigned.ptr, 1, cosigned.len, stdout);
    return sp_ok();
}

static int witness(int fd, const sp_ledger_args *args, const witness_key *key)
{
    auto_buf sp_buf old_bytes = sp_buf_make(SP_NOTE_MAX_BYTES);
    auto_buf sp_buf body = sp_buf_make(64);
    auto_buf sp_buf stats_reply = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_checkpoint old;
    sp_checkpoint new;
    sp_note note;
    sp_note_key ledger_key;
    sp_ledger_stats stats;
    sp_ledger_proof proof;
    sp_err err = load_last(args->last, &old_bytes, &old);
    const sp_ledger_sizes sizes = {old.size, 0};
    sp_ledger_sizes_write(&sizes, &body);
    if (sp_failed(err) ||
        sp_failed(sp_ledger_ask(fd, SP_LEDGER_STATS, SP_SPAN_EMPTY, &stats_reply)) ||
        sp_failed(sp_ledger_stats_read(sp_buf_borrow(&stats_reply), &stats)) ||
        sp_failed(sp_note_key_parse(
            args->key != NULL ? sp_span_cstr(args->key) : stats.verifier_key, &ledger_key)) ||
        sp_failed(sp_ledger_ask(fd, SP_LEDGER_CHECKPOINT, SP_SPAN_EMPTY, &reply))) {
        fprintf(stderr, "the files given or the ledger's answers cannot be read\n");
        return SP_LEDGER_EXIT_BAD;
    }
    sp_buf_reset(&reply);
    if (sp_failed(sp_ledger_ask(fd, SP_LEDGER_CONSISTENCY, sp_buf_borrow(&body), &reply))) {
        fprintf(stderr, "no proof from %" PRIu64 " entries on: ROLLED BACK or replaced\n",
                old.size);
        return SP_LEDGER_EXIT_BAD;
    }
    if (sp_failed(sp_ledger_proof_read(sp_buf_borrow(&reply), &proof)) ||
        sp_failed(sp_note_parse(proof.note, &note)) ||
        sp_failed(sp_checkpoint_parse(note.text, &new))) {
        fprintf(stderr, "the ledger's checkpoint cannot be read\n");
        return SP_LEDGER_EXIT_BAD;
    }
    const char *why_not = refuse(&note, &ledger_key, &old, &new, &proof);
    if (why_not != NULL) {
        fprintf(stderr, "not cosigned: %s\n", why_not);
        return SP_LEDGER_EXIT_BAD;
    }
    return sp_failed(cosign(fd, args, &note, proof.note, key)) ? SP_LEDGER_EXIT_BAD : 0;
}

int sp_ledger_cmd_witness(const sp_ledger_args *args)
{
    sp_config *config = NULL;
    auto_close int fd = -1;
    witness_key key;
    if (args->name == NULL || args->secret == NULL || args->last == NULL) {
        fprintf(stderr, "witness needs --name, --secret and --last\n");
        return SP_LEDGER_EXIT_USAGE;
    }
    if (sp_failed(load_key(args->secret, &key))) {
        fprintf(stderr, "%s does not hold a witness's key\n", args->secret);
        return SP_LEDGER_EXIT_BAD;
    }
    sp_err err = sp_ledger_connect(args, &config, &fd);
    int result = sp_failed(err) ? SP_LEDGER_EXIT_AWAY : witness(fd, args, &key);
    sp_sign_key_wipe(&key.secret);
    sp_config_free(config);
    return result;
}
