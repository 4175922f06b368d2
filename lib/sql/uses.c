/* SPDX-License-Identifier: Apache-2.0
 * A judgement in the words of the policy compiler.
 * OWNS a judge for the time of a call. PROCESS core, cli. TRUST see uses.h. SPEC lib/sql/uses.h.
 */
#include "lib/sql/uses.h"

#include "lib/policy/database.h"
#include "lib/sql/judge.h"

static bool function_action(const void *of, sp_span schema, sp_span name, sp_action *ret_action)
{
    const sp_policy_statement *statement = of;
    return sp_policy_database_function(statement->policy, statement->resource, schema, name,
                                       ret_action);
}

/* A copy in the room, which was made large enough before: it never moves. */
static sp_span keep(sp_buf *room, sp_span text)
{
    size_t at = room->len;
    if (text.len > room->max_bytes - room->len) {
        room->err = sp_fail(SP_ELIMIT);
        return SP_SPAN_EMPTY;
    }
    sp_buf_span(room, text);
    return text.len == 0 ? SP_SPAN_EMPTY : sp_span_of(room->ptr + at, text.len);
}

static sp_policy_use use_of(const sp_sql_use *from, sp_action action, sp_buf *room)
{
    bool system = (from->flags & SP_SQL_USE_SYSTEM) != 0;
    bool all = from->kind == SP_SQL_SCHEMA && (from->flags & SP_SQL_USE_ALL) != 0;
    sp_policy_use use = {.action = action, .whole = from->kind == SP_SQL_DATABASE || system || all};
    if (from->kind == SP_SQL_RELATION && !system) {
        use.schema = keep(room, from->schema);
        use.relation = keep(room, from->name);
    } else if (all && !system) {
        use.schema = keep(room, from->schema);
    }
    return use;
}

static sp_err translate(const sp_sql_judgement *judgement, bool broad_destroys, sp_policy_use *uses,
                        size_t *ret_count, sp_buf *room)
{
    size_t count = 0;
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        const sp_sql_use *use = &judgement->uses[i];
        bool opaque = (use->flags & SP_SQL_USE_OPAQUE) != 0;
        if (count + 2 > SP_POLICY_USES_MAX) {
            return sp_fail(SP_ELIMIT);
        }
        bool broad = broad_destroys && (use->flags & SP_SQL_USE_BROAD) != 0;
        uses[count++] = use_of(use, broad ? SP_ACTION_DESTROY : (sp_action)use->action, room);
        if (opaque) { /* nobody knows what it does */
            uses[count++] = (sp_policy_use){.action = SP_ACTION_DESTROY, .whole = true};
        }
    }
    *ret_count = count;
    return sp_buf_error(room);
}

sp_err sp_sql_policy_uses(void *ctx, const sp_policy_statement *statement,
                          sp_policy_use ret_uses[SP_POLICY_USES_MAX], size_t *ret_count,
                          sp_buf *room)
{
    (void)ctx;
    auto_sql_judge sp_sql_judge *judge = NULL;
    sp_sql_context context = {.function_action = function_action, .policy = statement};
    TRY(sp_sql_judge_new(&judge));
    const sp_sql_judgement *judgement = sp_sql_judge_text(judge, &context, statement->text);
    if (judgement->fault != SP_SQL_FINE) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    sp_database_resource to = {.broad_destroys = false};
    (void)sp_policy_database_resource(statement->policy, statement->resource, &to);
    return translate(judgement, to.broad_destroys, ret_uses, ret_count, room);
}
