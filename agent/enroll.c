/* SPDX-License-Identifier: Apache-2.0
 * Enrolment: pin the office's CA, make the key, hand in the request, wait for the administrator.
 * OWNS nothing. PROCESS agent. TRUST the office's answers are hostile until pinned TLS vouches.
 * SPEC docs/man/sallyport-agent.1 "enroll".
 *
 * Each step is kept before the next, so that an interrupted enrolment goes on where it was when the
 * command is given again.
 */
#include "agent/certificate.h"
#include "agent/key.h"
#include "agent/platform.h"
#include "infra/proc/clock.h"
#include "infra/proc/exit.h"
#include "infra/proc/file.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    POLL_S = 3,
    CODE_MAX_BYTES = 32,
    NAME_MAX_BYTES = 63,
    HEX_DIGITS = 64,
    PORTAL_MAX_BYTES = 512
};

/* ---- what was asked ---- */

static bool portal_of(const char *text, sp_span *ret_portal)
{
    sp_span portal = sp_span_cstr(text);
    while (portal.len > 0 && portal.ptr[portal.len - 1] == '/') {
        portal.len--;
    }
    sp_span scheme = SP_SPAN_LIT("https://");
    sp_span host = sp_span_slice(portal, scheme.len, portal.len);
    *ret_portal = portal;
    return sp_span_starts(portal, scheme) && host.len > 0 && portal.len <= PORTAL_MAX_BYTES &&
           sp_span_index(host, '/') == host.len && sp_span_index(host, '@') == host.len;
}

static bool is_fingerprint(sp_span hex)
{
    auto_buf sp_buf bytes = sp_buf_make(HEX_DIGITS);
    return hex.len == HEX_DIGITS && !sp_failed(sp_buf_unhex(&bytes, hex));
}

static sp_err read_code(const sp_agent_options *options, sp_secret *code)
{
    char line[CODE_MAX_BYTES * 4] = {0};
    if (options->code_file != NULL && strcmp(options->code_file, "-") != 0) {
        auto_buf sp_buf file = sp_buf_make(sizeof(line) - 1);
        TRY(sp_file_read(options->code_file, &file));
        TRY(sp_fit(line, sizeof(line), sp_buf_borrow(&file)));
        sp_buf_wipe(&file);
    } else {
        if (options->code_file == NULL) {
            fputs("One-time code (portal, My devices): ", stderr);
        }
        if (fgets(line, sizeof(line), stdin) == NULL) {
            return sp_fail(SP_ENOTFOUND);
        }
    }
    sp_span text = sp_span_trim(sp_span_cstr(line));
    sp_err err = text.len == 0 || text.len > CODE_MAX_BYTES ? sp_fail(SP_EINVALID)
                                                            : sp_secret_set(code, text);
    sp_wipe(line, sizeof(line));
    return err;
}

static sp_err set_name(sp_agent *agent, const char *asked)
{
    char host[NAME_MAX_BYTES + 1] = {0};
    if (asked == NULL && gethostname(host, sizeof(host) - 1) != 0) {
        return sp_fail(SP_EIO);
    }
    sp_span name = sp_span_cstr(asked != NULL ? asked : host);
    if (name.len == 0 || name.len > NAME_MAX_BYTES || !sp_span_is_utf8(name)) {
        return sp_fail(SP_EINVALID);
    }
    return sp_agent_set(&agent->name, name);
}

/* ---- steps ---- */

static int pin(sp_agent *agent, const sp_agent_options *options)
{
    sp_span portal;
    if (options->portal == NULL || !portal_of(options->portal, &portal)) {
        sp_agent_say("agent: enroll wants the portal's address, as in: sallyport agent enroll "
                     "https://portal.office.example --ca-sha256 FINGERPRINT");
        return SP_EXIT_USAGE;
    }
    sp_span hex = sp_span_cstr(options->ca_sha256);
    if (options->ca_sha256 != NULL && !is_fingerprint(hex)) {
        sp_agent_say("agent: --ca-sha256 wants 64 hexadecimal digits: copy the command as the "
                     "portal shows it");
        return SP_EXIT_USAGE;
    }
    if (sp_failed(sp_agent_set(&agent->portal, portal)) ||
        sp_failed(sp_agent_set(&agent->ca_sha256, hex))) {
        return SP_EXIT_FAILED;
    }
    if (hex.len == 0) {
        return SP_EXIT_OK; /* a certificate from files: the system's trust decides */
    }
    auto_buf sp_buf ca = sp_buf_make(SP_CERT_MAX_BYTES * 2);
    auto_buf sp_buf words = sp_buf_make(1024);
    sp_err err = sp_office_pin(agent->portal, hex, &ca, &words);
    if (sp_failed(err)) {
        sp_agent_say("agent: %.*s", SP_SPAN_ARG(sp_buf_borrow(&words)));
        return SP_EXIT_AWAY;
    }
    return sp_failed(sp_agent_write(agent, "office-ca.pem", sp_buf_borrow(&ca))) ? SP_EXIT_FAILED
                                                                                 : SP_EXIT_OK;
}

static json_t *request_body(const sp_agent *agent, sp_span code, sp_span csr)
{
    return json_pack("{s:s%, s:s%, s:s, s:s, s:o}", "code", code.ptr, code.len, "csr", csr.ptr,
                     csr.len, "name", agent->name, "key_storage", sp_key_provider_here()->storage,
                     "platform", sp_platform_json());
}

static int hand_in(sp_agent *agent, sp_pkey *key, const sp_agent_options *options)
{
    auto_secret sp_secret code = {0};
    auto_answer sp_office_answer answer = {0};
    auto_buf sp_buf csr = sp_buf_make(SP_CSR_MAX_BYTES * 2);
    if (sp_failed(read_code(options, &code))) {
        sp_agent_say("agent: no code was given: get one in the portal under My devices");
        return SP_EXIT_USAGE;
    }
    if (sp_failed(sp_certificate_request(key, sp_span_cstr(agent->name), &csr))) {
        sp_agent_say("agent: the certificate request could not be made");
        return SP_EXIT_FAILED;
    }
    json_t *body = request_body(agent, sp_secret_borrow(&code), sp_buf_borrow(&csr));
    sp_err err = sp_office_call(agent, "/device/enrol", body, false, &answer);
    json_decref(body);
    const char *ticket = json_string_value(json_object_get(answer.body, "ticket"));
    if (sp_failed(err) || answer.status != 202 || ticket == NULL) {
        return sp_office_complain("enrolment", err, &answer);
    }
    const char *device =
        json_string_value(json_object_get(json_object_get(answer.body, "device"), "id"));
    agent->state = SP_AGENT_PENDING;
    if (sp_failed(sp_agent_set(&agent->ticket, sp_span_cstr(ticket))) ||
        sp_failed(sp_agent_set(&agent->device, sp_span_cstr(device))) ||
        sp_failed(sp_agent_save(agent))) {
        sp_agent_say("agent: the state could not be kept in %s", agent->dir);
        return SP_EXIT_FAILED;
    }
    return SP_EXIT_OK;
}

static void welcome(const sp_agent *agent)
{
    sp_cert_info info;
    auto_buf sp_buf until = sp_buf_make(64);
    if (!sp_failed(sp_certificate_info(agent, &info))) {
        sp_buf_time(&until, info.not_after_unix_s * 1000000);
    }
    printf("\nThis computer is known to the office as \"%s\".\n"
           "Its certificate is valid until %.*s and is renewed at half its life by\n"
           "    systemctl --user enable --now sallyport-agent     (or: sallyport agent run)\n"
           "Put it into your browsers:\n"
           "    sallyport agent browser-import\n",
           agent->name, SP_SPAN_ARG(sp_buf_borrow(&until)));
}

static int fetch(sp_agent *agent, const sp_pkey *key, bool *ret_pending)
{
    auto_answer sp_office_answer answer = {0};
    json_t *body = json_pack("{s:s}", "ticket", agent->ticket);
    sp_err err = sp_office_call(agent, "/device/certificate", body, false, &answer);
    json_decref(body);
    *ret_pending = !sp_failed(err) && answer.status == 202;
    if (*ret_pending) {
        return SP_EXIT_OK;
    }
    if (sp_failed(err) || answer.status != 200) {
        return sp_office_complain("fetching the certificate", err, &answer);
    }
    auto_buf sp_buf words = sp_buf_make(1024);
    if (sp_failed(sp_certificate_keep(agent, key, answer.body, &words))) {
        sp_agent_say("agent: %.*s", SP_SPAN_ARG(sp_buf_borrow(&words)));
        return SP_EXIT_FAILED;
    }
    sp_certificate_use_once(agent);
    return SP_EXIT_OK;
}

static int wait_for_approval(sp_agent *agent, const sp_pkey *key, bool no_wait)
{
    char fingerprint[SP_AGENT_FINGERPRINT_BYTES];
    bool pending = true;
    if (sp_failed(sp_key_fingerprint(key, fingerprint))) {
        return SP_EXIT_FAILED;
    }
    printf("The key of this computer:  %s  (%s)\n"
           "An administrator has to approve it and sees the same number: compare the two.\n",
           fingerprint, sp_key_provider_here()->strength);
    fflush(stdout);
    for (;;) {
        int status = fetch(agent, key, &pending);
        if (status == SP_EXIT_AWAY && !no_wait) {
            pending = true; /* the network may come back */
        } else if (status != SP_EXIT_OK) {
            return status;
        }
        if (!pending) {
            welcome(agent);
            return SP_EXIT_OK;
        }
        if (no_wait) {
            printf("Not approved yet. Give the command again later: sallyport agent enroll\n");
            return SP_EXIT_OK;
        }
        sleep(POLL_S);
    }
}

/* ---- the command ---- */

static int begin(sp_agent *agent, const sp_agent_options *options, sp_pkey **ret_key)
{
    if (sp_failed(set_name(agent, options->name))) {
        sp_agent_say("agent: --name wants 1 to %d bytes of UTF-8", NAME_MAX_BYTES);
        return SP_EXIT_USAGE;
    }
    int status = pin(agent, options);
    if (status != SP_EXIT_OK) {
        return status;
    }
    if (sp_failed(sp_key_provider_here()->make(agent, ret_key))) {
        sp_agent_say("agent: the key could not be kept in %s", agent->dir);
        return SP_EXIT_FAILED;
    }
    return hand_in(agent, *ret_key, options);
}

int sp_agent_enroll(const sp_agent_options *options)
{
    auto_agent sp_agent agent = {0};
    auto_pkey sp_pkey *key = NULL;
    auto_close int lock = -1;
    if (sp_failed(sp_agent_open(&agent))) {
        return SP_EXIT_FAILED;
    }
    if (sp_failed(sp_agent_lock(&agent, &lock))) {
        sp_agent_say("agent: another agent is at work in %s", agent.dir);
        return SP_EXIT_FAILED;
    }
    if (agent.state == SP_AGENT_ENROLLED) {
        sp_agent_say("agent: this computer is enrolled already as \"%s\" at %s. To begin again: "
                     "sallyport agent unenroll",
                     agent.name, agent.portal);
        return SP_EXIT_USAGE;
    }
    if (agent.state == SP_AGENT_PENDING && options->portal == NULL) {
        if (sp_failed(sp_key_provider_here()->open(&agent, &key))) {
            sp_agent_say("agent: the key in %s is gone: unenroll and enroll again", agent.dir);
            return SP_EXIT_FAILED;
        }
        return wait_for_approval(&agent, key, options->no_wait);
    }
    int status = begin(&agent, options, &key);
    return status == SP_EXIT_OK ? wait_for_approval(&agent, key, options->no_wait) : status;
}
