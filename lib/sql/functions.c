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

typedef struct {
    const char *name;
    bool is_planners;
} setting;

static const setting free_settings[] = {
    {"application_name", false},
    {"array_nulls", false},
    {"bytea_output", false},
    {"check_function_bodies", false},
    {"client_connection_check_interval", false},
    {"client_min_messages", false},
    {"cpu_index_tuple_cost", true},
    {"cpu_operator_cost", true},
    {"cpu_tuple_cost", true},
    {"cursor_tuple_fraction", true},
    {"datestyle", false},
    {"deadlock_timeout", false},
    {"default_statistics_target", false},
    {"default_table_access_method", false},
    {"default_tablespace", false},
    {"default_text_search_config", false},
    {"default_toast_compression", false},
    {"default_transaction_deferrable", false},
    {"default_transaction_isolation", false},
    {"default_transaction_read_only", false},
    {"default_with_oids", false},
    {"effective_cache_size", true},
    {"effective_io_concurrency", false},
    {"escape_string_warning", false},
    {"extra_float_digits", false},
    {"force_parallel_mode", false},
    {"from_collapse_limit", true},
    {"geqo", true},
    {"geqo_effort", true},
    {"geqo_generations", true},
    {"geqo_pool_size", true},
    {"geqo_seed", true},
    {"geqo_selection_bias", true},
    {"geqo_threshold", true},
    {"gin_fuzzy_search_limit", false},
    {"hash_mem_multiplier", false},
    {"idle_in_transaction_session_timeout", false},
    {"idle_session_timeout", false},
    {"intervalstyle", false},
    {"jit", false},
    {"jit_above_cost", false},
    {"jit_inline_above_cost", false},
    {"jit_optimize_above_cost", false},
    {"join_collapse_limit", true},
    {"lc_messages", false},
    {"lc_monetary", false},
    {"lc_numeric", false},
    {"lc_time", false},
    {"lock_timeout", false},
    {"maintenance_work_mem", false},
    {"max_parallel_maintenance_workers", false},
    {"max_parallel_workers", false},
    {"max_parallel_workers_per_gather", false},
    {"min_parallel_index_scan_size", false},
    {"min_parallel_table_scan_size", false},
    {"parallel_leader_participation", false},
    {"parallel_setup_cost", true},
    {"parallel_tuple_cost", true},
    {"plan_cache_mode", true},
    {"quote_all_identifiers", false},
    {"random_page_cost", true},
    {"recursive_worktable_factor", true},
    {"restrict_nonsystem_relation_kind", false},
    {"row_security", false},
    {"seed", false},
    {"seq_page_cost", true},
    {"statement_timeout", false},
    {"synchronize_seqscans", false},
    {"tcp_keepalives_count", false},
    {"tcp_keepalives_idle", false},
    {"tcp_keepalives_interval", false},
    {"tcp_user_timeout", false},
    {"temp_buffers", false},
    {"time zone", false},
    {"timezone", false},
    {"transaction_deferrable", false},
    {"transaction_isolation", false},
    {"transaction_read_only", false},
    {"transaction_timeout", false},
    {"work_mem", false},
    {"xmlbinary", false},
    {"xmloption", false},
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

/* NULL: it is not free. */
static const setting *find_free(sp_span name)
{
    for (size_t i = 0; i < SP_COUNT(free_settings); i++) {
        if (sp_span_eq_nocase(name, sp_span_cstr(free_settings[i].name))) {
            return &free_settings[i];
        }
    }
    return NULL;
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
    return find_free(name) != NULL || enables(name) ? SETTING_FREE : SETTING_ADMINISTER;
}

bool setting_is_planners(sp_span name)
{
    const setting *found = find_free(name);
    return (found != NULL && found->is_planners) || enables(name);
}
