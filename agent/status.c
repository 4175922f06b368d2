/* SPDX-License-Identifier: Apache-2.0
 * What the agent knows: status, export, browser-import, unenroll.
 * OWNS nothing. PROCESS agent. TRUST the office's answers are hostile.
 * SPEC docs/man/sallyport-agent.1.
 */
#include "agent/browser.h"
#include "agent/certificate.h"
#include "agent/key.h"
#include "agent/platform.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/exit.h"
#include "infra/proc/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WORD_BYTES = 15, WORD_GROUP = 5 };

static const char *state_word(sp_agent_state state)
{
    static const char *const words[] = {"not enrolled", "waiting for approval", "enrolled"};
    return words[state];
}

static bool is_enrolled(const sp_agent *agent)
{
    if (agent->state != SP_AGENT_ENROLLED) {
        sp_agent_say("agent: this computer is not enrolled: sallyport agent enroll");
        return false;
    }
    return true;
}

/* ---- status ---- */

static void set_time(json_t *object, const char *name, uint64_t unix_s)
{
    auto_buf sp_buf text = sp_buf_make(64);
    if (unix_s > 0) {
        sp_buf_time(&text, unix_s * 1000000);
        json_object_set_new(object, name, json_stringn((const char *)text.ptr, text.len));
    }
}

static void add_certificate(const sp_agent *agent, json_t *object)
{
    sp_cert_info info;
    if (!sp_failed(sp_certificate_info(agent, &info))) {
        uint64_t life_s = info.not_after_unix_s - info.not_before_unix_s;
        set_time(object, "certificate_until", info.not_after_unix_s);
        set_time(object, "renewal_from", info.not_before_unix_s + life_s / 2);
        json_object_set_new(object, "certificate_ended",
                            json_boolean(sp_now_unix_us() / 1000000 >= info.not_after_unix_s));
    }
}

static void add_key(const sp_agent *agent, json_t *object)
{
    auto_pkey sp_pkey *key = NULL;
    char fingerprint[SP_AGENT_FINGERPRINT_BYTES];
    if (!sp_failed(sp_key_provider_here()->open(agent, &key)) &&
        !sp_failed(sp_key_fingerprint(key, fingerprint))) {
        json_object_set_new(object, "key", json_string(fingerprint));
        json_object_set_new(object, "key_storage", json_string(sp_key_provider_here()->strength));
    }
}

static void add_office(const sp_agent *agent, json_t *object)
{
    auto_answer sp_office_answer answer = {0};
    sp_err err = sp_office_call(agent, "/device/self", NULL, true, &answer);
    if (!sp_failed(err) && answer.status == 200) {
        json_object_set(object, "office_says", answer.body);
    } else {
        json_object_set_new(object, "office_trouble", json_string(answer.words));
    }
}

static void print_line(const json_t *object, const char *name, const char *label)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (text != NULL && text[0] != '\0') {
        printf("%-18s %s\n", label, text);
    }
}

static void print_people(const json_t *object, const sp_check checks[SP_CHECKS_COUNT])
{
    const json_t *office = json_object_get(object, "office_says");
    print_line(object, "state", "state");
    print_line(object, "portal", "office");
    print_line(object, "name", "name");
    print_line(object, "key", "key");
    print_line(object, "key_storage", "key kept in");
    print_line(object, "certificate_until", "certificate until");
    print_line(object, "renewal_from", "renewed from");
    print_line(object, "trouble", "last trouble");
    print_line(office, "state", "office: state");
    print_line(office, "owner", "office: owner");
    print_line(office, "posture", "office: posture");
    print_line(office, "why", "office: why");
    print_line(object, "office_trouble", "office");
    printf("\nThis computer about itself (the office gets the same; it is a report, not a "
           "proof):\n");
    for (size_t i = 0; i < SP_CHECKS_COUNT; i++) {
        printf("  %-8s %-18s %s\n", sp_check_word(checks[i].result), checks[i].name,
               checks[i].detail);
    }
}

int sp_agent_status(const sp_agent_options *options)
{
    auto_agent sp_agent agent = {0};
    sp_check checks[SP_CHECKS_COUNT];
    if (sp_failed(sp_agent_open(&agent))) {
        return SP_EXIT_FAILED;
    }
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "state", state_word(agent.state), "portal",
                  agent.portal, "name", agent.name, "device", agent.device, "ca_sha256",
                  agent.ca_sha256, "trouble", agent.trouble, "in_browser", agent.in_browser);
    if (agent.state != SP_AGENT_NEW) {
        add_key(&agent, object);
    }
    if (agent.state == SP_AGENT_ENROLLED) {
        add_certificate(&agent, object);
        add_office(&agent, object);
    }
    sp_posture_check(checks);
    json_object_set_new(object, "checks", sp_posture_json(checks));
    if (options->json) {
        json_dumpf(object, stdout, JSON_INDENT(2));
        printf("\n");
    } else {
        print_people(object, checks);
    }
    json_decref(object);
    return SP_EXIT_OK;
}

/* ---- browser-import, export ---- */

int sp_agent_browser_import(const sp_agent_options *options)
{
    auto_agent sp_agent agent = {0};
    (void)options;
    if (sp_failed(sp_agent_open(&agent))) {
        return SP_EXIT_FAILED;
    }
    return is_enrolled(&agent) ? sp_browser_import(&agent) : SP_EXIT_USAGE;
}

/* A word that can be typed on another screen: three groups of base32-like letters. */
static void make_word(char word[WORD_BYTES + WORD_BYTES / WORD_GROUP])
{
    static const char letters[] = "abcdefghjkmnpqrstvwxyz23456789";
    size_t at = 0;
    for (size_t i = 0; i < WORD_BYTES; i++) {
        if (i > 0 && i % WORD_GROUP == 0) {
            word[at++] = '-';
        }
        word[at++] = letters[sp_random_below(sizeof(letters) - 1)];
    }
    word[at] = '\0';
}

int sp_agent_export(const sp_agent_options *options)
{
    auto_agent sp_agent agent = {0};
    auto_buf sp_buf bundle = sp_buf_make(SP_AGENT_TEXT_MAX_BYTES);
    char word[WORD_BYTES + WORD_BYTES / WORD_GROUP];
    if (options->file == NULL) {
        sp_agent_say("agent: export wants a file name: sallyport agent export device.p12");
        return SP_EXIT_USAGE;
    }
    if (sp_failed(sp_agent_open(&agent))) {
        return SP_EXIT_FAILED;
    }
    if (!is_enrolled(&agent)) {
        return SP_EXIT_USAGE;
    }
    make_word(word);
    if (sp_failed(sp_browser_bundle(&agent, "Sallyport", word, &bundle)) ||
        sp_failed(sp_file_replace(options->file, 0600, sp_buf_borrow(&bundle)))) {
        sp_agent_say("agent: %s could not be written", options->file);
        return SP_EXIT_FAILED;
    }
    printf("%s holds key and certificate of this computer, for a browser on this computer.\n"
           "Its passphrase, shown once:  %s\n"
           "On another computer it would be a copy, which the office notices and cuts off.\n",
           options->file, word);
    sp_wipe(word, sizeof(word));
    return SP_EXIT_OK;
}

/* ---- unenroll ---- */

int sp_agent_unenroll(const sp_agent_options *options)
{
    /* of ssh/ what sallyport login made of the key */
    static const char *const files[] = {"device.pem",      "device-ca.pem", "office-ca.pem",
                                        "renew.csr",       "state.json",    "ssh/id",
                                        "ssh/id-cert.pub", "ssh/state.json"};
    auto_agent sp_agent agent = {0};
    auto_close int lock = -1;
    (void)options;
    if (sp_failed(sp_agent_open(&agent)) || sp_failed(sp_agent_lock(&agent, &lock))) {
        return SP_EXIT_FAILED;
    }
    sp_browser_remove(&agent);
    sp_key_provider_here()->remove(&agent);
    for (size_t i = 0; i < SP_COUNT(files); i++) {
        sp_agent_remove(&agent, files[i]);
    }
    printf("Key and certificate are gone from this computer%s.\n",
           agent.in_browser ? " and its browsers" : "");
    if (agent.state != SP_AGENT_NEW) {
        printf("The office still lists it: revoke it in the portal under My devices (%s).\n",
               agent.portal);
    }
    return SP_EXIT_OK;
}
