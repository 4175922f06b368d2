/* SPDX-License-Identifier: Apache-2.0
 * Renewal at half the certificate's life, posture reports, and the loop that does both.
 * OWNS nothing. PROCESS agent. TRUST the office's answers are hostile. SPEC
 * docs/man/sallyport-agent.1 "renew", "run".
 *
 * A renewal's answer can be lost on the way. The request is therefore kept on disk until the new
 * certificate is, and sent again as the same bytes: the office then gives the same certificate
 * again, and does not take an unlucky device for two.
 */
#include "agent/browser.h"
#include "agent/certificate.h"
#include "agent/key.h"
#include "agent/platform.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/exit.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

enum {
    LOOK_S = 300,       /* how often the loop looks whether something is due */
    JITTER_S = 60,      /* so that a whole office does not renew in the same second */
    REPORT_S = 6 * 3600 /* posture at least so often */
};

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

static void remember_trouble(sp_agent *agent, const char *words)
{
    if (!sp_failed(sp_agent_set(&agent->trouble, sp_span_cstr(words)))) {
        SP_IGNORE(sp_agent_save(agent)); /* it is only for status */
    }
}

/* ---- renewing ---- */

static sp_err request_of(const sp_agent *agent, sp_pkey *key, sp_buf *pem)
{
    sp_err err = sp_agent_read(agent, "renew.csr", pem);
    if (err.code != SP_ENOTFOUND) {
        return err;
    }
    TRY(sp_certificate_request(key, sp_span_cstr(agent->name), pem));
    return sp_agent_write(agent, "renew.csr", sp_buf_borrow(pem));
}

/* By the certificate while it is good; by the ticket once it has ended (the computer was off). */
static sp_err ask(const sp_agent *agent, sp_pkey *key, bool ended, sp_office_answer *answer)
{
    auto_buf sp_buf csr = sp_buf_make(SP_CSR_MAX_BYTES * 2);
    json_t *body = NULL;
    if (ended) {
        body = json_pack("{s:s}", "ticket", agent->ticket);
    } else {
        TRY(request_of(agent, key, &csr));
        body = json_pack("{s:s%}", "csr", csr.ptr, csr.len);
    }
    sp_err err = sp_office_call(agent, ended ? "/device/certificate" : "/device/renew", body,
                                !ended, answer);
    json_decref(body);
    return err;
}

static int renew(sp_agent *agent)
{
    auto_pkey sp_pkey *key = NULL;
    auto_answer sp_office_answer answer = {0};
    sp_cert_info info;
    if (sp_failed(sp_key_provider_here()->open(agent, &key)) ||
        sp_failed(sp_certificate_info(agent, &info))) {
        sp_agent_say("agent: key or certificate in %s cannot be read: unenroll and enroll again",
                     agent->dir);
        return SP_EXIT_FAILED;
    }
    bool ended = now_s() >= info.not_after_unix_s;
    sp_err err = ask(agent, key, ended, &answer);
    if (sp_failed(err) || answer.status != 200) {
        remember_trouble(agent, answer.words);
        return sp_office_complain("renewal", err, &answer);
    }
    auto_buf sp_buf words = sp_buf_make(1024);
    if (sp_failed(sp_certificate_keep(agent, key, answer.body, &words))) {
        sp_buf_byte(&words, 0);
        remember_trouble(agent, (const char *)words.ptr);
        sp_agent_say("agent: %s", (const char *)words.ptr);
        return SP_EXIT_FAILED;
    }
    sp_agent_remove(agent, "renew.csr");
    sp_certificate_use_once(agent);
    printf("The certificate was renewed.\n");
    if (agent->in_browser) {
        return sp_browser_import(agent);
    }
    return SP_EXIT_OK;
}

/* ---- reporting ---- */

static int report(sp_agent *agent)
{
    sp_check checks[SP_CHECKS_COUNT];
    auto_answer sp_office_answer answer = {0};
    sp_posture_check(checks);
    json_t *body =
        json_pack("{s:o, s:o}", "platform", sp_platform_json(), "checks", sp_posture_json(checks));
    sp_err err = sp_office_call(agent, "/device/posture", body, true, &answer);
    json_decref(body);
    if (sp_failed(err) || answer.status != 200) {
        remember_trouble(agent, answer.words);
        return sp_office_complain("posture report", err, &answer);
    }
    agent->reported_unix_s = now_s();
    return sp_failed(sp_agent_save(agent)) ? SP_EXIT_FAILED : SP_EXIT_OK;
}

/* ---- commands ---- */

static int open_enrolled(sp_agent *agent, int *ret_lock)
{
    if (sp_failed(sp_agent_open(agent))) {
        return SP_EXIT_FAILED;
    }
    if (sp_failed(sp_agent_lock(agent, ret_lock))) {
        sp_agent_say("agent: another agent is at work in %s", agent->dir);
        return SP_EXIT_FAILED;
    }
    if (agent->state != SP_AGENT_ENROLLED) {
        sp_agent_say("agent: this computer is not enrolled: sallyport agent enroll");
        return SP_EXIT_USAGE;
    }
    return SP_EXIT_OK;
}

static bool is_due(const sp_agent *agent)
{
    sp_cert_info info;
    return sp_failed(sp_certificate_info(agent, &info)) || sp_certificate_due(&info, now_s());
}

int sp_agent_renew(const sp_agent_options *options)
{
    auto_agent sp_agent agent = {0};
    auto_close int lock = -1;
    int status = open_enrolled(&agent, &lock);
    if (status != SP_EXIT_OK) {
        return status;
    }
    if (!options->force && !is_due(&agent)) {
        printf("Not due yet (half of its life is not over). --force renews all the same.\n");
        return SP_EXIT_OK;
    }
    return renew(&agent);
}

/* One round under the lock, which is free while the loop sleeps. */
static int look(void)
{
    auto_agent sp_agent agent = {0};
    auto_close int lock = -1;
    int status = open_enrolled(&agent, &lock);
    if (status != SP_EXIT_OK) {
        return status;
    }
    if (is_due(&agent)) {
        status = renew(&agent);
    }
    if (status == SP_EXIT_OK && now_s() >= agent.reported_unix_s + REPORT_S) {
        status = report(&agent);
    }
    fflush(stdout);
    return status;
}

int sp_agent_run(const sp_agent_options *options)
{
    sigset_t stop;
    int status = look();
    if (options->once || status == SP_EXIT_USAGE) {
        return status;
    }
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    for (;;) {
        struct timespec pause = {.tv_sec = (time_t)(LOOK_S + sp_random_below(JITTER_S))};
        if (sigtimedwait(&stop, NULL, &pause) > 0 || look() == SP_EXIT_USAGE) {
            return SP_EXIT_OK; /* told to stop, or unenrolled meanwhile */
        }
    }
}
