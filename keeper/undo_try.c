/* SPDX-License-Identifier: Apache-2.0
 * What cannot come back does not end the undo of what can: each piece of it is tried within a block
 * of the server's, so that what it cannot do is taken back alone, and said. What is wrong with the
 * server, its disk, the connection, what the questions of undo_code.c raise, and a lock that was
 * not had in time, is no failure of the piece: it ends the undo.
 * OWNS what it hears. PROCESS keeper, threads of the pool. TRUST pieces are pg_restore's words, and
 * names of the database: they stand within quotes that nobody knows beforehand. SPEC PostgreSQL 15
 * manual, 43.6.8 "Trapping Errors"; keeper/undo_parts.h.
 */
#include "infra/crypto/random.h"
#include "infra/proc/file.h"
#include "keeper/said.h"
#include "keeper/undo_parts.h"

#include <time.h>

enum { HEARD_MAX_BYTES = 1 << 20, WORDS_MAX_BYTES = 600, WAIT_MIN_NS = 100000 };
#define WAIT_MAX_NS (20L * 1000 * 1000)

sp_err undo_try_begin(undo *u)
{
    auto_buf sp_buf word = sp_buf_make(sizeof(u->mark));
    uint8_t random[(sizeof(u->mark) - 3) / 2];
    sp_random(random, sizeof(random));
    sp_buf_text(&word, "sp");
    sp_buf_hex(&word, sp_span_of(random, sizeof(random)));
    TRY(sp_buf_error(&word));
    return sp_fit(u->mark, sizeof(u->mark), sp_buf_borrow(&word));
}

/* The line that begins with our word: null, or what was refused. */
static bool find_answer(const undo *u, sp_buf *heard, json_t **ret_answer)
{
    sp_span text = sp_buf_borrow(heard);
    size_t done = 0;
    bool found = false;
    for (size_t at = 0; !found && (at = sp_span_index(text, '\n')) < text.len;) {
        sp_span line = sp_span_slice(text, 0, at);
        found = sp_span_starts(line, sp_span_cstr(u->mark));
        if (found) {
            sp_span rest = sp_span_slice(line, sizeof(u->mark) - 1, line.len);
            *ret_answer = json_loadb((const char *)rest.ptr, rest.len, JSON_DECODE_ANY, NULL);
        }
        done += at + 1;
        text = sp_span_slice(text, at + 1, text.len);
    }
    sp_buf_drop(heard, done);
    return found;
}

/* Waits for psql, which has written all that came before by then. */
static sp_err hear(undo *u, json_t **ret_answer)
{
    auto_buf sp_buf heard = sp_buf_make(HEARD_MAX_BYTES);
    struct timespec wait = {.tv_nsec = WAIT_MIN_NS};
    bool ended = false;
    while (!ended) {
        ended = keep_child_has_ended(&u->psql); /* what it wrote before is there */
        TRY(keep_child_hear(&u->psql, &u->heard_bytes, &heard));
        if (find_answer(u, &heard, ret_answer)) {
            return *ret_answer == NULL ? sp_fail(SP_EINVALID) : sp_ok();
        }
        nanosleep(&wait, NULL);
        wait.tv_nsec = wait.tv_nsec * 2 < WAIT_MAX_NS ? wait.tv_nsec * 2 : WAIT_MAX_NS;
    }
    return sp_fail(SP_EIO); /* its own words say why */
}

/* Code of others runs, as its owner: it could raise any error. */
static const char ANY_ERROR[] = "EXCEPTION WHEN OTHERS OR QUERY_CANCELED THEN ";
static const char ITS_ERRORS[] = "EXCEPTION WHEN OTHERS THEN ";
static const char NOT_ITS[] =
    " IF left(c, 2) IN ('08', '40', '53', '57', '58', 'F0', 'XX', 'SP') OR c = '55P03' THEN RAISE; "
    "END IF;";

sp_err undo_try(undo *u, sp_span text, bool runs_others, json_t **ret_refusal)
{
    auto_buf sp_buf head = sp_buf_make(1024);
    auto_buf sp_buf tail = sp_buf_make(4096);
    auto_json json_t *answer = NULL;
    sp_buf_fmt(&head, "DO $%sa$DECLARE c text; m text; k text; BEGIN EXECUTE $%sb$\n", u->mark,
               u->mark);
    sp_buf_fmt(
        &tail,
        "\n$%sb$; PERFORM pg_catalog.set_config('sallyport.said', 'null', true); %sGET "
        "STACKED DIAGNOSTICS c = RETURNED_SQLSTATE, m = MESSAGE_TEXT, k = "
        "CONSTRAINT_NAME;%s PERFORM pg_catalog.set_config('sallyport.said', "
        "json_build_object('code', c, 'said', m, 'constraint', quote_ident(k))::text, true); "
        "END$%sa$;\nSELECT '%s' || pg_catalog.current_setting('sallyport.said');\n",
        u->mark, runs_others ? ANY_ERROR : ITS_ERRORS, runs_others ? "" : NOT_ITS, u->mark,
        u->mark);
    TRY(sp_buf_error(&head));
    TRY(sp_buf_error(&tail));
    TRY(sp_write_all(u->psql.in, sp_buf_borrow(&head)));
    TRY(sp_write_all(u->psql.in, text));
    TRY(sp_write_all(u->psql.in, sp_buf_borrow(&tail)));
    keep_work_moved(&u->job->work);
    TRY(hear(u, &answer));
    keep_work_moved(&u->job->work);
    *ret_refusal = json_is_object(answer) ? SP_STEAL(answer) : NULL;
    return sp_ok();
}

void undo_try_words(const json_t *refusal, sp_buf *out)
{
    auto_buf sp_buf words = sp_buf_make(HEARD_MAX_BYTES);
    keep_said_one(sp_span_cstr(undo_text(refusal, "code")),
                  sp_span_cstr(undo_text(refusal, "said")), &words);
    sp_buf_span(out, sp_span_cut(sp_buf_borrow(&words), WORDS_MAX_BYTES));
}
