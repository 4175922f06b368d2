/* SPDX-License-Identifier: Apache-2.0
 * Command lines.
 * OWNS nothing. PROCESS cli. TRUST argv comes from the person at the keyboard.
 * SPEC cli/args.h.
 */
#include "cli/args.h"

#include "lib/base/mem.h"

#include <stdarg.h>

/* Options that commands have without saying so. */
static const sp_option CONFIG = SP_TEXT("-c", "FILE", "the bootstrap file");
static const sp_option LOCAL =
    SP_FLAG("--local", "root on the host itself: no sign-in, over the local socket");
static const sp_option YES = SP_FLAG("--yes", "do not ask whether to go on");
static const sp_option JSON = SP_FLAG("--json", "JSON");

void sp_complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("sallyport: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

bool sp_same(const char *a, const char *b)
{
    return sp_span_eq(sp_span_cstr(a), sp_span_cstr(b));
}

bool sp_is_help(const char *word)
{
    return sp_same(word, "--help") || sp_same(word, "-h");
}

/* ---- what a row takes ---- */

typedef struct {
    const sp_option *options[SP_OPTIONS_MAX + 4];
    size_t count;
    size_t own; /* so many of them are the row's own, in its order */
} taken;

static taken taken_by(const sp_command *command)
{
    taken all = {0};
    for (const sp_option *o = command->options;
         o != NULL && o->word != NULL && all.count < SP_OPTIONS_MAX; o++) {
        all.options[all.count++] = o;
    }
    all.own = all.count;
    if (command->ask.needs == SP_NEEDS_EITHER) {
        all.options[all.count++] = &LOCAL;
    }
    if (command->ask.needs != SP_NEEDS_SESSION) {
        all.options[all.count++] = &CONFIG;
    }
    if (command->ask.confirm != NULL) {
        all.options[all.count++] = &YES;
    }
    if (!command->no_json && command->run == NULL) {
        all.options[all.count++] = &JSON;
    }
    return all;
}

/* "NAME [FILE]" -> one or two; "NAME ROLE..." -> two or more. */
static void count_words(const sp_command *command, size_t *ret_min, size_t *ret_max)
{
    sp_span rest = sp_span_cstr(command->words);
    sp_span word = SP_SPAN_EMPTY;
    *ret_min = 0;
    *ret_max = 0;
    while (sp_span_split(&rest, ' ', &word)) {
        *ret_min += sp_span_starts(word, SP_SPAN_LIT("[")) ? 0 : 1;
        *ret_max = sp_span_ends(word, SP_SPAN_LIT("...")) ? SP_WORDS_MAX : *ret_max + 1;
    }
}

/* ---- help ---- */

static void print_usage(const sp_command *command, const taken *all, FILE *to)
{
    fprintf(to, "usage: sallyport%s%s %s%s%s", command->of == NULL ? "" : " ",
            command->of == NULL ? "" : command->of, command->word,
            command->words == NULL ? "" : " ", command->words == NULL ? "" : command->words);
    for (size_t i = 0; i < all->count; i++) {
        const sp_option *option = all->options[i];
        bool needed = option->needed != NULL;
        fprintf(to, " %s%s%s%s%s", needed ? "" : "[", option->word,
                option->value == NULL ? "" : " ", option->value == NULL ? "" : option->value,
                needed ? "" : "]");
    }
    fputc('\n', to);
}

void sp_args_help(const sp_command *command, FILE *to)
{
    taken all = taken_by(command);
    print_usage(command, &all, to);
    if (to == stderr) {
        return;
    }
    fprintf(to, "\n%s\n", command->about != NULL ? command->about : command->summary);
    for (size_t i = 0; i < all.count; i++) {
        const sp_option *option = all.options[i];
        fprintf(to, "%s  %s %-*s %s\n", i == 0 ? "\n" : "", option->word,
                24 - (int)sp_span_cstr(option->word).len,
                option->value == NULL ? "" : option->value, option->help);
    }
}

static int wrong(const sp_command *command)
{
    sp_args_help(command, stderr);
    return SP_EXIT_USAGE;
}

/* ---- reading ---- */

static void keep(sp_given *given, const taken *all, size_t at, const char *value)
{
    const sp_option *option = all->options[at];
    if (at < all->own) {
        given->values[at] = value;
    } else if (option == &CONFIG) {
        given->config = value;
        given->local = true;
    } else if (option == &LOCAL) {
        given->local = true;
    } else if (option == &YES) {
        given->yes = true;
    } else {
        given->json = true;
    }
}

static bool value_fits(const sp_option *option, const char *value)
{
    uint64_t number = 0;
    return option->type != SP_OPTION_NUMBER ||
           !sp_failed(sp_span_to_u64(sp_span_cstr(value), INT64_MAX, &number));
}

/* Takes the option at argv[*at], and its value when it has one. */
static int take_option(const taken *all, int argc, char **argv, int *at, sp_given *given)
{
    sp_span word = sp_span_cstr(argv[*at]);
    sp_span name = sp_span_slice(word, 0, sp_span_index(word, '='));
    bool joined = name.len < word.len;
    for (size_t i = 0; i < all->count; i++) {
        const sp_option *option = all->options[i];
        if (!sp_span_eq(sp_span_cstr(option->word), name)) {
            continue;
        }
        if (option->type == SP_OPTION_FLAG) {
            if (joined) {
                sp_complain("%s takes no value", option->word);
                return wrong(given->command);
            }
            keep(given, all, i, "");
            return SP_GO_ON;
        }
        if (!joined && *at + 1 >= argc) {
            sp_complain("%s needs a %s", option->word, option->value);
            return wrong(given->command);
        }
        const char *value = joined ? argv[*at] + name.len + 1 : argv[++*at];
        if (!value_fits(option, value)) {
            sp_complain("%s takes a number, not '%s'", option->word, value);
            return wrong(given->command);
        }
        keep(given, all, i, value);
        return SP_GO_ON;
    }
    sp_complain("there is no option %s here", argv[*at]);
    return wrong(given->command);
}

static int check_needed(const taken *all, const sp_given *given)
{
    for (size_t i = 0; i < all->own; i++) {
        if (all->options[i]->needed != NULL && given->values[i] == NULL) {
            sp_complain("%s", all->options[i]->needed);
            return SP_EXIT_USAGE;
        }
    }
    return SP_GO_ON;
}

int sp_args_read(const sp_command *command, int argc, char **argv, sp_given *ret_given)
{
    taken all = taken_by(command);
    size_t words_min = 0;
    size_t words_max = 0;
    bool options = true;
    *ret_given = (sp_given){.command = command};
    count_words(command, &words_min, &words_max);
    for (int at = 1; at < argc; at++) {
        if (options && sp_is_help(argv[at])) {
            sp_args_help(command, stdout);
            return SP_EXIT_OK;
        }
        if (options && sp_same(argv[at], "--")) {
            options = false;
        } else if (options && argv[at][0] == '-' && argv[at][1] != '\0') {
            int status = take_option(&all, argc, argv, &at, ret_given);
            if (status != SP_GO_ON) {
                return status;
            }
        } else if (ret_given->words_count == words_max) {
            sp_complain("'%s' is one argument too many", argv[at]);
            return wrong(command);
        } else {
            ret_given->words[ret_given->words_count++] = argv[at];
        }
    }
    if (ret_given->words_count < words_min) {
        return wrong(command);
    }
    return check_needed(&all, ret_given);
}

const char *sp_given_value(const sp_given *given, const char *word)
{
    const sp_option *options = given->command->options;
    for (size_t i = 0; options != NULL && options[i].word != NULL; i++) {
        if (sp_same(options[i].word, word)) {
            return given->values[i];
        }
    }
    return NULL;
}
