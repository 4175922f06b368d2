/* SPDX-License-Identifier: Apache-2.0
 * Makes this computer a device of a demo account: a one-time code from the portal, the agent's
 * enrolment, an approval (by a person in the console, or by ourselves as sam), the browser's store.
 * OWNS the agent's process. PROCESS sallyport-demo. TRUST none. SPEC docs/man/sallyport-agent.1.
 */
#include "demo/demo.h"
#include "infra/proc/file.h"
#include "lib/base/sha256.h"

#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PENDING_TRIES = 100, HEX_BYTES = 65 };

/* SHA-256 of the office's CA certificate, as the portal shows it too. */
static sp_err ca_digest(const demo *d, char hex[HEX_BYTES])
{
    char path[DEMO_PATH_BYTES];
    demo_path(d, "ca.pem", path);
    FILE *file = fopen(path, "re");
    X509 *ca = file != NULL ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    unsigned char *der = NULL;
    int len = ca != NULL ? i2d_X509(ca, &der) : -1;
    auto_buf sp_buf text = sp_buf_make(HEX_BYTES - 1);
    if (len > 0) {
        sp_hash hash = sp_sha256(sp_span_of(der, (size_t)len));
        sp_buf_hex(&text, sp_hash_borrow(&hash));
    }
    OPENSSL_free(der);
    X509_free(ca);
    if (file != NULL) {
        fclose(file);
    }
    return sp_fit(hex, HEX_BYTES, sp_buf_borrow(&text));
}

static int run_agent(const demo *d, const char *const argv[], int input)
{
    char program[DEMO_PATH_BYTES];
    demo_path(d, "program/bin/sallyport", program);
    pid_t pid = fork();
    if (pid == 0) {
        if (input >= 0) {
            dup2(input, STDIN_FILENO);
        }
        execv(program, (char *const *)(uintptr_t)argv);
        _exit(EXIT_FAILURE);
    }
    return pid;
}

static int wait_agent(pid_t pid)
{
    int status = 0;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                           : EXIT_FAILURE;
}

static pid_t start_enrolment(const demo *d, const char *device, const char *code)
{
    char url[128];
    char hex[HEX_BYTES];
    int pipes[2];
    if (sp_failed(ca_digest(d, hex)) || pipe(pipes) != 0) {
        return -1;
    }
    snprintf(url, sizeof(url), "https://portal." DEMO_DOMAIN ":%u", d->port);
    const char *const argv[] = {"sallyport",   "agent", "enroll", url,    "--ca-sha256", hex,
                                "--code-file", "-",     "--name", device, NULL};
    bool written = !sp_failed(sp_write_all(pipes[1], sp_span_cstr(code))) &&
                   !sp_failed(sp_write_all(pipes[1], SP_SPAN_LIT("\n")));
    close(pipes[1]);
    pid_t pid = written ? run_agent(d, argv, pipes[0]) : -1;
    close(pipes[0]);
    return pid;
}

enum { TIME_BYTES = 24 };

/* Now, as the API writes times. */
static void time_now(char text[TIME_BYTES])
{
    struct tm parts;
    time_t now = time(NULL);
    if (gmtime_r(&now, &parts) == NULL ||
        strftime(text, TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        text[0] = '\0';
    }
}

/* The id of the pending device of that name made since then: enrolments broken off before leave
 * theirs. */
static bool find_pending(demo_person *sam, const char *device, const char *since,
                         char id[DEMO_TEXT_BYTES])
{
    json_t *page = demo_call(sam, "GET", "/admin/devices?state=pending", NULL);
    const json_t *items = json_object_get(page, "items");
    bool found = false;
    for (size_t i = 0; i < json_array_size(items) && !found; i++) {
        const json_t *one = json_array_get(items, i);
        sp_span name = sp_span_cstr(json_string_value(json_object_get(one, "name")));
        const char *text = json_string_value(json_object_get(one, "id"));
        const char *made = json_string_value(json_object_get(one, "created_at"));
        found = text != NULL && made != NULL && strcmp(made, since) >= 0 &&
                sp_span_eq(name, sp_span_cstr(device)) &&
                !sp_failed(sp_fit(id, DEMO_TEXT_BYTES, sp_span_cstr(text)));
    }
    json_decref(page);
    return found;
}

static json_t *approve(demo_person *sam, const char *id, const char *owner)
{
    char path[256];
    snprintf(path, sizeof(path), "/admin/devices/%s/approve", id);
    return demo_call(sam, "POST", path, json_pack("{s:s}", "owner", owner));
}

static sp_err approve_pending(demo_person *sam, const char *device, const char *since,
                              const char *owner)
{
    char id[DEMO_TEXT_BYTES] = "";
    for (int i = 0; i < PENDING_TRIES && !find_pending(sam, device, since, id); i++) {
        usleep(200 * 1000);
    }
    json_t *done = approve(sam, id, owner);
    if (done == NULL && sp_span_eq(sp_span_cstr(sam->code), SP_SPAN_LIT("step_up_required")) &&
        !sp_failed(demo_step_up(sam))) {
        done = approve(sam, id, owner);
    }
    if (done == NULL) {
        demo_say("sam could not approve it: %s", sam->words);
        return sp_fail(SP_EDENIED);
    }
    json_decref(done);
    return sp_ok();
}

static sp_err approve_as_sam(const demo *d, const char *device, const char *since)
{
    demo_person sam;
    TRY(demo_person_init(d, &sam));
    sp_err err = demo_account_sign_in(d, "sam", &sam);
    if (!sp_failed(err)) {
        err = approve_pending(&sam, device, since, "company");
    }
    demo_person_done(&sam);
    return err;
}

static sp_err new_code(demo_person *person, char code[DEMO_TEXT_BYTES])
{
    json_t *made = demo_call(person, "POST", "/me/devices/enrol-code", json_object());
    const char *text = json_string_value(json_object_get(made, "code"));
    sp_err err =
        text == NULL ? sp_fail(SP_EDENIED) : sp_fit(code, DEMO_TEXT_BYTES, sp_span_cstr(text));
    if (sp_failed(err)) {
        demo_say("no code to enrol with: %s", person->words);
    }
    json_decref(made);
    return err;
}

sp_err demo_enrol_for(const demo *d, demo_person *person, demo_person *sam, const char *device,
                      const char *owner)
{
    char code[DEMO_TEXT_BYTES];
    TRY(new_code(person, code));
    char since[TIME_BYTES];
    time_now(since);
    pid_t agent = start_enrolment(d, device, code);
    sp_err err = approve_pending(sam, device, since, owner);
    if (sp_failed(err)) {
        demo_end(agent, 2);
        return err;
    }
    return wait_agent(agent) == EXIT_SUCCESS ? sp_ok() : sp_fail(SP_EIO);
}

static sp_err code_of(const demo *d, const char *name, char code[DEMO_TEXT_BYTES])
{
    demo_person person;
    TRY(demo_person_init(d, &person));
    sp_err err = demo_account_sign_in(d, name, &person);
    if (sp_failed(err)) {
        demo_say("%s cannot sign in: %s", name, person.words);
    } else {
        err = new_code(&person, code);
    }
    demo_person_done(&person);
    return err;
}

int demo_enrol(const demo *d, const char *name, bool approve)
{
    char code[DEMO_TEXT_BYTES];
    char device[DEMO_TEXT_BYTES];
    if (sp_failed(code_of(d, name, code))) {
        return EXIT_FAILURE;
    }
    snprintf(device, sizeof(device), "%.40s-laptop", name);
    char since[TIME_BYTES];
    time_now(since);
    pid_t agent = start_enrolment(d, device, code);
    if (!approve) {
        demo_say("now approve it as sam: Devices, approve, company ...");
    } else if (sp_failed(approve_as_sam(d, device, since))) {
        demo_end(agent, 2);
        return EXIT_FAILURE;
    }
    int status = wait_agent(agent);
    if (status != EXIT_SUCCESS) {
        return status;
    }
    const char *const import[] = {"sallyport", "agent", "browser-import", NULL};
    status = wait_agent(run_agent(d, import, -1));
    demo_say("demo/browser %s now shows this device's certificate.", name);
    return status;
}

int demo_code(const demo *d, const char *name)
{
    demo_person person = {.demo = d};
    char code[8];
    if (sp_failed(demo_account_sign_in(d, name, &person))) {
        demo_say("there is no account %s in %s/accounts.json", name, d->base);
        return EXIT_FAILURE;
    }
    uint64_t before = (uint64_t)time(NULL) / 30 - 1;
    if (person.last_step <
        before) { /* else the next: one that somebody signed in with is used up */
        person.last_step = before;
    } else if (person.last_step > before + 1) {
        fprintf(stderr, "the codes of %s are used up: a new one comes within 30 s ...\n", name);
    }
    sp_err err = demo_totp(&person, code);
    demo_person_done(&person);
    if (sp_failed(err)) {
        return EXIT_FAILURE;
    }
    demo_say("%s", code);
    return EXIT_SUCCESS;
}
