/* SPDX-License-Identifier: Apache-2.0
 * Names by which somebody may have been judged, and names that are being given to other rows, over
 * all workers.
 *
 * The server looks a name up when a statement's turn comes, which may be long after the gate judged
 * it. So a view may be made for rows of which policy says something else than of its name without
 * the right to destroy both (ruling.c) only under a name that nobody was ever judged by: no worker
 * has read it, nobody made anything of that name, and nobody does until the transaction that makes
 * the view is over.
 *
 * Who makes anything marks the name as taken and then looks whether it is being given; who gives it
 * says so and then looks whether it is taken: one of them sees the other.
 *
 * OWNS a session's claims, and memory that workers share; nothing is taken back there from a worker
 * or session that was lost. PROCESS db gate, made before workers are forked. TRUST names are
 * hostile; two that share a place are the same name, which refuses too much. SPEC
 * gates/db/judging.h.
 */
#include "gates/db/judging.h"
#include "infra/crypto/random.h"

#include <stdatomic.h>
#include <sys/mman.h>

enum { TAKEN_BITS = 26, GIVEN_BITS = 16, LOST_US = 600000000 };

static struct {
    _Atomic uint32_t taken[(1U << TAKEN_BITS) / 32];
    _Atomic uint32_t given[1U << GIVEN_BITS];
} * shared;
static uint64_t seed;

sp_err db_claims_start(void)
{
    void *at =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        return sp_fail(SP_ENOMEM);
    }
    shared = at;
    seed = sp_random_u64();
    return sp_ok();
}

static uint64_t hash_of(const db_catalogue *catalogue, sp_span schema, sp_span name)
{
    uint64_t hash = sp_span_hash(sp_span_cstr(catalogue->resource), seed);
    hash = sp_span_hash(sp_span_cstr(catalogue->database), hash);
    return sp_span_hash(name, sp_span_hash(schema, hash));
}

static bool is_taken(uint64_t hash)
{
    uint32_t bit = (uint32_t)(hash & ((1U << TAKEN_BITS) - 1));
    return (atomic_load(&shared->taken[bit / 32]) >> bit % 32 & 1U) != 0;
}

static void take(uint64_t hash)
{
    uint32_t bit = (uint32_t)(hash & ((1U << TAKEN_BITS) - 1));
    atomic_fetch_or(&shared->taken[bit / 32], 1U << bit % 32);
}

static _Atomic uint32_t *given_at(uint64_t hash)
{
    return &shared->given[hash >> (64 - GIVEN_BITS)];
}

void db_claims_know(const db_catalogue *catalogue, const sp_sql_catalogue *read)
{
    for (uint32_t i = 0; i < sp_sql_catalogue_count(read); i++) {
        const sp_sql_relation *relation = sp_sql_catalogue_at(read, i);
        if ((relation->flags & SP_SQL_REL_SYSTEM) == 0) {
            take(hash_of(catalogue, relation->schema, relation->name));
        }
    }
}

/* ---- of one name, all that the search path may find for it ---- */

enum { KEYS_MAX = SP_SQL_PATH_MAX + 1 };
typedef struct {
    uint64_t hashes[KEYS_MAX];
    unsigned count;
} keys;

static keys keys_of(const db_catalogue *catalogue, sp_span schema, sp_span name)
{
    const sp_sql_catalogue *now = catalogue->now;
    keys found = {.count = 0};
    bool is_in_path = schema.len == 0;
    sp_span at = SP_SPAN_EMPTY;
    for (uint32_t i = 0; (at = sp_sql_catalogue_path_at(now, i)).len > 0; i++) {
        is_in_path = is_in_path || sp_span_eq(at, schema);
    }
    if (!is_in_path) {
        found.hashes[found.count++] = hash_of(catalogue, schema, name);
    }
    for (uint32_t i = 0;
         is_in_path && found.count < KEYS_MAX && (at = sp_sql_catalogue_path_at(now, i)).len > 0;
         i++) {
        found.hashes[found.count++] = hash_of(catalogue, at, name);
    }
    return found;
}

static bool is_claimed(const db_judge *judge, uint64_t hash)
{
    for (uint32_t i = 0; i < judge->claim_count; i++) {
        if (judge->claims[i] == hash) {
            return true;
        }
    }
    return false;
}

/* One that finds no room is none: db_claims_are_new() says so. */
static void claim(db_judge *judge, const keys *of)
{
    if (judge->claims == NULL &&
        sp_failed(sp_alloc(DB_CLAIMS_MAX, sizeof(uint64_t), &judge->claims))) {
        return;
    }
    for (unsigned i = 0; i < of->count; i++) {
        if (judge->claim_count < DB_CLAIMS_MAX && !is_claimed(judge, of->hashes[i])) {
            judge->claims[judge->claim_count++] = of->hashes[i];
            atomic_fetch_add(given_at(of->hashes[i]), 1);
        }
    }
}

/* Another session gives it to rows. */
static bool is_given(const db_judge *judge, const keys *of)
{
    for (unsigned i = 0; i < of->count; i++) {
        uint32_t own = 0;
        for (uint32_t j = 0; j < judge->claim_count; j++) {
            own += given_at(judge->claims[j]) == given_at(of->hashes[i]) ? 1 : 0;
        }
        if (atomic_load(given_at(of->hashes[i])) > own) {
            return true;
        }
    }
    return false;
}

/* shows: what it claims itself others are not judged by. False: somebody else is giving it to rows
 * at this moment. */
static bool make(db_judge *judge, sp_span schema, sp_span name, bool shows)
{
    const keys of = keys_of(judge->catalogue, schema, name);
    for (unsigned i = 0; i < of.count; i++) {
        if (!shows || !is_claimed(judge, of.hashes[i])) {
            take(of.hashes[i]);
        }
    }
    return !is_given(judge, &of);
}

bool db_claims_enter(db_session *session, const sp_sql_judgement *judgement, db_refusal *refusal)
{
    db_judge *judge = db_session_judge(session);
    if ((judgement->flags & (SP_SQL_IS_DDL | SP_SQL_IS_CREATE_TEMP)) == 0) {
        return true;
    }
    sp_span busy = SP_SPAN_EMPTY;
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        const sp_sql_use *use = &judgement->uses[i];
        if ((use->flags & SP_SQL_USE_FRESH) != 0) {
            const keys of = keys_of(judge->catalogue, use->schema, use->name);
            claim(judge, &of);
        }
    }
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        const sp_sql_use *use = &judgement->uses[i];
        bool makes = (use->flags & (SP_SQL_USE_MAKES | SP_SQL_USE_BECOMES)) != 0;
        bool shows = (use->flags & (SP_SQL_USE_SHOWS | SP_SQL_USE_BECOMES)) != 0;
        if (makes && !make(judge, use->schema, use->name, shows)) {
            busy = use->name;
        }
    }
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        if ((statement->flags & SP_SQL_IS_CREATE_TEMP) != 0 &&
            !make(judge, SP_SPAN_EMPTY, statement->name, false)) {
            busy = statement->name;
        }
    }
    if (busy.len > 0) {
        db_refuse(refusal, "55P03", SP_REASON_UNAVAILABLE,
                  "another session is making a view \"%.*s\" at this moment: try again",
                  SP_SPAN_ARG(busy));
    }
    return busy.len == 0;
}

bool db_claims_are_new(const db_session *session, sp_span schema, sp_span name)
{
    const db_judge *judge = db_session_judge(session);
    const keys of = keys_of(judge->catalogue, schema, name);
    bool are_new = true;
    for (unsigned i = 0; i < of.count; i++) {
        are_new = are_new && is_claimed(judge, of.hashes[i]) && !is_taken(of.hashes[i]);
    }
    return are_new;
}

static void let_go(uint64_t hash)
{
    atomic_fetch_sub(given_at(hash), 1);
}

void db_claims_settle(db_session *session)
{
    db_judge *judge = db_session_judge(session);
    bool is_over = !judge->is_defining && judge->defining == 0 && session->transaction == 'I';
    bool is_read = judge->defined_us == 0 || judge->catalogue->seen_us >= judge->defined_us;
    for (uint32_t i = 0; is_over && is_read && i < judge->claim_count; i++) {
        let_go(judge->claims[i]);
    }
    judge->claim_count = is_over && is_read ? 0 : judge->claim_count;
    if (judge->claim_count > 0 && is_over) {
        db_judge_attend(session);
    }
}

void db_claims_gone(db_judge *judge)
{
    uint64_t after_us = sp_loop_now_us(db_here.loop) + (judge->is_defining ? LOST_US : 0);
    db_catalogue *catalogue = judge->catalogue;
    bool is_open =
        judge->is_defining || catalogue == NULL || catalogue->seen_us < judge->defined_us;
    for (uint32_t i = 0; i < judge->claim_count; i++) {
        if (!is_open) {
            let_go(judge->claims[i]);
        } else if (catalogue != NULL && catalogue->left_count < DB_CLAIMS_MAX) {
            catalogue->left[catalogue->left_count++] = (db_claim){judge->claims[i], after_us};
        } /* else it stays given */
    }
    judge->claim_count = 0;
}

void db_claims_tick(db_catalogue *catalogue)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < catalogue->left_count; i++) {
        if (catalogue->left[i].after_us <= catalogue->seen_us) {
            let_go(catalogue->left[i].hash);
        } else {
            catalogue->left[kept++] = catalogue->left[i];
        }
    }
    catalogue->left_count = kept;
}
