/* SPDX-License-Identifier: Apache-2.0
 * Approving and refusing what others ask for, asking for a role, undo: what is shown before it is
 * answered.
 * OWNS nothing. PROCESS cli. TRUST statements and reasons are other people's words: printed without
 * control bytes. SPEC docs/man/sallyport-approvals.1.
 */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/handlers.h"
#include "cli/table.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 256, WATCH_S = 2, SEEN_MAX = 500 };
#define APPROVALS "/api/v1/approvals"

/* ---- showing ---- */

static void line(const char *name, const char *text)
{
    if (text[0] != '\0') {
        printf("%-12s ", name);
        sp_print_safe(stdout, text);
        putchar('\n');
    }
}

const char *sp_approval_votes(const json_t *approval)
{
    static char text[32];
    const json_t *votes = json_object_get(approval, "votes");
    unsigned yes = 0;
    for (size_t i = 0; i < json_array_size(votes); i++) {
        yes += sp_same(sp_json_text(json_array_get(votes, i), "verdict"), "approve") ? 1 : 0;
    }
    snprintf(text, sizeof(text), "%u of %lld", yes,
             (long long)json_integer_value(json_object_get(approval, "needed")));
    return text;
}

const char *sp_approval_target(const json_t *approval)
{
    static char text[256];
    char database[96];
    const char *role = sp_json_text(approval, "role");
    if (role[0] != '\0') {
        snprintf(text, sizeof(text), "role %.200s", role);
        return text;
    }
    snprintf(database, sizeof(database), "%s", sp_json_text(approval, "database"));
    snprintf(text, sizeof(text), "%.120s%s%s", sp_json_text(approval, "resource"),
             database[0] != '\0' ? "/" : "", database);
    return text;
}

/* Where several rules ask, the people of each of them have to agree. */
static void show_rules(const json_t *approval)
{
    const json_t *rules = json_object_get(approval, "rules");
    for (size_t i = 0; i < json_array_size(rules) && json_array_size(rules) > 1; i++) {
        const json_t *rule = json_array_get(rules, i);
        printf("             %lld of %lld for ",
               (long long)json_integer_value(json_object_get(rule, "agreed")),
               (long long)json_integer_value(json_object_get(rule, "needed")));
        sp_print_safe(stdout, sp_json_text(rule, "rule"));
        putchar('\n');
    }
}

/* For which rules, where there are several. */
static void show_vote_rules(const json_t *rules)
{
    for (size_t i = 0; i < json_array_size(rules); i++) {
        printf("%s", i == 0 ? ", for " : " and ");
        sp_print_safe(stdout, json_string_value(json_array_get(rules, i)));
    }
}

static void show_votes(const json_t *approval)
{
    const json_t *votes = json_object_get(approval, "votes");
    bool are_several = json_array_size(json_object_get(approval, "rules")) > 1;
    for (size_t i = 0; i < json_array_size(votes); i++) {
        const json_t *vote = json_array_get(votes, i);
        printf("             %s: ", sp_json_text(vote, "verdict"));
        sp_print_safe(stdout, sp_json_text(vote, "name"));
        show_vote_rules(are_several ? json_object_get(vote, "rules") : NULL);
        const char *reason = sp_json_text(vote, "reason");
        printf("%s", reason[0] != '\0' ? ", " : "");
        sp_print_safe(stdout, reason);
        putchar('\n');
    }
}

/* A line at a time: other control bytes are replaced. */
static void show_lines(const char *name, char *text)
{
    printf("\n%s\n", name);
    for (char *at = text; *at != '\0';) {
        char *end = strchrnul(at, '\n');
        bool last = *end == '\0';
        *end = '\0';
        printf("  ");
        sp_print_safe(stdout, at);
        putchar('\n');
        at = last ? end : end + 1;
    }
}

static void show_json(const char *name, const json_t *value)
{
    char *text = NULL;
    if (json_is_string(value)) {
        sp_err err = sp_strdup(sp_span_cstr(json_string_value(value)), &text);
        text = sp_failed(err) ? NULL : text;
    } else if (value != NULL && !json_is_null(value)) {
        text = json_dumps(value, JSON_INDENT(2));
    }
    if (text != NULL) {
        show_lines(name, text);
    }
    sp_free(text);
}

/* "3.4 GiB". */
static void print_size(json_int_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double size = (double)bytes / 1024;
    size_t at = 0;
    while (size >= 1024 && at + 1 < SP_COUNT(units)) {
        size /= 1024;
        at++;
    }
    if (bytes < 1024) {
        printf("%lld bytes", (long long)bytes);
    } else {
        printf("%.1f %s", size, units[at]);
    }
}

/* "800 ms", "3 s", "12 min", "5 h": of what is longer, the next whole one. */
static void print_span(json_int_t ms)
{
    enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };
    json_int_t unit = ms < SECOND ? 1 : ms < 2 * MINUTE ? SECOND : ms < 2 * HOUR ? MINUTE : HOUR;
    const char *name = unit == 1 ? "ms" : unit == SECOND ? "s" : unit == MINUTE ? "min" : "h";
    printf("%lld %s", (long long)((ms + unit - 1) / unit), name);
}

static void show_rows(const json_t *approval)
{
    const json_t *plan = json_object_get(approval, "plan");
    printf("%-12s %lld", "rows",
           (long long)json_integer_value(json_object_get(approval, "estimated_rows")));
    if (sp_json_text(plan, "why_not")[0] != '\0') {
        printf(", and what cannot be counted: ");
        sp_print_safe(stdout, sp_json_text(plan, "why_not"));
    }
    putchar('\n');
}

/* What can be put back of a statement, and how long that may take. */
static void show_keep(const json_t *approval)
{
    const json_t *keep = json_object_get(approval, "keep");
    if (json_is_object(keep)) {
        printf("%-12s ", "keeps");
        print_size(json_integer_value(json_object_get(keep, "bytes")));
        printf(": keep takes ");
        print_span(json_integer_value(json_object_get(keep, "duration_ms")));
        printf(", undo takes up to ");
        print_span(json_integer_value(json_object_get(keep, "undo_max_ms")));
        putchar('\n');
    } else if (sp_same(sp_json_text(approval, "kind"), "statement")) {
        bool unknown = sp_same(sp_json_text(approval, "state"), "waiting") &&
                       !json_is_object(json_object_get(approval, "dependants"));
        line("keeps", unknown ? "nothing that is known yet: take it as final"
                              : "nothing is kept: it cannot be undone");
    }
}

static void show_dependants(const json_t *all)
{
    size_t at = 0;
    const json_t *one = NULL;
    const json_t *relations = json_object_get(all, "relations");
    const json_t *limits = json_object_get(all, "limits");
    json_int_t total = json_integer_value(json_object_get(all, "relations_total"));
    json_int_t foreign = json_integer_value(json_object_get(all, "foreign_keys"));
    if (!json_is_object(all)) {
        return;
    }
    printf("\nDepends on it\n");
    json_array_foreach(relations, at, one)
    {
        printf("  ");
        sp_print_safe(stdout, sp_json_text(one, "name"));
        printf("  ");
        sp_print_safe(stdout, sp_json_text(one, "why"));
        printf(", %lld rows, ", (long long)json_integer_value(json_object_get(one, "rows")));
        print_size(json_integer_value(json_object_get(one, "bytes")));
        putchar('\n');
    }
    if (total > (json_int_t)json_array_size(relations)) {
        printf("  and %lld more\n", (long long)(total - (json_int_t)json_array_size(relations)));
    }
    if (foreign > 0) {
        printf("  and %lld foreign keys of other tables\n", (long long)foreign);
    }
    json_array_foreach(limits, at, one)
    {
        printf("  Undo could not: ");
        sp_print_safe(stdout, json_string_value(one));
        putchar('\n');
    }
}

static void show_touches(const json_t *plan)
{
    const json_t *touches = json_object_get(plan, "touches");
    long long left_out = (long long)json_integer_value(json_object_get(plan, "left_out"));
    printf("%s", json_array_size(touches) > 0 ? "\nIt acts on\n" : "");
    for (size_t i = 0; i < json_array_size(touches); i++) {
        const json_t *one = json_array_get(touches, i);
        const char *rows = sp_json_text(one, "rows");
        printf("  %-12s ", sp_json_text(one, "kind"));
        sp_print_safe(stdout, sp_json_text(one, "name"));
        printf("  ");
        sp_print_safe(stdout, sp_json_text(one, "why"));
        printf("%s%s%s\n", sp_same(rows, "0") ? "" : ", about ", sp_same(rows, "0") ? "" : rows,
               sp_same(rows, "0") ? "" : " rows");
    }
    if (left_out > 0) {
        printf("  and %lld more\n", left_out);
    }
}

static void show_plan(const json_t *plan)
{
    const json_t *lines = json_object_get(plan, "lines");
    if (!json_is_object(plan)) {
        return;
    }
    show_touches(plan);
    printf("\nPlan\n");
    const char *why = sp_json_text(plan, "why_not");
    if (why[0] != '\0') {
        printf("  There is no whole plan: ");
        sp_print_safe(stdout, why);
        putchar('\n');
    } else if (json_array_size(lines) == 0) {
        printf("  The database plans nothing for such a statement.\n");
    }
    const char *unheld = sp_json_text(plan, "unheld");
    if (unheld[0] != '\0') {
        printf("  Others may change it before it runs: ");
        sp_print_safe(stdout, unheld);
        putchar('\n');
    }
    for (size_t i = 0; i < json_array_size(lines); i++) {
        printf("  ");
        sp_print_safe(stdout, json_string_value(json_array_get(lines, i)));
        putchar('\n');
    }
}

static void show(const json_t *approval)
{
    line("approval", sp_json_text(approval, "id"));
    line("kind", sp_json_text(approval, "kind"));
    line("state", sp_json_text(approval, "state"));
    line("asked by", sp_json_text(approval, "asker.name"));
    line("target", sp_approval_target(approval));
    line("action", sp_json_text(approval, "action"));
    line("class", sp_json_text(approval, "class"));
    line("rule", sp_json_text(approval, "rule"));
    line("reason", sp_json_text(approval, "reason"));
    line("ticket", sp_json_text(approval, "ticket"));
    show_rows(approval);
    show_keep(approval);
    line("expires", sp_short_time(sp_json_text(approval, "expires_at")));
    line("approved", sp_approval_votes(approval));
    show_rules(approval);
    show_votes(approval);
    line("SHA-256", sp_json_text(approval, "sha256"));
    show_json("Statement", json_object_get(approval, "statement"));
    if (json_object_get(json_object_get(approval, "plan"), "tried_only") != NULL) {
        show_json("It would do", json_object_get(approval, "plan"));
    } else {
        show_plan(json_object_get(approval, "plan"));
    }
    show_dependants(json_object_get(approval, "dependants"));
}

static int fetch(sp_client *client, const char *id, json_t **ret_approval)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), APPROVALS "/%.60s", id);
    return sp_client_call(client, "GET", path, NULL, ret_approval);
}

int sp_approvals_show(const sp_given *given)
{
    auto_client sp_client *client = NULL;
    json_t *approval = NULL;
    int status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        status = fetch(client, given->words[0], &approval);
    }
    if (status == SP_EXIT_OK && given->json) {
        sp_client_print(approval);
    } else if (status == SP_EXIT_OK) {
        show(approval);
    }
    json_decref(approval);
    return status;
}

/* ---- answering: what was shown is what is approved ---- */

static bool is_meant(const sp_given *given, const char *verb)
{
    char answer[16];
    bool said = given->yes || sp_given_value(given, "--yes") != NULL;
    if (said || isatty(STDIN_FILENO) == 0) {
        return said;
    }
    printf("\nType %s to %s it: ", verb, verb);
    fflush(stdout);
    if (fgets(answer, sizeof(answer), stdin) == NULL) {
        return false;
    }
    answer[strcspn(answer, "\r\n")] = '\0';
    return sp_same(answer, verb);
}

int sp_approvals_answer(const sp_given *given)
{
    auto_client sp_client *client = NULL;
    json_t *approval = NULL;
    json_t *answer = NULL;
    char path[PATH_BYTES];
    const char *verb = given->command->word;
    const char *reason = sp_given_value(given, "--reason");
    int status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        status = fetch(client, given->words[0], &approval);
    }
    if (status == SP_EXIT_OK && !given->json) {
        show(approval);
    }
    if (status == SP_EXIT_OK && !is_meant(given, verb)) {
        sp_complain("nothing was done: --yes %ss it without asking", verb);
        status = SP_EXIT_USAGE;
    }
    if (status == SP_EXIT_OK) {
        snprintf(path, sizeof(path), APPROVALS "/%.60s/%s", given->words[0], verb);
        json_t *body = json_pack("{s:O,s:s}", "sha256", json_object_get(approval, "sha256"),
                                 "reason", reason == NULL ? "" : reason);
        status = sp_client_call(client, "POST", path, body, &answer);
    }
    if (status == SP_EXIT_OK && given->json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK) {
        printf("%s: %s (%s)\n", given->words[0], sp_json_text(answer, "state"),
               sp_approval_votes(answer));
    }
    json_decref(approval);
    json_decref(answer);
    return status;
}

/* ---- watching ---- */

typedef struct {
    char ids[SEEN_MAX][24];
    size_t count;
} seen;

static bool is_new(seen *s, const json_t *approval)
{
    char key[24];
    snprintf(key, sizeof(key), "%.15s%.7s", sp_json_text(approval, "id"), "");
    size_t len = strlen(key);
    snprintf(key + len, sizeof(key) - len, "%.8s", sp_json_text(approval, "state"));
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->ids[i], key) == 0) {
            return false;
        }
    }
    snprintf(s->ids[s->count++ % SEEN_MAX], sizeof(s->ids[0]), "%s", key);
    s->count = s->count > SEEN_MAX ? SEEN_MAX : s->count;
    return true;
}

static void print_news(seen *s, const json_t *items)
{
    for (size_t i = json_array_size(items); i-- > 0;) {
        const json_t *one = json_array_get(items, i);
        if (!is_new(s, one)) {
            continue;
        }
        printf("%s  %-9s %-11s ", sp_json_text(one, "id"), sp_json_text(one, "state"),
               sp_json_text(one, "kind"));
        sp_print_safe(stdout, sp_json_text(one, "asker.name"));
        printf("  ");
        sp_print_safe(stdout, sp_approval_target(one));
        printf("  ");
        sp_print_safe(stdout, sp_json_text(one, "summary"));
        putchar('\n');
    }
    fflush(stdout);
}

int sp_approvals_watch(const sp_given *given)
{
    static seen s;
    auto_client sp_client *client = NULL;
    bool once = sp_given_value(given, "--once") != NULL;
    int status = sp_client_open(&client);
    while (status == SP_EXIT_OK) {
        json_t *items = NULL;
        status = sp_client_list(client, APPROVALS, &items);
        if (status == SP_EXIT_OK) {
            print_news(&s, items);
        }
        json_decref(items);
        if (once) {
            break;
        }
        sleep(WATCH_S);
    }
    return status;
}

/* ---- roles for a while ---- */

void sp_grant_body(const sp_given *given, const json_t *found, json_t *body)
{
    json_int_t seconds = 0;
    (void)found;
    const char *text = sp_given_value(given, "--for");
    if (text != NULL && sp_duration_of(text, &seconds)) {
        json_object_set_new(body, "duration_s", json_integer(seconds));
    }
}

void sp_review_body(const sp_given *given, const json_t *found, json_t *body)
{
    (void)found;
    json_object_set_new(body, "role", json_string(given->words[1]));
    json_object_set_new(body, "keep", json_boolean(sp_given_value(given, "--end") == NULL));
}

/* ---- undo ---- */

int sp_db_undo(const sp_given *given)
{
    auto_client sp_client *client = NULL;
    json_t *answer = NULL;
    char path[PATH_BYTES];
    bool dry = sp_given_value(given, "--dry-run") != NULL;
    bool beside = sp_given_value(given, "--beside") != NULL;
    const char *reason = sp_given_value(given, "--reason");
    const char *into = sp_given_value(given, "--into");
    if (into != NULL && !beside) {
        sp_complain("--into is for --beside: an undo puts back what was there, where it was");
        return SP_EXIT_USAGE;
    }
    int status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        snprintf(path, sizeof(path), "/api/v1/keeps/%.60s/%s", given->words[0],
                 beside ? "beside" : "undo");
        json_t *body =
            json_pack("{s:b,s:s}", "dry_run", (int)dry, "reason", reason == NULL ? "" : reason);
        if (into != NULL) {
            json_object_set_new(body, "into", json_string(into));
        }
        status = sp_client_call(client, "POST", path, body, &answer);
    }
    if (status == SP_EXIT_OK && given->json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK && dry) {
        printf("%s in about ", beside ? "The rows would be there" : "It would be undone");
        print_span(json_integer_value(json_object_get(answer, "duration_ms")));
        if (beside) {
            printf(", and take about ");
            print_size(json_integer_value(json_object_get(answer, "bytes")));
        }
        printf(".\n");
        show_json("It would do", json_object_get(answer, "report"));
    } else if (status == SP_EXIT_OK) {
        printf("Others have to approve it: %s. sallyport approvals show %s tells more.\n",
               sp_json_text(answer, "id"), sp_json_text(answer, "id"));
    }
    json_decref(answer);
    return status;
}
