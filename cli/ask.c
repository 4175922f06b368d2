/* SPDX-License-Identifier: Apache-2.0
 * Asking an office what a row of the table says.
 * OWNS nothing. PROCESS cli. TRUST cli/ask.h. SPEC cli/command.h.
 */
#include "cli/ask.h"

#include "cli/args.h"
#include "cli/find.h"
#include "cli/table.h"

#include <stdlib.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 4096, CELL_MAX_BYTES = 4096, NAME_BYTES = 64 };

/* ---- templates: text with {names} ---- */

/* Takes text up to the next name, and the name, off the template; false when nothing is left. */
static bool next_piece(sp_span *rest, sp_span *ret_text, char ret_name[NAME_BYTES])
{
    sp_span name = SP_SPAN_EMPTY;
    ret_name[0] = '\0';
    if (!sp_span_split(rest, '{', ret_text)) {
        return false;
    }
    if (rest->len > 0 && sp_span_split(rest, '}', &name)) {
        SP_IGNORE(sp_fit(ret_name, NAME_BYTES, name)); /* names are our own, and short */
    }
    return true;
}

static bool is_time(const char *key)
{
    return sp_span_ends(sp_span_cstr(key), SP_SPAN_LIT("_at"));
}

static const char *member(const json_t *object, const char *key)
{
    const char *text = sp_json_text(object, key);
    return is_time(key) ? sp_short_time(text) : text;
}

static void say(const char *text, const char *word, const json_t *answer)
{
    sp_span rest = sp_span_cstr(text);
    sp_span piece = SP_SPAN_EMPTY;
    char name[NAME_BYTES];
    while (next_piece(&rest, &piece, name)) {
        printf("%.*s", SP_SPAN_ARG(piece));
        if (name[0] != '\0') {
            sp_print_safe(stdout, sp_same(name, "1") ? word : member(answer, name));
        }
    }
    printf("\n");
}

void sp_ask_say(const char *text, const sp_given *given, const json_t *answer)
{
    say(text, given->words[0], answer);
}

/* ---- tables ---- */

static void cell_list(sp_table *table, const json_t *list)
{
    auto_buf sp_buf text = sp_buf_make(CELL_MAX_BYTES);
    auto_free char *joined = NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        sp_buf_text(&text, i == 0 ? "" : " ");
        sp_buf_text(&text, one == NULL ? "" : one);
    }
    sp_table_cell(table, sp_failed(sp_buf_take_cstr(&text, &joined)) ? "..." : joined);
}

static void cell(sp_table *table, const sp_column *column, const json_t *row)
{
    if (column->show != NULL) {
        sp_table_cell(table, column->show(row));
    } else if (json_is_array(json_object_get(row, column->key))) {
        cell_list(table, json_object_get(row, column->key));
    } else {
        sp_table_cell(table, member(row, column->key));
    }
}

void sp_ask_rows(const sp_column *columns, const json_t *items)
{
    auto_table sp_table table = {0};
    while (table.columns < SP_COLUMNS_MAX && columns[table.columns].head != NULL) {
        table.heads[table.columns] = columns[table.columns].head;
        table.columns++;
    }
    for (size_t i = 0; i < json_array_size(items); i++) {
        for (size_t k = 0; k < table.columns; k++) {
            cell(&table, &columns[k], json_array_get(items, i));
        }
    }
    sp_table_print(&table, stdout);
}

/* ---- what is asked ---- */

typedef struct {
    const sp_given *given;
    const sp_ask *ask;
    const char *word; /* {1} */
    json_t *found;    /* the person or device of the path */
} question;

static bool is_get(const sp_ask *ask)
{
    return ask->method == NULL;
}

/* Name of what the path wants found by the first word -> how. */
static const struct {
    const char *name;
    int (*find)(sp_client *client, const char *name, json_t **ret_found);
} finders[] = {{"person", sp_find_person}, {"device", sp_find_device}};

static int fill(sp_client *client, question *q, const char *name, sp_buf *path)
{
    if (sp_same(name, "1")) {
        sp_buf_percent(path, sp_span_cstr(q->word));
        return SP_EXIT_OK;
    }
    if (sp_same(name, "2") && q->given->words_count > 1) {
        sp_buf_percent(path, sp_span_cstr(q->given->words[1]));
        return SP_EXIT_OK;
    }
    for (size_t i = 0; i < SP_COUNT(finders); i++) {
        if (sp_same(name, finders[i].name)) {
            int status = finders[i].find(client, q->word, &q->found);
            sp_buf_percent(path, sp_span_cstr(sp_json_text(q->found, "id")));
            return status;
        }
    }
    return SP_EXIT_FAILED;
}

static const char *path_of(const question *q)
{
    const sp_option *options = q->given->command->options;
    for (size_t i = 0; options != NULL && options[i].word != NULL; i++) {
        if (options[i].instead != NULL && q->given->values[i] != NULL) {
            return options[i].instead;
        }
    }
    return q->ask->path;
}

/* What the option at i puts into body or query, NULL = nothing. */
static const char *field_value(const sp_given *given, size_t i)
{
    const sp_option *option = &given->command->options[i];
    if (option->field == NULL) {
        return NULL;
    }
    return given->values[i] != NULL ? given->values[i] : option->otherwise;
}

static void add_query(const sp_given *given, sp_buf *path)
{
    const sp_option *options = given->command->options;
    char sign = '?';
    for (size_t i = 0; options != NULL && options[i].word != NULL; i++) {
        const char *value = field_value(given, i);
        if (value != NULL) {
            bool flag = options[i].type == SP_OPTION_FLAG;
            sp_buf_fmt(path, "%c%s=", sign, options[i].field);
            sp_buf_percent(path, sp_span_cstr(flag ? "true" : value));
            sign = '&';
        }
    }
}

static int make_path(sp_client *client, question *q, char **ret_path)
{
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    sp_span rest = sp_span_cstr(path_of(q));
    sp_span piece = SP_SPAN_EMPTY;
    char name[NAME_BYTES];
    while (next_piece(&rest, &piece, name)) {
        sp_buf_span(&path, piece);
        int status = name[0] == '\0' ? SP_EXIT_OK : fill(client, q, name, &path);
        if (status != SP_EXIT_OK) {
            return status;
        }
    }
    if (is_get(q->ask)) {
        add_query(q->given, &path);
    }
    return sp_failed(sp_buf_take_cstr(&path, ret_path)) ? SP_EXIT_FAILED : SP_EXIT_OK;
}

static json_t *typed(const sp_option *option, const char *value)
{
    uint64_t number = 0;
    switch (option->type) {
    case SP_OPTION_FLAG:
        return json_true();
    case SP_OPTION_NUMBER:
        return sp_failed(sp_span_to_u64(sp_span_cstr(value), INT64_MAX, &number))
                   ? NULL
                   : json_integer((json_int_t)number);
    case SP_OPTION_TEXT:
        return json_string(value);
    }
    return NULL;
}

static int make_body(const question *q, json_t **ret_body)
{
    const sp_option *options = q->given->command->options;
    json_t *body = json_object();
    int bad = 0;
    for (size_t i = 0; options != NULL && options[i].word != NULL; i++) {
        const char *value = field_value(q->given, i);
        if (value != NULL) {
            bad |= json_object_set_new(body, options[i].field, typed(&options[i], value));
        }
    }
    if (q->ask->field != NULL) {
        bad |= json_object_set_new(body, q->ask->field, json_string(q->word));
    }
    if (bad != 0) {
        sp_complain("what was given is not UTF-8 text");
        json_decref(body);
        return SP_EXIT_USAGE;
    }
    if (q->ask->body != NULL) {
        q->ask->body(q->given, q->found, body);
    }
    *ret_body = body;
    return SP_EXIT_OK;
}

/* --page or --after: one page is wanted, not the whole list. */
static bool wants_page(const sp_given *given)
{
    const sp_option *options = given->command->options;
    bool wants = false;
    for (size_t i = 0; options != NULL && options[i].word != NULL; i++) {
        wants =
            wants || (options[i].field != NULL && given->values[i] != NULL &&
                      (sp_same(options[i].field, "limit") || sp_same(options[i].field, "cursor")));
    }
    return wants;
}

static int send(sp_client *client, question *q, const char *path, json_t **ret_answer)
{
    if (is_get(q->ask)) {
        return q->ask->done == NULL && !wants_page(q->given)
                   ? sp_client_list(client, path, ret_answer)
                   : sp_client_call(client, "GET", path, NULL, ret_answer);
    }
    json_t *body = NULL;
    int status = make_body(q, &body);
    return status == SP_EXIT_OK ? sp_client_call(client, q->ask->method, path, body, ret_answer)
                                : status;
}

/* ---- what is printed ---- */

static void print(const question *q, json_t *answer)
{
    const char *next = json_string_value(json_object_get(answer, "next"));
    if (q->ask->done != NULL) {
        say(q->ask->done, q->word, answer);
    } else if (wants_page(q->given)) {
        sp_ask_rows(q->ask->columns, json_object_get(answer, "items"));
        if (next != NULL) {
            fprintf(stderr, "more: --after %s\n", next);
        }
    } else if (json_is_array(answer)) {
        sp_ask_rows(q->ask->columns, answer);
    } else {
        json_t *one = json_pack("[O]", answer);
        sp_ask_rows(q->ask->columns, one);
        json_decref(one);
    }
}

/* Asks once; with --json the answer goes to the end of said. */
static int ask_once(sp_client *client, const sp_given *given, const char *word, json_t *said)
{
    question q = {given, &given->command->ask, word, NULL};
    auto_free char *path = NULL;
    json_t *answer = NULL;
    int status = make_path(client, &q, &path);
    if (status == SP_EXIT_OK) {
        status = send(client, &q, path, &answer);
    }
    if (status == SP_EXIT_OK && given->json) {
        json_array_append(said, answer == NULL ? json_null() : answer);
    } else if (status == SP_EXIT_OK) {
        print(&q, answer);
    }
    json_decref(answer);
    json_decref(q.found);
    return status;
}

/* Only somebody at a terminal is asked: a script has meant what it says. */
static bool confirmed(const sp_given *given)
{
    const char *text = given->command->ask.confirm;
    if (text == NULL || given->yes || !isatty(STDIN_FILENO)) {
        return true;
    }
    char answer[NAME_BYTES] = "";
    say(text, given->words[0], NULL);
    printf("Go on? [y/N] ");
    fflush(stdout);
    return fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

int sp_ask_open(const sp_given *given, sp_client **ret_client)
{
    sp_needs needs = given->command->ask.needs;
    bool local = needs == SP_NEEDS_ROOT || (needs == SP_NEEDS_EITHER && given->local);
    return local ? sp_client_open_local(given->config, ret_client) : sp_client_open(ret_client);
}

bool sp_duration_of(const char *text, json_int_t *ret_seconds)
{
    uint64_t number = 0;
    size_t len = sp_span_cstr(text).len;
    static const struct {
        char unit;
        unsigned seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    for (size_t i = 0; len > 1 && i < SP_COUNT(units); i++) {
        if (text[len - 1] == units[i].unit &&
            !sp_failed(sp_span_to_u64(sp_span_of(text, len - 1), 100000, &number))) {
            *ret_seconds = (json_int_t)(number * units[i].seconds);
            return true;
        }
    }
    return false;
}

int sp_ask_run(const sp_given *given)
{
    const sp_ask *ask = &given->command->ask;
    auto_client sp_client *client = NULL;
    if (!confirmed(given)) {
        sp_complain("nothing was changed");
        return SP_EXIT_FAILED;
    }
    int status = sp_ask_open(given, &client);
    if (status != SP_EXIT_OK) {
        return status;
    }
    json_t *said = json_array();
    size_t times = ask->each ? given->words_count : 1;
    for (size_t i = 0; status == SP_EXIT_OK && i < times; i++) {
        status = ask_once(client, given, given->words[i], said);
    }
    if (given->json && json_array_size(said) > 0) {
        sp_client_print(ask->each ? said : json_array_get(said, 0));
    }
    json_decref(said);
    return status;
}
