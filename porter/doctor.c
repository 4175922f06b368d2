/* SPDX-License-Identifier: Apache-2.0
 * `sallyport doctor`: looks at the office from all sides and says what it finds, to people or as
 * JSON. Changes nothing.
 * OWNS its findings. PROCESS cli, best as root. TRUST see doctor.h. SPEC docs/man/sallyport.1.
 */
#include "porter/doctor.h"

#include "infra/proc/entry.h"
#include "infra/proc/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { EXIT_SICK = 1, EXIT_USAGE = 2, EXIT_INVALID = 4, OUT_MAX_BYTES = 512 * 1024 };

static const char default_file[] = "/etc/sallyport/sallyport.yaml";
static const char *const level_words[DOCTOR_LEVEL_COUNT] = {"ok", "warning", "bad"};

void doctor_say(doctor *d, doctor_level level, const char *area, const char *hint,
                const char *format, ...)
{
    if (d->count == DOCTOR_FINDINGS_MAX) {
        return;
    }
    doctor_finding *finding = &d->findings[d->count++];
    finding->level = level;
    finding->area = area;
    va_list args;
    va_start(args, format);
    vsnprintf(finding->text, sizeof(finding->text), format, args);
    va_end(args);
    snprintf(finding->hint, sizeof(finding->hint), "%s", hint != NULL ? hint : "");
}

/* ---- printing ---- */

static void put_plain(sp_buf *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        sp_buf_byte(out, (unsigned char)*p < 0x20 || *p == 0x7f ? '?' : (uint8_t)*p);
    }
}

static void print_people(const doctor *d, sp_buf *out)
{
    static const char *const plain[DOCTOR_LEVEL_COUNT] = {"  ok    ", "  warn  ", "  BAD   "};
    static const char *const coloured[DOCTOR_LEVEL_COUNT] = {
        "  \033[32mok\033[0m    ", "  \033[33mwarn\033[0m  ", "  \033[1;31mBAD\033[0m   "};
    const char *const *marks = isatty(STDOUT_FILENO) ? coloured : plain;
    const char *area = "";
    for (size_t i = 0; i < d->count; i++) {
        const doctor_finding *finding = &d->findings[i];
        if (finding->area != area) {
            area = finding->area;
            sp_buf_fmt(out, "%s%s\n", i > 0 ? "\n" : "", area);
        }
        sp_buf_text(out, marks[finding->level]);
        put_plain(out, finding->text);
        sp_buf_byte(out, '\n');
        if (finding->hint[0] != '\0' && finding->level != DOCTOR_GOOD) {
            sp_buf_text(out, "        -> ");
            put_plain(out, finding->hint);
            sp_buf_byte(out, '\n');
        }
    }
}

static size_t count_of(const doctor *d, doctor_level level)
{
    size_t count = 0;
    for (size_t i = 0; i < d->count; i++) {
        count += d->findings[i].level == level ? 1 : 0;
    }
    return count;
}

static void print_json(const doctor *d, sp_buf *out)
{
    sp_buf_fmt(out, "{\"ok\":%s,\"running\":%s,\"findings\":[",
               count_of(d, DOCTOR_BAD) == 0 ? "true" : "false", d->running ? "true" : "false");
    for (size_t i = 0; i < d->count; i++) {
        const doctor_finding *finding = &d->findings[i];
        sp_buf_fmt(out, "%s{\"area\":\"%s\",\"level\":\"%s\",\"text\":", i > 0 ? "," : "",
                   finding->area, level_words[finding->level]);
        sp_buf_json(out, sp_span_cstr(finding->text));
        sp_buf_text(out, ",\"hint\":");
        sp_buf_json(out, sp_span_cstr(finding->hint));
        sp_buf_byte(out, '}');
    }
    sp_buf_text(out, "]}\n");
}

static int print(const doctor *d, bool json)
{
    auto_buf sp_buf out = sp_buf_make(OUT_MAX_BYTES);
    if (json) {
        print_json(d, &out);
    } else {
        print_people(d, &out);
        sp_buf_fmt(&out, "\n%zu checked: %zu good, %zu to be looked at, %zu bad\n", d->count,
                   count_of(d, DOCTOR_GOOD), count_of(d, DOCTOR_WARN), count_of(d, DOCTOR_BAD));
    }
    printf("%.*s", SP_SPAN_ARG(sp_buf_borrow(&out)));
    return count_of(d, DOCTOR_BAD) == 0 ? EXIT_SUCCESS : EXIT_SICK;
}

/* ---- the command ---- */

static void look(doctor *d)
{
    doctor_porter(d);
    doctor_roles(d);
    doctor_users(d);
    doctor_directories(d);
    doctor_commands(d);
    doctor_ports(d);
    doctor_vault(d);
    doctor_ledger(d);
    doctor_disk(d);
    doctor_clock(d);
}

static int examine(const char *file, bool json)
{
    auto_diags sp_diags diags = {0};
    sp_config *config = NULL;
    sp_err err = sp_config_load(file, &diags, &config);
    if (sp_failed(err)) {
        auto_buf sp_buf text = sp_buf_make((size_t)SP_DIAGS_MAX * 1024);
        sp_diags_print(&diags, &text);
        fprintf(stderr, "%.*s", SP_SPAN_ARG(sp_buf_borrow(&text)));
        return EXIT_INVALID;
    }
    doctor d = {.config = config};
    err = sp_alloc(DOCTOR_FINDINGS_MAX, sizeof(doctor_finding), &d.findings);
    int status = EXIT_FAILURE;
    if (!sp_failed(err)) {
        look(&d);
        status = print(&d, json);
    }
    sp_free(d.findings);
    sp_config_free(config);
    return status;
}

static int usage(FILE *to, int status)
{
    fprintf(to,
            "usage: sallyport doctor [-c FILE] [--json]\n\n"
            "Checks this machine and the running roles, and changes nothing. As root it sees all.\n"
            "  -c FILE   the bootstrap file (default %s)\n"
            "  --json    for programs\n\n"
            "Exit status: 0 nothing is bad, 1 something is, 4 the bootstrap file is wrong.\n",
            default_file);
    return status;
}

int sp_doctor_command(int argc, char **argv)
{
    const char *file = default_file;
    bool json = false;
    for (int i = 1; i < argc; i++) {
        sp_span word = sp_span_cstr(argv[i]);
        if (sp_span_eq(word, SP_SPAN_LIT("--help"))) {
            return usage(stdout, EXIT_SUCCESS);
        }
        if (sp_span_eq(word, SP_SPAN_LIT("--json"))) {
            json = true;
        } else if (sp_span_eq(word, SP_SPAN_LIT("-c")) && i + 1 < argc) {
            file = argv[++i];
        } else {
            return usage(stderr, EXIT_USAGE);
        }
    }
    sp_log_start("doctor", SP_LOG_WARN);
    return examine(file, json);
}
