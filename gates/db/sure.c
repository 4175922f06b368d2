/* SPDX-License-Identifier: Apache-2.0
 * Whether what a text was judged by is of now: names that may be newer than the catalogue, names
 * that a session has given away, keys behind which others' locks stand. Else it waits, for the
 * catalogue or for the lock.
 * OWNS nothing. PROCESS db gate workers. TRUST texts were judged. SPEC gates/db/judging.h.
 */
#include "gates/db/judging.h"

enum {
    LOOK_HOLDS_US = 100000, /* for columns of temporary relations, and keys */
    LOOK_MAX_US = 5000000,  /* a look may have to wait for locks, and those for who waits for it */
    LOCK_MAX_US = 5000000 /* so long somebody else's lock is waited for, looked at once a second */
};

static bool uses_names(const sp_sql_judgement *judgement)
{
    return judgement->use_count > 0 || (judgement->flags & (DB_NAMING | DB_OF_SESSION)) != 0;
}

static db_verdict given_up(db_refusal *refusal)
{
    db_refuse(refusal, "57014", SP_REASON_UNAVAILABLE, "canceling statement due to user request");
    return DB_REFUSE;
}

static db_verdict be_sure(db_session *session, uint32_t flags, bool names, bool by_key,
                          db_refusal *refusal)
{
    db_judge *judge = db_session_judge(session);
    uint64_t seen_us = judge->catalogue->seen_us;
    bool has_moved = names && seen_us < judge->catalogue->stale_us;
    bool is_old = ((flags & SP_SQL_IS_MAYBE_CALL) != 0 || by_key) &&
                  seen_us + LOOK_HOLDS_US < sp_loop_now_us(db_here.loop);
    if ((flags & SP_SQL_IS_UNSURE) == 0 && !has_moved && !is_old && !db_made_is_filling(judge)) {
        judge->look_us = 0;
        return DB_PASS;
    }
    if (judge->look_us == 0) {
        judge->look_us = sp_loop_now_us(db_here.loop);
        db_judge_attend(session);
        db_catalogue_look(judge->catalogue);
    }
    bool is_over = judge->look_is_over;
    bool is_seen = judge->catalogue->seen_us >= judge->look_us;
    bool is_late = sp_loop_now_us(db_here.loop) > judge->look_us + LOOK_MAX_US;
    if (!is_over && !is_seen && !is_late && judge->catalogue->back != NULL) {
        return DB_WAIT;
    }
    judge->look_us = 0;
    judge->look_is_over = false;
    if (is_over) {
        return given_up(refusal);
    }
    if (!is_seen) {
        db_refuse(refusal, "57P03", SP_REASON_UNAVAILABLE,
                  "%s, and the gate cannot look at the database",
                  by_key ? "a key by which this statement names rows may be gone"
                         : "names in this statement may be new");
        return DB_REFUSE;
    }
    return DB_PASS;
}

/* A key counts for what runs at once, holding its table: behind other statements or somebody's lock
 * it may be gone. */
static db_verdict be_sure_of_key(db_session *session, const sp_sql_judgement *judgement,
                                 uint32_t flags, const db_ruling *ruling, db_refusal *refusal)
{
    if (judgement->statement_count > 1 && (judgement->flags & SP_SQL_IS_EXECUTE) != 0) {
        db_refuse(refusal, "0A000", SP_REASON_UNPARSED,
                  "an EXECUTE of what names rows by a range of a key, beside other statements");
        return DB_REFUSE;
    }
    if (db_session_drain(session)) {
        return DB_WAIT;
    }
    db_judge *judge = db_session_judge(session);
    if (judge->lock_us != 0 && judge->look_is_over) {
        return given_up(refusal);
    }
    db_verdict sure = be_sure(session, flags, true, true, refusal);
    if (sure != DB_PASS || !db_ruling_waits(ruling, session)) {
        return sure;
    }
    uint64_t now_us = sp_loop_now_us(db_here.loop);
    judge->lock_us = judge->lock_us == 0 ? now_us : judge->lock_us;
    if (now_us < judge->lock_us + LOCK_MAX_US) {
        db_judge_attend(session);
        return DB_WAIT;
    }
    db_refuse(refusal, "55P03", SP_REASON_UNAVAILABLE,
              "somebody else has locked a table, and a key by which this statement names rows may "
              "be gone when the lock is: try again");
    return DB_REFUSE;
}

db_verdict db_sure_to_run(db_session *session, const sp_sql_judgement *judgement, uint32_t flags,
                          const db_ruling *ruling, db_refusal *refusal)
{
    return ruling->by_key ? be_sure_of_key(session, judgement, flags, ruling, refusal)
                          : be_sure(session, flags, uses_names(judgement), false, refusal);
}

db_verdict db_sure_of_names(db_session *session, const sp_sql_judgement *judgement,
                            db_refusal *refusal)
{
    return be_sure(session, judgement->flags, uses_names(judgement), false, refusal);
}
