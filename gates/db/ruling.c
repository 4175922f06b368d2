/* SPDX-License-Identifier: Apache-2.0
 * What policy says to a judgement: each use is a question, the gravest answer holds for all.
 * OWNS nothing. PROCESS db gate workers. TRUST names are hostile and looked up only.
 * SPEC gates/db/judging.h, lib/policy/database.h.
 */
#include "gates/db/judging.h"
#include "lib/policy/database.h"
#include "lib/policy/recall.h"

#include <stdio.h>

db_ruling db_ruling_none(void)
{
    return (db_ruling){
        .decision = {.verdict = SP_VERDICT_ALLOW, .reason = SP_REASON_RULE, .rule = SP_NONE},
        .action = SP_ACTION_CONNECT};
}

/* ---- questions ---- */

typedef struct {
    const db_session *session;
    const db_catalogue *catalogue;
    const sp_policy *policy;
    sp_span database;
    uint64_t now_unix_s;
    bool has_alias; /* an unknown name may be a new one of anything */
    const sp_sql_judgement *judgement;
    bool broad_destroys;
} asking;

static sp_question question_of(const asking *a, sp_action action, uint32_t part)
{
    return (sp_question){.who = &a->session->who,
                         .resource = a->session->resource,
                         .part = part,
                         .action = action,
                         .now_unix_s = a->now_unix_s,
                         .cuts = sp_live_cuts(&db_here.office.live),
                         .face = SP_FACE_DATABASE};
}

static sp_decision about_part(const asking *a, sp_action action, uint32_t part)
{
    static sp_recall recall;
    const sp_question question = question_of(a, action, part);
    return sp_policy_recall(&recall, a->policy, a->session->snapshot->serial, &question);
}

static sp_decision about_whole(const asking *a, sp_action action, sp_span schema)
{
    const sp_question question = question_of(a, action, SP_NONE);
    return sp_policy_database_whole(a->policy, &question, a->database, schema);
}

/* Where the session or the text made it, with rows of its own; empty: it did not. */
static sp_span own_schema(const asking *a, const sp_sql_use *use)
{
    return db_made_own(db_session_judge(a->session), a->judgement, use->schema, use->name);
}

/* Where it is, as far as one can tell. */
static sp_span schema_of(const asking *a, const sp_sql_use *use)
{
    sp_span own = own_schema(a, use);
    return own.len > 0           ? own
           : use->schema.len > 0 ? use->schema
                                 : sp_sql_catalogue_home(a->catalogue->now);
}

static uint32_t part_of(const asking *a, sp_span schema, sp_span name)
{
    return sp_policy_database_part(a->policy, a->session->resource, a->database, schema, name,
                                   SP_SPAN_EMPTY)
        .part;
}

/* A relation that the catalogue does not have: whatever of that name the path could find. */
static sp_decision about_unknown(const asking *a, const sp_sql_use *use)
{
    bool uses_rows = use->kind == SP_SQL_RELATION &&
                     ((use->flags & (SP_SQL_USE_ROWS | SP_SQL_USE_BROAD)) != 0 ||
                      sp_sql_gravity((sp_action)use->action) <= sp_sql_gravity(SP_ACTION_WRITE));
    bool may_be_any = uses_rows || (a->has_alias && use->action != SP_ACTION_ALTER);
    if (part_of(a, use->schema, use->name) ==
        SP_PART_CLOSED) { /* one that was made just now, too */
        return about_part(a, (sp_action)use->action, SP_PART_CLOSED);
    }
    if (may_be_any && (use->kind != SP_SQL_RELATION || own_schema(a, use).len == 0)) {
        return about_whole(a, (sp_action)use->action, SP_SPAN_EMPTY);
    }
    if (use->schema.len > 0) {
        sp_database_part part = sp_policy_database_part(
            a->policy, a->session->resource, a->database, use->schema, use->name, SP_SPAN_EMPTY);
        return about_part(a, (sp_action)use->action, part.part);
    }
    sp_decision gravest = about_part(a, (sp_action)use->action, SP_NONE);
    for (uint32_t i = 0;; i++) {
        sp_span schema = sp_policy_database_schema(a->policy, a->session->resource, i);
        if (schema.len == 0) {
            return gravest;
        }
        sp_database_part part = sp_policy_database_part(
            a->policy, a->session->resource, a->database, schema, use->name, SP_SPAN_EMPTY);
        sp_decision decision = about_part(a, (sp_action)use->action, part.part);
        sp_decision_join(a->policy, &gravest, &decision);
    }
}

/* Where policy says the same of both names, and the new one meant nothing, it is as any change. */
static void join_naming(const asking *a, uint32_t from, uint32_t to, sp_sql_use *use,
                        sp_decision *decision)
{
    if (from != to || (use->flags & SP_SQL_USE_MOVES) != 0) {
        use->action = SP_ACTION_DESTROY;
        sp_decision taken = about_part(a, SP_ACTION_DESTROY, from);
        sp_decision given = about_part(a, SP_ACTION_DESTROY, to);
        sp_decision_join(a->policy, decision, &taken);
        sp_decision_join(a->policy, decision, &given);
    }
}

/* A relation is seen under another name: who may not destroy what policy names may not take it out
 * of that name, nor put anything into it. */
static sp_decision about_name(const asking *a, sp_sql_use *use)
{
    sp_span schema = use->schema.len > 0 ? use->schema : sp_sql_catalogue_home(a->catalogue->now);
    uint32_t to = part_of(a, schema, use->name);
    if ((use->flags & SP_SQL_USE_OPAQUE) != 0) {
        use->action = SP_ACTION_DESTROY; /* of what it will stand for nobody knows */
        return about_whole(a, SP_ACTION_DESTROY, SP_SPAN_EMPTY);
    }
    sp_decision decision = about_part(a, SP_ACTION_ALTER, to);
    if (use->relation != SP_NONE) {
        const sp_sql_relation *known = sp_sql_catalogue_at(a->catalogue->now, use->relation);
        bool keeps_name = sp_span_eq(known->schema, schema) && sp_span_eq(known->name, use->name);
        /* a partition that leaves is no longer what its parent was */
        join_naming(a, keeps_name ? known->bound.part : part_of(a, known->schema, known->name), to,
                    use, &decision);
        return decision;
    }
    /* one of those that the text uses and the catalogue does not have */
    for (uint32_t i = 0; i < a->judgement->use_count; i++) {
        const sp_sql_use *own = &a->judgement->uses[i];
        bool is_unknown = own->kind == SP_SQL_RELATION && own->relation == SP_NONE &&
                          (own->flags & SP_SQL_USE_BECOMES) == 0;
        if (is_unknown) {
            join_naming(a, part_of(a, schema_of(a, own), own->name), to, use, &decision);
        }
    }
    return decision;
}

/* May name a graver action than the text did. */
static sp_decision about_use(const asking *a, sp_sql_use *use)
{
    if (a->broad_destroys && (use->flags & SP_SQL_USE_BROAD) != 0) {
        use->action = SP_ACTION_DESTROY;
    }
    sp_action action = (sp_action)use->action;
    switch ((sp_sql_kind)use->kind) {
    case SP_SQL_RELATION:
        if ((use->flags & SP_SQL_USE_SYSTEM) != 0) {
            return about_whole(a, action, SP_SPAN_EMPTY);
        }
        if ((use->flags & SP_SQL_USE_BECOMES) != 0) {
            return about_name(a, use);
        }
        if (use->relation == SP_NONE) {
            return about_unknown(a, use);
        }
        return about_part(a, action,
                          sp_sql_catalogue_at(a->catalogue->now, use->relation)->bound.part);
    case SP_SQL_SCHEMA:
        return (use->flags & SP_SQL_USE_ALL) != 0 ? about_whole(a, action, use->schema)
                                                  : about_unknown(a, use);
    case SP_SQL_DATABASE:
        return about_whole(a, action, SP_SPAN_EMPTY);
    case SP_SQL_FUNCTION:
        return (use->flags & SP_SQL_USE_SYSTEM) != 0 ? about_whole(a, action, SP_SPAN_EMPTY)
                                                     : about_part(a, action, SP_NONE);
    case SP_SQL_SETTING:
    case SP_SQL_ROLE:
    case SP_SQL_CODE:
    case SP_SQL_KIND_COUNT:
        break;
    }
    return about_part(a, action, SP_NONE);
}

static void mask_also(sp_decision *decision, uint64_t tags)
{
    if (tags != 0) {
        decision->must |= SP_MUST_MASK;
        decision->mask_tags |= tags;
    }
}

/* What a change computes from its own rows it reads, by whatever rule it may change them: what the
 * person sees masked there is masked for the change too. What is defined in a schema, but
 * relations, may be held against rows of any table (a domain's checks), and what leads the planner
 * leads what it does with any. */
static void mask_as_read(const asking *a, const sp_sql_use *use, sp_decision *decision)
{
    bool is_relation = (use->flags & SP_SQL_USE_MAKES) != 0;
    bool is_of_any = (use->kind == SP_SQL_SCHEMA && !is_relation) || use->kind == SP_SQL_SETTING;
    if (is_of_any && decision->verdict != SP_VERDICT_DENY) {
        const sp_question question = question_of(a, SP_ACTION_READ, SP_NONE);
        mask_also(decision, sp_policy_database_masks(a->policy, &question, a->database));
    }
    if (use->kind != SP_SQL_RELATION || use->action == SP_ACTION_READ ||
        use->action == SP_ACTION_EXPORT) {
        return;
    }
    sp_sql_use seen = *use;
    seen.action = SP_ACTION_READ;
    seen.flags &= (uint16_t) ~(SP_SQL_USE_BROAD | SP_SQL_USE_BECOMES | SP_SQL_USE_ROWS);
    sp_decision read = about_use(a, &seen);
    if (read.verdict != SP_VERDICT_DENY && (read.must & SP_MUST_MASK) != 0) {
        mask_also(decision, read.mask_tags);
    }
}

/* ---- together ---- */

static void join(db_ruling *ruling, const sp_policy *policy, const sp_decision *decision,
                 const sp_sql_use *use)
{
    sp_decision *have = &ruling->decision;
    sp_action action = (sp_action)use->action;
    bool first = !ruling->has_use;
    /* of equal verdicts the gravest action names the event, the highest class its class */
    bool is_worse = decision->verdict < have->verdict ||
                    (decision->verdict == have->verdict &&
                     sp_sql_gravity(action) > sp_sql_gravity(ruling->action));
    ruling->actions |= 1U << action;
    ruling->asked |= decision->verdict == SP_VERDICT_ASK ? 1U << action : 0;
    if (first || is_worse) {
        ruling->action = action;
        ruling->use = *use;
    }
    if (first) {
        *have = *decision;
    } else {
        sp_decision_join(policy, have, decision);
    }
    ruling->has_use = true;
}

/* What temporary relations were filled from, which is read, or exported, with any of them. */
static void add_drawn(const asking *a, db_ruling *ruling, const db_drawn *drawn, sp_action action)
{
    bool is_wide = drawn->wide;
    for (uint8_t i = 0; i < drawn->count; i++) {
        uint32_t at = sp_sql_catalogue_find_oid(a->catalogue->now, drawn->oids[i]);
        if (at == SP_NONE) {
            is_wide = true; /* it was dropped since */
            continue;
        }
        const sp_sql_relation *relation = sp_sql_catalogue_at(a->catalogue->now, at);
        const sp_sql_use use = {.action = (uint8_t)action,
                                .kind = SP_SQL_RELATION,
                                .flags = SP_SQL_USE_IMPLIED,
                                .relation = at,
                                .schema = relation->schema,
                                .name = relation->name};
        sp_decision decision = about_part(a, action, relation->bound.part);
        join(ruling, a->policy, &decision, &use);
        db_ruling_meet(ruling, a->catalogue, &use);
    }
    const sp_sql_use all = {
        .action = (uint8_t)action, .kind = SP_SQL_DATABASE, .relation = SP_NONE};
    if (is_wide && action == SP_ACTION_EXPORT) {
        sp_decision decision = about_whole(a, action, SP_SPAN_EMPTY);
        join(ruling, a->policy, &decision, &all);
    }
    ruling->met_wide |= is_wide ? 1U << action : 0;
    ruling->actions |= 1U << action;
    if (!ruling->has_use) {
        ruling->has_use = true;
        ruling->action = action;
        ruling->use = all;
    }
    db_drawn_limit(drawn, &ruling->decision);
    ruling->has_drawn = true;
}

/* What it has to do with temporary relations. */
static void add_temporary(const asking *a, db_ruling *ruling, const sp_sql_judgement *judgement)
{
    const db_judge *judge = db_session_judge(a->session);
    bool may_be_any = db_made_hides(judge);
    ruling->fills |=
        may_be_any || (judgement->flags & (SP_SQL_FILLS_TEMP | SP_SQL_IS_CREATE_TEMP)) != 0;
    ruling->reads_temps |=
        ruling->fills || may_be_any || (judgement->flags & SP_SQL_READS_TEMP) != 0;
    if (judge->drawn.any && !ruling->has_drawn &&
        (may_be_any || (judgement->flags & SP_SQL_READS_TEMP) != 0)) {
        bool copies = (judgement->flags & SP_SQL_IS_COPY_OUT) != 0;
        add_drawn(a, ruling, &judge->drawn, copies ? SP_ACTION_EXPORT : SP_ACTION_READ);
    }
}

/* ---- rows under a limit that go elsewhere ---- */

static bool is_limited(const sp_decision *decision)
{
    return decision->verdict != SP_VERDICT_DENY && (decision->must & SP_MUST_LIMIT) != 0;
}

/* Puts rows where they last, and of which policy says something else than of that part. */
static bool fills_other(const asking *a, const sp_sql_judgement *judgement, uint32_t part)
{
    const sp_sql_catalogue *now = a->catalogue->now;
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        const sp_sql_use *use = &judgement->uses[i];
        const sp_sql_relation *known =
            use->relation == SP_NONE ? NULL : sp_sql_catalogue_at(now, use->relation);
        const uint32_t changing = 1U << SP_ACTION_WRITE | 1U << SP_ACTION_ALTER |
                                  1U << SP_ACTION_DESTROY | 1U << SP_ACTION_IMPORT;
        bool is_other = (use->flags & (SP_SQL_USE_IMPLIED | SP_SQL_USE_BECOMES)) != 0 ||
                        (known != NULL && known->kind == 'S');
        bool holds = use->kind == SP_SQL_RELATION || use->kind == SP_SQL_SCHEMA ||
                     (use->kind == SP_SQL_DATABASE && use->action == SP_ACTION_WRITE);
        uint32_t to = known != NULL                  ? known->bound.part
                      : use->kind == SP_SQL_DATABASE ? SP_NONE
                                                     : part_of(a, schema_of(a, use), use->name);
        if (holds && !is_other && (changing & 1U << use->action) != 0 && to != part) {
            return true;
        }
    }
    return false;
}

/* Nobody counts them there: as with masks, who may not have all of them may not put them there.
 * read: what policy says of reading that use. */
static void add_carried(const asking *a, db_ruling *ruling, const sp_sql_use *use,
                        const sp_decision *read)
{
    if (use->kind != SP_SQL_RELATION || use->action != SP_ACTION_READ || !is_limited(read)) {
        return;
    }
    uint32_t part = use->relation == SP_NONE
                        ? SP_NONE
                        : sp_sql_catalogue_at(a->catalogue->now, use->relation)->bound.part;
    if (fills_other(a, a->judgement, part)) {
        sp_sql_use carried = *use;
        carried.action = SP_ACTION_EXPORT;
        sp_decision decision = about_use(a, &carried);
        join(ruling, a->policy, &decision, &carried);
    }
}

/* The same of what stands in temporary tables. */
static void add_carried_drawn(const asking *a, db_ruling *ruling, const sp_sql_judgement *judgement)
{
    const db_drawn *drawn = &db_session_judge(a->session)->drawn;
    sp_decision limit = {.verdict = SP_VERDICT_ALLOW};
    db_drawn_limit(drawn, &limit);
    if (is_limited(&limit) && (judgement->flags & SP_SQL_READS_TEMP) != 0 &&
        fills_other(a, judgement, SP_NONE - 1)) {
        const sp_sql_use use = {
            .action = SP_ACTION_EXPORT, .kind = SP_SQL_DATABASE, .relation = SP_NONE};
        sp_decision carried = about_whole(a, SP_ACTION_EXPORT, SP_SPAN_EMPTY);
        join(ruling, a->policy, &carried, &use);
    }
}

static uint8_t marks_of(const sp_sql_use *use)
{
    const uint16_t how =
        SP_SQL_USE_ALL | SP_SQL_USE_IMPLIED; /* what a CASCADE may meet is not it */
    bool is_place = use->kind == SP_SQL_DATABASE || use->kind == SP_SQL_SCHEMA;
    if (is_place && use->action == SP_ACTION_DESTROY && (use->flags & how) == SP_SQL_USE_ALL) {
        return DB_MARK_WHOLE;
    }
    if ((use->flags & SP_SQL_USE_OPAQUE) == 0) {
        return 0;
    }
    return use->kind == SP_SQL_CODE       ? DB_MARK_CODE
           : use->kind == SP_SQL_FUNCTION ? DB_MARK_FUNCTION
                                          : 0;
}

static uint64_t bytes_of(uint64_t rows, uint64_t bytes)
{
    enum { ROW_BYTES = 1024, ROWS_LEAST = 64 };
    uint64_t least = rows < ROWS_LEAST ? ROWS_LEAST : rows;
    return rows == 0 || bytes != 0 || least > UINT64_MAX / ROW_BYTES ? bytes : least * ROW_BYTES;
}

void db_bound_bytes(sp_decision *decision)
{
    if ((decision->must & SP_MUST_LIMIT) != 0) {
        decision->limit_bytes = bytes_of(decision->limit_rows, decision->limit_bytes);
        decision->day_bytes = bytes_of(decision->day_rows, decision->day_bytes);
    }
}

void db_ruling_add(db_ruling *ruling, const db_session *session, const db_catalogue *catalogue,
                   const sp_sql_judgement *judgement)
{
    const asking a = {.session = session,
                      .broad_destroys = sp_policy_database_broad_destroys(
                          &session->snapshot->policy, session->resource),
                      .catalogue = catalogue,
                      .policy = &session->snapshot->policy,
                      .database = sp_span_cstr(session->database),
                      .now_unix_s = sp_loop_unix_us(db_here.loop) / 1000000,
                      .judgement = judgement,
                      .has_alias = db_session_judge(session)->has_alias ||
                                   (judgement->flags & SP_SQL_IS_ALIAS) != 0};
    ruling->snapshot = session->snapshot;
    sp_copy(ruling->roles, session->who.roles, sizeof(ruling->roles));
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        sp_sql_use use = judgement->uses[i];
        sp_decision decision = about_use(&a, &use);
        mask_as_read(&a, &use, &decision);
        join(ruling, a.policy, &decision, &use);
        add_carried(&a, ruling, &use, &decision);
        db_ruling_meet(ruling, catalogue, &use);
        bool is_opaque = (use.flags & SP_SQL_USE_OPAQUE) != 0;
        bool is_code = is_opaque || use.kind == SP_SQL_FUNCTION || use.kind == SP_SQL_CODE;
        ruling->runs_code |= is_opaque || (is_code && (use.flags & SP_SQL_USE_SYSTEM) == 0 &&
                                           !sp_span_eq(use.schema, SP_SPAN_LIT("pg_catalog")));
        ruling->asks_code |= is_code && decision.verdict != SP_VERDICT_ALLOW;
        ruling->marks |= marks_of(&judgement->uses[i]);
        ruling->is_broad |= (use.flags & SP_SQL_USE_BROAD) != 0;
    }
    for (uint32_t i = 0; a.broad_destroys && i < judgement->statement_count; i++) {
        ruling->by_key |= judgement->statements[i].by_key;
    }
    add_temporary(&a, ruling, judgement);
    add_carried_drawn(&a, ruling, judgement);
    db_bound_bytes(&ruling->decision);
}

/* ---- told to people ---- */

static void name_use(const sp_sql_use *use, char *out, size_t size)
{
    static const char *const kinds[SP_SQL_KIND_COUNT] = {
        "this database", "the table", "the schema", "the function",
        "the setting",   "the role",  "code in"};
    if (use->kind == SP_SQL_DATABASE || (use->name.len == 0 && use->schema.len == 0)) {
        snprintf(out, size, "this database");
    } else if (use->name.len == 0) {
        snprintf(out, size, "the schema %.*s", SP_SPAN_ARG(use->schema));
    } else if (use->schema.len == 0) {
        snprintf(out, size, "%s %.*s", use->kind == SP_SQL_SCHEMA ? "the object" : kinds[use->kind],
                 SP_SPAN_ARG(use->name));
    } else {
        snprintf(out, size, "%s %.*s.%.*s",
                 use->kind == SP_SQL_SCHEMA ? "the object" : kinds[use->kind],
                 SP_SPAN_ARG(use->schema), SP_SPAN_ARG(use->name));
    }
}

const char *db_ruling_hint(sp_reason reason)
{
    switch (reason) {
    case SP_REASON_DEVICE_OWNER:
    case SP_REASON_DEVICE_UNKNOWN:
        return "Use a device of the company, enrolled with Sallyport.";
    case SP_REASON_DEVICE_POSTURE:
        return "Bring the device into the state that the office asks for.";
    case SP_REASON_STRENGTH:
        return "Sign in again at the portal, with a passkey.";
    case SP_REASON_HOURS:
        return "The policy allows this at other hours.";
    case SP_REASON_NETWORK:
        return "The policy allows this from other networks.";
    case SP_REASON_CUT:
        return "The security team has closed it for the moment; wait for their notice.";
    case SP_REASON_APPROVAL:
        return "Others have to agree before this runs.";
    case SP_REASON_NONE:
    case SP_REASON_RULE:
    case SP_REASON_DEFAULT:
    case SP_REASON_DENY_RULE:
    case SP_REASON_NEVER:
    case SP_REASON_NO_SESSION:
    case SP_REASON_SESSION_ENDED:
    case SP_REASON_SESSION_DEVICE:
    case SP_REASON_DEVICE_PENDING:
    case SP_REASON_DEVICE_QUARANTINE:
    case SP_REASON_DEVICE_REVOKED:
    case SP_REASON_UNPARSED:
    case SP_REASON_UNRECORDED:
    case SP_REASON_UNAVAILABLE:
    case SP_REASON_LIMIT:
    case SP_REASON_DUTY:
    case SP_REASON_COUNT:
        break;
    }
    return "Ask the security people of the office, with the reference.";
}

/* A name that was temporary in this session, and may mean something else by now. */
static bool is_lost_temporary(const db_ruling *ruling, const db_session *session)
{
    const sp_sql_use *use = &ruling->use;
    return ruling->has_use && use->kind == SP_SQL_RELATION && use->relation == SP_NONE &&
           use->schema.len == 0 && db_session_judge(session) != NULL &&
           db_temps_may_have(db_session_judge(session), use->name);
}

void db_ruling_refuse(const db_ruling *ruling, const db_session *session, db_refusal *refusal)
{
    char what[160] = "this database";
    if (ruling->has_use) {
        name_use(&ruling->use, what, sizeof(what));
    }
    sp_reason reason = (sp_reason)ruling->decision.reason;
    bool is_lost = is_lost_temporary(ruling, session);
    if (ruling->has_use && (ruling->use.flags & SP_SQL_USE_UNSURE) != 0) {
        db_refuse(refusal, "42703", reason,
                  "column \"%.*s\" does not exist, and a function of that name may not be called",
                  SP_SPAN_ARG(ruling->use.name));
    } else if (ruling->has_use && ruling->use.kind == SP_SQL_RELATION &&
               ruling->use.relation == SP_NONE &&
               (ruling->action != SP_ACTION_DESTROY ||
                (ruling->use.flags & (SP_SQL_USE_ROWS | SP_SQL_USE_BROAD)) != 0)) {
        db_refuse(refusal, "42P01", reason, "relation \"%.*s\" %s", SP_SPAN_ARG(ruling->use.name),
                  is_lost ? "may be another one than the temporary table of this session"
                          : "does not exist, as far as the gate sees");
    } else {
        db_refuse(refusal, "42501", reason, "%s on %s is not allowed",
                  sp_action_word(ruling->action), what);
    }
    sp_span rule = sp_policy_rule_name(&session->snapshot->policy, ruling->decision.rule);
    if (rule.len > 0) {
        snprintf(refusal->detail, sizeof(refusal->detail), "Reason: %s, by \"%.*s\".",
                 sp_reason_word(reason), SP_SPAN_ARG(rule));
    } else {
        snprintf(refusal->detail, sizeof(refusal->detail), "Reason: %s.", sp_reason_word(reason));
    }
    bool is_naming = ruling->has_use && ruling->action == SP_ACTION_DESTROY &&
                     (ruling->use.flags & SP_SQL_USE_BECOMES) != 0;
    bool is_broad = ruling->has_use && ruling->action == SP_ACTION_DESTROY &&
                    (ruling->use.flags & SP_SQL_USE_BROAD) != 0;
    if (is_lost) {
        snprintf(refusal->hint, sizeof(refusal->hint),
                 "Write pg_temp.%.*s: what ran since it was made may have ended it.",
                 SP_SPAN_ARG(ruling->use.name));
        return;
    }
    snprintf(
        refusal->hint, sizeof(refusal->hint), "%s",
        is_naming  ? "To give a name, or a column's, to something else needs the right to destroy "
                     "both: statements may wait that were judged by what it was. A table or "
                     "materialized view that is made has rows of its own."
        : is_broad ? "No value in its condition says which rows: name them (id = 7, id IN (...))."
                   : db_ruling_hint(reason));
}
