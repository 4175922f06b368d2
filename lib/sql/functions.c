/* SPDX-License-Identifier: Apache-2.0
 * Functions and settings of the server's own, looked up in sorted tables.
 * OWNS nothing. PROCESS database gate. TRUST names are hostile. SPEC lib/sql/functions.h.
 */
#include "lib/sql/functions.h"

#include "lib/base/mem.h"
#include "lib/sql/reading.h"

#include <string.h>

typedef struct {
    const char *name;
    uint8_t class;
    bool is_steady;
} named_class;

/* clang-format off */
static const named_class functions[] = {
#include "lib/sql/functions_table.inc"
};
/* clang-format on */

static int compare(sp_span name, const char *with)
{
    int order = name.len == 0 ? 0 : strncmp((const char *)name.ptr, with, name.len);
    return order != 0 ? order : (with[name.len] == '\0' ? 0 : -1);
}

static const named_class *find(sp_span name)
{
    size_t low = 0;
    size_t high = SP_COUNT(functions);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(name, functions[middle].name);
        if (order == 0) {
            return &functions[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

function_class function_find(sp_span name)
{
    const named_class *found = find(name);
    return found == NULL ? FUNCTION_UNKNOWN : (function_class)found->class;
}

bool function_tells_values(sp_span name)
{
    static const char *const large[] = {"lo_get", "loread", "lo_open"};
    bool tells = function_find(name) == FUNCTION_TELLING;
    for (size_t i = 0; i < SP_COUNT(large); i++) {
        tells = tells || sp_span_eq(name, sp_span_cstr(large[i]));
    }
    return tells;
}

bool function_is_steady(sp_span name)
{
    const named_class *found = find(name);
    return found != NULL && found->is_steady;
}

bool function_is_single(sp_span name)
{
    static const char *const of_the_moment[] = {"clock_timestamp", "currval",  "gen_random_uuid",
                                                "lastval",         "nextval",  "random",
                                                "setval",          "timeofday"};
    for (size_t i = 0; i < SP_COUNT(of_the_moment); i++) {
        if (sp_span_eq(name, sp_span_cstr(of_the_moment[i]))) {
            return true;
        }
    }
    return function_is_steady(name);
}

const char *sp_sql_next_reading(size_t *at)
{
    for (; *at < SP_COUNT(functions); (*at)++) {
        if (functions[*at].class == FUNCTION_READ) {
            return functions[(*at)++].name;
        }
    }
    return NULL;
}

/* ---- settings ---- */

static const char *const free_settings[] = {
    "application_name",
    "array_nulls",
    "bytea_output",
    "check_function_bodies",
    "client_connection_check_interval",
    "client_min_messages",
    "cpu_index_tuple_cost",
    "cpu_operator_cost",
    "cpu_tuple_cost",
    "cursor_tuple_fraction",
    "datestyle",
    "deadlock_timeout",
    "default_statistics_target",
    "default_table_access_method",
    "default_tablespace",
    "default_text_search_config",
    "default_toast_compression",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "default_with_oids",
    "effective_cache_size",
    "effective_io_concurrency",
    "escape_string_warning",
    "extra_float_digits",
    "force_parallel_mode",
    "from_collapse_limit",
    "geqo",
    "geqo_effort",
    "geqo_generations",
    "geqo_pool_size",
    "geqo_seed",
    "geqo_selection_bias",
    "geqo_threshold",
    "gin_fuzzy_search_limit",
    "hash_mem_multiplier",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "jit",
    "jit_above_cost",
    "jit_inline_above_cost",
    "jit_optimize_above_cost",
    "join_collapse_limit",
    "lc_messages",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "lock_timeout",
    "maintenance_work_mem",
    "max_parallel_maintenance_workers",
    "max_parallel_workers",
    "max_parallel_workers_per_gather",
    "min_parallel_index_scan_size",
    "min_parallel_table_scan_size",
    "parallel_leader_participation",
    "parallel_setup_cost",
    "parallel_tuple_cost",
    "plan_cache_mode",
    "quote_all_identifiers",
    "random_page_cost",
    "recursive_worktable_factor",
    "restrict_nonsystem_relation_kind",
    "row_security",
    "seed",
    "seq_page_cost",
    "statement_timeout",
    "synchronize_seqscans",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_user_timeout",
    "temp_buffers",
    "time zone",
    "timezone",
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
    "transaction_timeout",
    "work_mem",
    "xmlbinary",
    "xmloption",
};

static const char *const planner_settings[] = {
    "cpu_index_tuple_cost",
    "cpu_operator_cost",
    "cpu_tuple_cost",
    "cursor_tuple_fraction",
    "effective_cache_size",
    "from_collapse_limit",
    "geqo",
    "geqo_effort",
    "geqo_generations",
    "geqo_pool_size",
    "geqo_seed",
    "geqo_selection_bias",
    "geqo_threshold",
    "join_collapse_limit",
    "parallel_setup_cost",
    "parallel_tuple_cost",
    "plan_cache_mode",
    "random_page_cost",
    "recursive_worktable_factor",
    "seq_page_cost",
};

static const char *const never_settings[] = {
    "backslash_quote",
    "client_encoding",
    "dynamic_library_path",
    "local_preload_libraries",
    "role",
    "search_path",
    "session_authorization",
    "session_preload_libraries",
    "session_replication_role",
    "standard_conforming_strings",
    "transform_null_equals",
    "names",
};

static bool is_listed(const char *const *list, size_t count, sp_span name)
{
    for (size_t i = 0; i < count; i++) {
        if (sp_span_eq_nocase(name, sp_span_cstr(list[i]))) {
            return true;
        }
    }
    return false;
}

/* What a setting that is never changed may still be set to: what it is, or what names nothing. */
static bool is_harmless_value(sp_span name, sp_span value, bool is_reset)
{
    if (sp_span_eq_nocase(name, SP_SPAN_LIT("standard_conforming_strings"))) {
        static const char *const truths[] = {"on", "true", "yes", "1"};
        return !is_reset && is_listed(truths, SP_COUNT(truths), value);
    }
    if (sp_span_eq_nocase(name, SP_SPAN_LIT("search_path"))) {
        /* only the server's own names, as pg_dump asks for first thing; or what we began with */
        return is_reset || (value.ptr != NULL &&
                            (value.len == 0 || sp_span_eq(value, SP_SPAN_LIT("pg_catalog"))));
    }
    if (sp_span_eq_nocase(name, SP_SPAN_LIT("client_encoding")) ||
        sp_span_eq_nocase(name, SP_SPAN_LIT("names"))) {
        /* a reset goes back to what the start-up packet said, which is ours and says UTF8 */
        static const char *const words[] = {"utf8", "utf-8", "utf_8", "unicode"};
        return is_reset || is_listed(words, SP_COUNT(words), value);
    }
    if (sp_span_eq_nocase(name, SP_SPAN_LIT("role")) ||
        sp_span_eq_nocase(name, SP_SPAN_LIT("session_authorization"))) {
        /* what it is anyway: nothing else is let through */
        return is_reset || (sp_span_eq_nocase(name, SP_SPAN_LIT("role")) &&
                            sp_span_eq_nocase(value, SP_SPAN_LIT("none")));
    }
    return false;
}

/* enable_seqscan; one with a dot is an application's. */
static bool enables(sp_span name)
{
    return name.len > 7 && sp_span_eq_nocase(sp_span_slice(name, 0, 7), SP_SPAN_LIT("enable_")) &&
           sp_span_index(name, '.') == name.len;
}

setting_class setting_find(sp_span name, sp_span value, bool is_reset)
{
    if (is_listed(never_settings, SP_COUNT(never_settings), name)) {
        return is_harmless_value(name, value, is_reset) ? SETTING_FREE : SETTING_NEVER;
    }
    return is_listed(free_settings, SP_COUNT(free_settings), name) || enables(name)
               ? SETTING_FREE
               : SETTING_ADMINISTER;
}

bool setting_is_planners(sp_span name)
{
    return is_listed(planner_settings, SP_COUNT(planner_settings), name) || enables(name);
}
