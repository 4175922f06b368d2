/* SPDX-License-Identifier: Apache-2.0
 * sallyport policy: check, test, explain, matrix, diff, replay and reference, offline on a folder
 * of documents.
 * OWNS nothing. PROCESS cli. TRUST argv comes from the person at the keyboard.
 * SPEC docs/man/sallyport.1, docs/POLICY.md.
 */
#include "cli/policy.h"

#include "cli/command.h"
#include "infra/proc/entry.h"
#include "infra/proc/file.h"

#include <getopt.h>
#include <stdio.h>

enum { CELLS_SHOWN = 200 };

/* All options of all subcommands; a subcommand takes those it lists. */
typedef struct {
    bool json;
    const char *directory;
    sp_policy_ask ask;
    sp_span roles[POLICY_ROLES_MAX];
    sp_span tags[POLICY_ROLES_MAX];
    uint64_t max_cells;
    const char *words[3]; /* what stands without an option */
    size_t words_count;
} options;

typedef struct {
    const char *word;
    const char *arguments;
    const char *summary;
    const char *takes; /* letters of the options */
    size_t least;      /* words without an option */
    size_t most;
    int (*run)(options *o);
} subcommand;

static const struct option OPTIONS[] = {
    {"json", no_argument, NULL, 'j'},
    {"directory", required_argument, NULL, 'd'},
    {"role", required_argument, NULL, 'r'},
    {"person", required_argument, NULL, 'p'},
    {"owner", required_argument, NULL, 'o'},
    {"posture", required_argument, NULL, 's'},
    {"mfa", required_argument, NULL, 'm'},
    {"resource", required_argument, NULL, 'R'},
    {"part", required_argument, NULL, 'P'},
    {"class", required_argument, NULL, 'c'},
    {"tag", required_argument, NULL, 't'},
    {"network", required_argument, NULL, 'n'},
    {"approved-by", required_argument, NULL, 'a'},
    {"auth-age", required_argument, NULL, 'g'},
    {"at", required_argument, NULL, 'w'},
    {"max", required_argument, NULL, 'x'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const struct {
    char letter;
    const char *argument;
    const char *meaning;
} MEANINGS[] = {
    {'j', "", "print JSON"},
    {'d', "FILE",
     "numbers that the office gave to roles and people (JSON); people not in it are "
     "unknown"},
    {'r', "ROLE", "a role that is held; may be given several times"},
    {'p', "NAME", "somebody by name"},
    {'o', "OWNER", "of the device: unknown (default), personal, company"},
    {'s', "POSTURE", "of the device: unknown, unhealthy, healthy (default on a known device)"},
    {'m', "STRENGTH", "of the sign-in: none, password, totp, passkey (default)"},
    {'R', "NAME", "a resource"},
    {'P', "PART", "a part of it, by name or path"},
    {'c', "CLASS", "data of this class in no resource in particular"},
    {'t', "TAG", "with this tag; may be given several times"},
    {'n', "ADDRESS", "of the client; without it networks of grants are taken as met"},
    {'a', "N", "so many other people approved"},
    {'g', "AGE", "of the sign-in: 10m"},
    {'w', "TIME",
     "the moment, 2026-02-23T18:56:00+08:00; without it hours of grants are taken as "
     "met"},
    {'x', "N", "list at most so many cells"},
    {'h', "", "this page"},
};

static int usage_error(const char *text, const char *word)
{
    fprintf(stderr, "sallyport policy: %s '%s'. sallyport policy --help tells more.\n", text, word);
    return SP_EXIT_USAGE;
}

/* ---- subcommands ---- */

static int exit_of(sp_err err)
{
    return err.code == SP_EINVALID || err.code == SP_ENOTFOUND || err.code == SP_ELIMIT
               ? SP_EXIT_INVALID
               : SP_EXIT_FAILED;
}

static int load_or_tell(const char *path, const options *o, policy_office *office)
{
    sp_err err = policy_office_load(path, o->directory, office);
    if (!sp_failed(err)) {
        return SP_EXIT_OK;
    }
    if (o->json) {
        auto_buf sp_buf out = sp_buf_make(POLICY_OUTPUT_MAX_BYTES);
        sp_buf_text(&out, "{\"ok\":false,\"diagnostics\":");
        policy_diags_json(&office->diags, &out);
        sp_buf_text(&out, "}\n");
        policy_print(&out);
    } else {
        policy_print_diags(&office->diags);
        fprintf(stderr, "%s: not valid (%s)\n", path, sp_code_word(err.code));
    }
    return exit_of(err);
}

static void print_figures(const policy_office *office, const char *path, bool json)
{
    sp_policy_figures f = sp_policy_set_figures(office->set);
    const sp_policy *view = sp_policy_set_view(office->set);
    auto_buf sp_buf out = sp_buf_make(POLICY_OUTPUT_MAX_BYTES);
    if (json) {
        sp_buf_fmt(&out,
                   "{\"ok\":true,\"rules\":%zu,\"nevers\":%zu,\"examples\":%zu,\"roles\":%zu,"
                   "\"classes\":%zu,\"resources\":%zu,\"parts\":%zu,\"cells\":%llu,"
                   "\"proof_steps\":%llu,\"digest\":\"",
                   f.rules, f.nevers, f.examples, f.roles, f.classes, f.resources, f.parts,
                   (unsigned long long)f.cells, (unsigned long long)f.proof_steps);
        sp_buf_hex(&out, sp_span_of(sp_policy_digest(view), 32));
        sp_buf_text(&out, "\",\"diagnostics\":");
        policy_diags_json(&office->diags, &out);
        sp_buf_text(&out, "}\n");
    } else {
        policy_print_diags(&office->diags);
        sp_buf_fmt(&out,
                   "%s: valid. %zu rules, %zu resources with %zu parts, %zu roles\n"
                   "%zu nevers proven over %llu cells\n%zu examples answered as expected\ndigest ",
                   path, f.rules, f.resources, f.parts, f.roles, f.nevers,
                   (unsigned long long)f.cells, f.examples);
        sp_buf_hex(&out, sp_span_of(sp_policy_digest(view), 32));
        sp_buf_byte(&out, '\n');
    }
    policy_print(&out);
}

static int run_test(options *o)
{
    auto_office policy_office office = {0};
    int status = load_or_tell(o->words[0], o, &office);
    if (status == SP_EXIT_OK) {
        print_figures(&office, o->words[0], o->json);
    }
    return status;
}

static int run_explain(options *o)
{
    auto_office policy_office office = {0};
    int status = load_or_tell(o->words[0], o, &office);
    if (status != SP_EXIT_OK) {
        return status;
    }
    sp_policy_told told;
    auto_diags sp_diags diags = {0};
    auto_buf sp_buf out = sp_buf_make(POLICY_OUTPUT_MAX_BYTES);
    o->ask.tried = sp_span_cstr(o->words[1]);
    sp_err err = sp_policy_ask_words(office.set, &o->ask, &diags, &told);
    if (sp_failed(err)) {
        policy_print_diags(&diags);
        return exit_of(err);
    }
    if (o->json) {
        sp_policy_explain_json(office.set, &o->ask, &told, &out);
    } else {
        sp_policy_explain_text(office.set, &o->ask, &told, &out);
    }
    sp_buf_byte(&out, '\n');
    policy_print(&out);
    return SP_EXIT_OK;
}

static int run_matrix(options *o)
{
    auto_office policy_office office = {0};
    int status = load_or_tell(o->words[0], o, &office);
    if (status != SP_EXIT_OK) {
        return status;
    }
    if (o->ask.roles_count > 1) {
        return usage_error("a matrix is of one role, not also of", (const char *)o->roles[1].ptr);
    }
    sp_policy_matrix_query query = {.role = o->roles[0],
                                    .strength = o->ask.strength,
                                    .posture = o->ask.posture,
                                    .resource = o->ask.resource};
    auto_diags sp_diags diags = {0};
    auto_buf sp_buf out = sp_buf_make(POLICY_OUTPUT_MAX_BYTES);
    sp_err err = o->json ? sp_policy_matrix_json(office.set, &query, &diags, &out)
                         : sp_policy_matrix_text(office.set, &query, &diags, &out);
    policy_print_diags(&diags);
    policy_print(&out);
    return sp_failed(err) ? exit_of(err) : SP_EXIT_OK;
}

static int run_diff(options *o)
{
    auto_office policy_office before = {0};
    auto_office policy_office after = {0};
    int status = load_or_tell(o->words[0], o, &before);
    if (status == SP_EXIT_OK) {
        status = load_or_tell(o->words[1], o, &after);
    }
    if (status != SP_EXIT_OK) {
        return status;
    }
    auto_buf sp_buf out = sp_buf_make(POLICY_OUTPUT_MAX_BYTES);
    sp_err err = o->json ? sp_policy_diff_json(before.set, after.set, o->max_cells, &out)
                         : sp_policy_diff_text(before.set, after.set, o->max_cells, &out);
    sp_buf_text(&out, o->json ? "\n" : "");
    policy_print(&out);
    return sp_failed(err) ? exit_of(err) : SP_EXIT_OK;
}

static int run_replay(options *o)
{
    auto_office policy_office office = {0};
    int status = load_or_tell(o->words[0], o, &office);
    return status == SP_EXIT_OK ? policy_replay(&office, o->words[1], o->json) : status;
}

static int run_reference(options *o)
{
    (void)o;
    auto_buf sp_buf out = sp_buf_make(POLICY_OUTPUT_MAX_BYTES);
    sp_policy_reference(&out);
    policy_print(&out);
    return SP_EXIT_OK;
}

static const subcommand SUBCOMMANDS[] = {
    {"check", "FOLDER", "reads, proves and runs the examples; says what is wrong and where", "jd",
     1, 1, run_test},
    {"test", "FOLDER", "the same", "jd", 1, 1, run_test},
    {"explain", "FOLDER ACTION|'METHOD /path'", "who may do what, why, and what would help",
     "jdrposmRPctnagw", 2, 2, run_explain},
    {"matrix", "FOLDER", "class x action x device for a role", "jdrsmR", 1, 1, run_matrix},
    {"diff", "OLD-FOLDER NEW-FOLDER", "documents and cells that change", "jdx", 2, 2, run_diff},
    {"replay", "FOLDER [FILE]",
     "decisions of the ledger (JSON lines; standard input) that these documents would change", "jd",
     1, 2, run_replay},
    {"reference", "", "the reference of all documents, in Markdown", "", 0, 0, run_reference},
};

/* ---- the command line ---- */

static void print_options(FILE *to, const char *takes)
{
    for (size_t i = 0; i < SP_COUNT(MEANINGS); i++) {
        bool taken = MEANINGS[i].letter == 'h';
        for (const char *t = takes; *t != '\0' && !taken; t++) {
            taken = *t == MEANINGS[i].letter;
        }
        for (const struct option *o = OPTIONS; o->name != NULL && taken; o++) {
            if (o->val == MEANINGS[i].letter) {
                char left[40];
                snprintf(left, sizeof(left), "--%s %s", o->name, MEANINGS[i].argument);
                fprintf(to, "  %-22s %s\n", left, MEANINGS[i].meaning);
            }
        }
    }
}

static void print_help(FILE *to, const subcommand *only)
{
    if (only != NULL) {
        fprintf(to, "usage: sallyport policy %s %s [OPTIONS]\n\n%s\n\n", only->word,
                only->arguments, only->summary);
        print_options(to, only->takes);
        return;
    }
    fprintf(to,
            "usage: sallyport policy COMMAND ...\n\n"
            "Works on a folder of documents; needs no office that runs and changes nothing.\n\n");
    for (size_t i = 0; i < SP_COUNT(SUBCOMMANDS); i++) {
        fprintf(to, "  %-10s %-30s %s\n", SUBCOMMANDS[i].word, SUBCOMMANDS[i].arguments,
                SUBCOMMANDS[i].summary);
    }
    fprintf(to, "\nOptions:\n");
    print_options(to, "jdrposmRPctnagwx");
    fprintf(to, "\nExit status: 0 well, 2 wrong usage, 4 the documents or the question are wrong.\n"
                "The documents: docs/POLICY.md.\n");
}

static int wrong_value(const char *what, const char *value)
{
    fprintf(stderr, "sallyport policy: %s does not take '%s'\n", what, value);
    return SP_EXIT_USAGE;
}

static int take_name(sp_span *names, size_t *count, const char *value)
{
    if (*count == POLICY_ROLES_MAX) {
        return wrong_value("a list of more than 32", value);
    }
    names[(*count)++] = sp_span_cstr(value);
    return SP_EXIT_OK;
}

static int take_number(options *o, int letter, const char *value)
{
    uint64_t number = 0;
    sp_span text = sp_span_cstr(value);
    sp_err err = sp_ok();
    if (letter == 'g') {
        err = sp_policy_parse_duration(text, &number);
        o->ask.auth_age_s = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
    } else if (letter == 'w') {
        err = sp_policy_parse_time(text, &o->ask.now_unix_s);
    } else {
        err = sp_span_to_u64(text, UINT32_MAX, &number);
        o->max_cells = letter == 'x' ? number : o->max_cells;
        o->ask.approvals = letter == 'a' ? (uint32_t)number : o->ask.approvals;
    }
    return sp_failed(err) ? wrong_value("this option", value) : SP_EXIT_OK;
}

static int take_option(options *o, int letter, const char *value)
{
    static const struct {
        int letter;
        size_t offset;
    } TEXTS[] = {
        {'p', offsetof(sp_policy_ask, person)},     {'o', offsetof(sp_policy_ask, owner)},
        {'s', offsetof(sp_policy_ask, posture)},    {'m', offsetof(sp_policy_ask, strength)},
        {'R', offsetof(sp_policy_ask, resource)},   {'P', offsetof(sp_policy_ask, part)},
        {'c', offsetof(sp_policy_ask, class_name)}, {'n', offsetof(sp_policy_ask, network)}};
    for (size_t i = 0; i < SP_COUNT(TEXTS); i++) {
        if (TEXTS[i].letter == letter) {
            *(sp_span *)(void *)((uint8_t *)&o->ask + TEXTS[i].offset) = sp_span_cstr(value);
            return SP_EXIT_OK;
        }
    }
    if (letter == 'j') {
        o->json = true;
        return SP_EXIT_OK;
    }
    if (letter == 'd') {
        o->directory = value;
        return SP_EXIT_OK;
    }
    if (letter == 'r') {
        return take_name(o->roles, &o->ask.roles_count, value);
    }
    return letter == 't' ? take_name(o->tags, &o->ask.tags_count, value)
                         : take_number(o, letter, value);
}

static bool takes(const subcommand *command, int letter)
{
    for (const char *t = command->takes; *t != '\0'; t++) {
        if (*t == letter) {
            return true;
        }
    }
    return false;
}

/* -1: go on; else the exit status. */
static int read_options(const subcommand *command, int argc, char **argv, options *o)
{
    int letter = 0;
    optind = 1;
    while ((letter = getopt_long(argc, argv, "h", OPTIONS, NULL)) != -1) {
        if (letter == 'h') {
            print_help(stdout, command);
            return SP_EXIT_OK;
        }
        if (letter == '?') {
            return SP_EXIT_USAGE; /* getopt has told */
        }
        if (!takes(command, letter)) {
            return usage_error("an option that is not taken by", command->word);
        }
        int status = take_option(o, letter, optarg);
        if (status != SP_EXIT_OK) {
            return status;
        }
    }
    while (optind < argc && o->words_count < SP_COUNT(o->words)) {
        o->words[o->words_count++] = argv[optind++];
    }
    if (o->words_count < command->least || o->words_count > command->most) {
        print_help(stderr, command);
        return SP_EXIT_USAGE;
    }
    return -1;
}

int sp_policy_command(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr, NULL);
        return SP_EXIT_USAGE;
    }
    sp_span word = sp_span_cstr(argv[1]);
    if (sp_span_eq(word, SP_SPAN_LIT("--help")) || sp_span_eq(word, SP_SPAN_LIT("-h"))) {
        print_help(stdout, NULL);
        return SP_EXIT_OK;
    }
    for (size_t i = 0; i < SP_COUNT(SUBCOMMANDS); i++) {
        if (sp_span_eq(word, sp_span_cstr(SUBCOMMANDS[i].word))) {
            options o = {.max_cells = CELLS_SHOWN, .words = {NULL, "-", NULL}};
            o.ask.roles = o.roles;
            o.ask.tags = o.tags;
            int status = read_options(&SUBCOMMANDS[i], argc - 1, argv + 1, &o);
            return status >= 0 ? status : SUBCOMMANDS[i].run(&o);
        }
    }
    return usage_error("there is no command", argv[1]);
}
