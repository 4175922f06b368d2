/* SPDX-License-Identifier: Apache-2.0
 * Command lines.
 * OWNS nothing. PROCESS cli. TRUST argv comes from the person at the keyboard.
 * SPEC cli/args.h.
 */
#include "cli/args.h"

#include "lib/base/mem.h"

#include <stdarg.h>
#include <stdio.h>

void sp_complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("sallyport: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

static bool same(const char *a, const char *b)
{
    return sp_span_eq(sp_span_cstr(a), sp_span_cstr(b));
}

static bool is_help(const char *word)
{
    return same(word, "--help") || same(word, "-h");
}

static void print_usage(const sp_usage *usage, FILE *to)
{
    fprintf(to, "usage: sallyport %s\n", usage->usage);
    if (to == stderr) {
        return;
    }
    fprintf(to, "\n%s\n", usage->about);
    for (size_t i = 0; i < usage->options_count; i++) {
        const sp_option *option = &usage->options[i];
        fprintf(to, "%s  %s %-*s %s\n", i == 0 ? "\n" : "", option->word,
                20 - (int)sp_span_cstr(option->word).len,
                option->value == NULL ? "" : option->value, option->help);
    }
}

static int wrong(const sp_usage *usage)
{
    print_usage(usage, stderr);
    return SP_EXIT_USAGE;
}

/* Takes the option at argv[*at], and its value when it has one. */
static int take_option(const sp_usage *usage, int argc, char **argv, int *at)
{
    sp_span word = sp_span_cstr(argv[*at]);
    sp_span name = sp_span_slice(word, 0, sp_span_index(word, '='));
    for (size_t i = 0; i < usage->options_count; i++) {
        const sp_option *option = &usage->options[i];
        if (!sp_span_eq(sp_span_cstr(option->word), name)) {
            continue;
        }
        bool joined = name.len < word.len;
        if (option->value == NULL) {
            if (joined) {
                sp_complain("%s takes no value", option->word);
                return wrong(usage);
            }
            *(bool *)option->to = true;
            return SP_GO_ON;
        }
        if (!joined && *at + 1 >= argc) {
            sp_complain("%s needs a %s", option->word, option->value);
            return wrong(usage);
        }
        *(const char **)option->to = joined ? argv[*at] + name.len + 1 : argv[++*at];
        return SP_GO_ON;
    }
    sp_complain("there is no option %s here", argv[*at]);
    return wrong(usage);
}

int sp_args_read(const sp_usage *usage, int argc, char **argv, const char *words[SP_WORDS_MAX],
                 size_t *ret_words)
{
    size_t count = 0;
    bool options = true;
    for (int at = 1; at < argc; at++) {
        if (options && is_help(argv[at])) {
            print_usage(usage, stdout);
            return SP_EXIT_OK;
        }
        if (options && same(argv[at], "--")) {
            options = false;
        } else if (options && argv[at][0] == '-' && argv[at][1] != '\0') {
            int status = take_option(usage, argc, argv, &at);
            if (status != SP_GO_ON) {
                return status;
            }
        } else if (count == usage->words_max || count == SP_WORDS_MAX) {
            sp_complain("'%s' is one argument too many", argv[at]);
            return wrong(usage);
        } else {
            words[count++] = argv[at];
        }
    }
    if (count < usage->words_min) {
        return wrong(usage);
    }
    *ret_words = count;
    return SP_GO_ON;
}

static void print_group(const char *group, const char *about, const sp_command *commands,
                        size_t count, FILE *to)
{
    fprintf(to, "usage: sallyport %s COMMAND [ARGUMENTS]\n", group);
    fprintf(to, "\n%s\n\n", about);
    for (size_t i = 0; i < count; i++) {
        fprintf(to, "  %-10s %-24s %s\n", commands[i].word, commands[i].arguments,
                commands[i].summary);
    }
    fprintf(to, "\nsallyport %s COMMAND --help tells more. All take --json.\n", group);
}

int sp_group_run(const char *group, const char *about, const sp_command *commands, size_t count,
                 int argc, char **argv)
{
    if (argc < 2) {
        print_group(group, about, commands, count, stderr);
        return SP_EXIT_USAGE;
    }
    if (is_help(argv[1])) {
        print_group(group, about, commands, count, stdout);
        return SP_EXIT_OK;
    }
    for (size_t i = 0; i < count; i++) {
        if (same(commands[i].word, argv[1])) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    sp_complain("there is no command '%s %s'. sallyport %s --help lists them.", group, argv[1],
                group);
    return SP_EXIT_USAGE;
}
