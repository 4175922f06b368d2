/* SPDX-License-Identifier: Apache-2.0
 * sallyport ledger: its words and options.
 * OWNS nothing. PROCESS command line. TRUST argv comes from the person at the keyboard.
 * SPEC docs/man/sallyport.1.
 */
#include "ledger/command.h"

#include "infra/crypto/random.h"
#include "infra/ipc/conn.h"
#include "infra/proc/entry.h"

#include <stdio.h>
#include <string.h>

enum { CALL_MS = 20000 };

static const char USAGE[] =
    "usage: sallyport ledger COMMAND [-c FILE] [OPTIONS]\n"
    "\n"
    "  verify [DIRECTORY] [--key KEY]   check everything that stands on the disk; nothing is "
    "changed\n"
    "  search [FILTERS]                 events, newest first, one JSON object a line\n"
    "  tail [-f] [FILTERS]              the newest events; -f goes on as they are recorded\n"
    "  entry NUMBER                     one entry as it was recorded\n"
    "  proof NUMBER                     proof that the entry is under the signed checkpoint\n"
    "  export DIRECTORY [--from N] [--until N] [FILTERS]\n"
    "                                   a pack that sallyport-verify checks offline; FILTERS "
    "choose\n"
    "                                   whose entries may be opened with it\n"
    "  erase (--entry N | --person NAME) --reason TEXT\n"
    "                                   signed in as an audit administrator: erase --help\n"
    "  witness --name NAME --secret FILE --last FILE\n"
    "                                   cosign the checkpoint if it grows out of the last one "
    "seen\n"
    "\n"
    "FILTERS  --person NUMBER  --session HEX  --reference WORD  --kind KIND  --verdict VERDICT\n"
    "         --gate GATE  --resource NAME  --text TEXT  --since UNIX_SECONDS  --before "
    "UNIX_SECONDS  --limit "
    "N\n"
    "\n"
    "Reading on the host is itself written in the ledger. FILE: /etc/sallyport/sallyport.yaml\n";

static bool number(const char *text, uint64_t max, uint64_t *ret_value)
{
    return !sp_failed(sp_span_to_u64(sp_span_cstr(text), max, ret_value));
}

static bool hex64(const char *text, uint64_t *ret_value)
{
    auto_buf sp_buf bytes = sp_buf_make(sizeof(*ret_value));
    if (sp_failed(sp_buf_unhex(&bytes, sp_span_cstr(text))) || bytes.len != sizeof(*ret_value)) {
        return false;
    }
    sp_reader in = sp_reader_of(sp_buf_borrow(&bytes));
    *ret_value = sp_read_u64(&in);
    return true;
}

static bool kind_of(const char *word, uint32_t *bits)
{
    for (unsigned kind = 0; kind < SP_EVENT_KIND_COUNT; kind++) {
        if (strcmp(word, sp_event_kind_word((sp_event_kind)kind)) == 0) {
            *bits |= UINT32_C(1) << kind;
            return true;
        }
    }
    return false;
}

static bool verdict_of(const char *word, uint8_t *bits)
{
    for (unsigned verdict = 0; verdict < SP_VERDICT_COUNT; verdict++) {
        if (strcmp(word, sp_verdict_word((sp_verdict)verdict)) == 0) {
            *bits = (uint8_t)(*bits | 1U << verdict);
            return true;
        }
    }
    return false;
}

static bool gate_of(const char *word, uint8_t *bits)
{
    for (unsigned gate = 0; gate < SP_GATE_COUNT; gate++) {
        if (strcmp(word, sp_gate_word((sp_gate)gate)) == 0) {
            *bits = (uint8_t)(*bits | 1U << gate);
            return true;
        }
    }
    return false;
}

static bool seconds(const char *text, uint64_t *ret_unix_us)
{
    uint64_t s = 0;
    bool good = number(text, UINT64_C(1) << 40, &s);
    *ret_unix_us = s * 1000000;
    return good;
}

/* ---- filters: each takes its value into a search, false when the value is wrong ---- */

static bool take_person(sp_ledger_search *search, const char *value)
{
    uint64_t n = 0;
    bool good = number(value, UINT32_MAX, &n);
    search->person = (uint32_t)n;
    return good;
}

static bool take_session(sp_ledger_search *search, const char *value)
{
    return hex64(value, &search->session);
}

static bool take_reference(sp_ledger_search *search, const char *value)
{
    return !sp_failed(sp_reference_of(sp_span_cstr(value), &search->reference));
}

static bool take_kind(sp_ledger_search *search, const char *value)
{
    return kind_of(value, &search->kinds);
}

static bool take_verdict(sp_ledger_search *search, const char *value)
{
    return verdict_of(value, &search->verdicts);
}

static bool take_gate(sp_ledger_search *search, const char *value)
{
    return gate_of(value, &search->gates);
}

static bool take_since(sp_ledger_search *search, const char *value)
{
    return seconds(value, &search->from_unix_us);
}

static bool take_before(sp_ledger_search *search, const char *value)
{
    return seconds(value, &search->to_unix_us);
}

static bool take_resource(sp_ledger_search *search, const char *value)
{
    search->resource = sp_span_cstr(value);
    return search->resource.len <= SP_NAME_MAX_BYTES;
}

static bool take_text(sp_ledger_search *search, const char *value)
{
    search->text = sp_span_cstr(value);
    return search->text.len <= SP_LEDGER_TEXT_MAX_BYTES;
}

/* One option with its value; false when it is none or the value is wrong. */
static bool filter(sp_ledger_search *search, const char *option, const char *value)
{
    static const struct {
        const char *name;
        bool (*take)(sp_ledger_search *search, const char *value);
    } filters[] = {{"--person", take_person},       {"--session", take_session},
                   {"--reference", take_reference}, {"--kind", take_kind},
                   {"--verdict", take_verdict},     {"--since", take_since},
                   {"--before", take_before},       {"--resource", take_resource},
                   {"--text", take_text},           {"--gate", take_gate}};
    for (size_t i = 0; i < SP_COUNT(filters); i++) {
        if (strcmp(option, filters[i].name) == 0) {
            return filters[i].take(search, value);
        }
    }
    return false;
}

static bool option(sp_ledger_args *args, const char *name, const char *value)
{
    static const struct {
        const char *name;
        size_t at;
    } texts[] = {{"-c", offsetof(sp_ledger_args, config_file)},
                 {"--key", offsetof(sp_ledger_args, key)},
                 {"--secret", offsetof(sp_ledger_args, secret)},
                 {"--last", offsetof(sp_ledger_args, last)},
                 {"--name", offsetof(sp_ledger_args, name)}};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        if (strcmp(name, texts[i].name) == 0) {
            sp_copy((uint8_t *)args + texts[i].at, &value, sizeof(value));
            return true;
        }
    }
    if (strcmp(name, "--from") == 0) {
        return number(value, UINT64_MAX, &args->from_entry);
    }
    if (strcmp(name, "--until") == 0) {
        return number(value, UINT64_MAX, &args->until_entry);
    }
    if (strcmp(name, "--limit") == 0) {
        return number(value, UINT64_MAX, &args->limit) && args->limit > 0;
    }
    return filter(&args->search, name, value);
}

static bool parse(int argc, char **argv, sp_ledger_args *args)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "-f") == 0) {
            args->follow = true;
        } else if (argv[i][0] == '-') {
            if (i + 1 >= argc || !option(args, argv[i], argv[i + 1])) {
                fprintf(stderr, "sallyport ledger: %s needs another value, or is no option\n",
                        argv[i]);
                return false;
            }
            i++;
        } else if (!args->has_entry && number(argv[i], UINT64_MAX, &args->entry)) {
            args->has_entry = true;
        } else if (args->directory == NULL) {
            args->directory = argv[i];
        } else {
            return false;
        }
    }
    return true;
}

sp_err sp_ledger_connect(const sp_ledger_args *args, sp_config **ret_config, int *ret_fd)
{
    auto_diags sp_diags diags = {0};
    auto_free char *path = NULL;
    sp_err err = sp_config_load(args->config_file, &diags, ret_config);
    if (sp_failed(err)) {
        auto_buf sp_buf text = sp_buf_make(64 * 1024);
        sp_diags_print(&diags, &text);
        fprintf(stderr, "%.*s", SP_SPAN_ARG(sp_buf_borrow(&text)));
        return err;
    }
    TRY(sp_config_socket(*ret_config, "ledger", &path));
    err = sp_ipc_connect(path, ret_fd);
    if (sp_failed(err)) {
        fprintf(stderr, "the ledger does not answer at %s: is the office running?\n", path);
    }
    return err;
}

sp_err sp_ledger_ask(int fd, uint16_t kind, sp_span body, sp_buf *reply)
{
    sp_err err = sp_ipc_call(fd, kind, body, CALL_MS, reply, NULL);
    if (err.code == SP_EDENIED) {
        fprintf(stderr, "the ledger refuses: only root on the host may ask here\n");
    } else if (sp_failed(err)) {
        fprintf(stderr, "the ledger answers: %s\n", sp_code_word(err.code));
    }
    return err;
}

sp_err sp_ledger_directory(const sp_ledger_args *args, char **ret_path)
{
    auto_diags sp_diags diags = {0};
    sp_config *config = NULL;
    if (args->directory != NULL) {
        return sp_strdup(sp_span_cstr(args->directory), ret_path);
    }
    sp_err err = sp_config_load(args->config_file, &diags, &config);
    if (sp_failed(err)) {
        auto_buf sp_buf text = sp_buf_make(64 * 1024);
        sp_diags_print(&diags, &text);
        fprintf(stderr, "%.*s", SP_SPAN_ARG(sp_buf_borrow(&text)));
        return err;
    }
    err = sp_config_state(config, SP_ROLE_LEDGER, "", ret_path);
    sp_config_free(config);
    return err;
}

int sp_ledger_command(int argc, char **argv)
{
    static const struct {
        const char *word;
        int (*run)(const sp_ledger_args *args);
        bool needs_entry;
        bool needs_directory;
        bool takes_directory;
    } commands[] = {{"verify", sp_ledger_cmd_verify, false, false, true},
                    {"search", sp_ledger_cmd_search, false, false, false},
                    {"tail", sp_ledger_cmd_tail, false, false, false},
                    {"entry", sp_ledger_cmd_entry, true, false, false},
                    {"proof", sp_ledger_cmd_proof, true, false, false},
                    {"export", sp_ledger_cmd_export, false, true, true},
                    {"witness", sp_ledger_cmd_witness, false, false, false}};
    sp_ledger_args args = {.config_file = "/etc/sallyport/sallyport.yaml",
                           .until_entry = UINT64_MAX,
                           .search = {.before_entry = UINT64_MAX,
                                      .reader = {.purpose = SP_SPAN_LIT("on the command line")}}};
    if (argc >= 2 && strcmp(argv[argc - 1], "--help") == 0) {
        fputs(USAGE, stdout);
        return 0;
    }
    if (argc < 2 || !parse(argc - 2, argv + 2, &args) || sp_failed(sp_crypto_start())) {
        fputs(USAGE, stderr);
        return SP_LEDGER_EXIT_USAGE;
    }
    for (size_t i = 0; i < SP_COUNT(commands); i++) {
        bool complete = (!commands[i].needs_entry || args.has_entry) &&
                        (!commands[i].needs_directory || args.directory != NULL) &&
                        (commands[i].takes_directory || args.directory == NULL) &&
                        (commands[i].needs_entry || !args.has_entry);
        if (strcmp(argv[1], commands[i].word) == 0 && complete) {
            return commands[i].run(&args);
        }
    }
    fputs(USAGE, stderr);
    return SP_LEDGER_EXIT_USAGE;
}
