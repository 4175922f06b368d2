/* SPDX-License-Identifier: Apache-2.0
 * Doctor asks what answers: the ports of the gates with the certificate served there, vault and
 * ledger.
 * OWNS nothing. PROCESS cli. TRUST answers are bounded; the certificate is looked at, not trusted.
 * SPEC docs/OPERATIONS.md "Doctor".
 */
#include "infra/ipc/conn.h"
#include "infra/proc/clock.h"
#include "lib/proto/ledger_msg.h"
#include "lib/proto/vault_msg.h"
#include "porter/doctor.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define CHECKPOINT_LATE_US ((uint64_t)600 * 1000 * 1000)
enum { ASK_MS = 3000, CERT_WARN_DAYS = 14, DAY_S = 24 * 3600 };

/* ---- ports ---- */

static void to_reachable(struct sockaddr_storage *at)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    sp_copy(&v4, at, sizeof(v4));
    sp_copy(&v6, at, sizeof(v6));
    if (at->ss_family == AF_INET && v4.sin_addr.s_addr == htonl(INADDR_ANY)) {
        v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        sp_copy(at, &v4, sizeof(v4));
    } else if (at->ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr)) {
        v6.sin6_addr = in6addr_loopback;
        sp_copy(at, &v6, sizeof(v6));
    }
}

static int connect_to(const char *listen_at)
{
    struct sockaddr_storage at;
    socklen_t size = 0;
    if (sp_failed(sp_config_address(listen_at, &at, &size))) {
        return -1;
    }
    to_reachable(&at);
    auto_close int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval limit = {.tv_sec = ASK_MS / 1000};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0 ||
        connect(fd, (const struct sockaddr *)&at, size) != 0) {
        return -1;
    }
    return SP_STEAL_FD(fd);
}

static void judge_certificate(doctor *d, const char *listen_at, X509 *certificate)
{
    int days = 0;
    int seconds = 0;
    if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) != 1) {
        doctor_say(d, DOCTOR_BAD, "ports", NULL, "%s: its certificate has no readable term",
                   listen_at);
        return;
    }
    int age_days = 0;
    ASN1_TIME_diff(&age_days, &seconds, X509_get0_notBefore(certificate), NULL);
    bool over = days < 0 || (days == 0 && seconds < 0);
    /* our own leaf may live shorter than two weeks: a third of its life left is early enough */
    int warn_days = (age_days + days) / 3 < CERT_WARN_DAYS ? (age_days + days) / 3 : CERT_WARN_DAYS;
    doctor_say(d,
               over               ? DOCTOR_BAD
               : days < warn_days ? DOCTOR_WARN
                                  : DOCTOR_GOOD,
               "ports", "renew it; then: kill -HUP the porter (systemctl reload sallyport)",
               "%s answers with TLS; its certificate is %d days old and good for %d more",
               listen_at, age_days, days);
}

static void shake_hands(doctor *d, const char *listen_at, int fd, sp_role_kind role)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *tls = context != NULL ? SSL_new(context) : NULL;
    char host[300];
    snprintf(host, sizeof(host), "%s.%s", d->config->portal, d->config->domain);
    X509 *certificate = NULL;
    if (tls != NULL && SSL_set_tlsext_host_name(tls, host) == 1 && SSL_set_fd(tls, fd) == 1 &&
        SSL_connect(tls) == 1) {
        certificate = SSL_get1_peer_certificate(tls);
    }
    if (certificate == NULL) {
        doctor_say(d, DOCTOR_BAD, "ports", "its lines in the log say why",
                   "%s: %s takes connections but does not speak TLS for %s", listen_at,
                   sp_role_word(role), host);
    } else {
        judge_certificate(d, listen_at, certificate);
    }
    X509_free(certificate);
    SSL_free(tls);
    SSL_CTX_free(context);
}

/* PostgreSQL's SSLRequest: what follows an 'S' is TLS. */
static bool ask_for_tls(int fd)
{
    static const uint8_t request[] = {0, 0, 0, 8, 4, 210, 22, 47};
    char answer = 0;
    return write(fd, request, sizeof(request)) == (ssize_t)sizeof(request) &&
           read(fd, &answer, 1) == 1 && answer == 'S';
}

/* RFC 4253 4.2: the server's version comes by itself. */
static void hear_version(doctor *d, const char *listen_at, int fd)
{
    char line[64] = "";
    ssize_t len = read(fd, line, sizeof(line) - 1);
    sp_span said = sp_span_of(line, len > 0 ? (size_t)len : 0);
    if (sp_span_starts(said, SP_SPAN_LIT("SSH-2.0-"))) {
        doctor_say(d, DOCTOR_GOOD, "ports", NULL, "%s answers with SSH", listen_at);
    } else {
        doctor_say(d, DOCTOR_BAD, "ports",
                   "its lines in the log say why; without a host key from the vault it turns "
                   "everybody away",
                   "%s: ssh takes connections but does not answer as SSH would", listen_at);
    }
}

static void look_at_port(doctor *d, const char *listen_at, sp_role_kind role)
{
    auto_close int fd = connect_to(listen_at);
    if (fd < 0) {
        doctor_say(d, d->running ? DOCTOR_BAD : DOCTOR_WARN, "ports",
                   "nothing answers there while the office is closed", "%s: %s", listen_at,
                   strerror(errno));
    } else if (role == SP_ROLE_DB && !ask_for_tls(fd)) {
        doctor_say(d, DOCTOR_BAD, "ports", "its lines in the log say why",
                   "%s takes connections but does not answer as PostgreSQL would", listen_at);
    } else if (role == SP_ROLE_SSH) {
        hear_version(d, listen_at, fd);
    } else {
        shake_hands(d, listen_at, fd, role);
    }
}

void doctor_ports(doctor *d)
{
    for (size_t i = 0; i < d->config->listen_count; i++) {
        look_at_port(d, d->config->listen[i], SP_ROLE_WEB);
    }
    for (size_t i = 0; i < d->config->postgres_count; i++) {
        look_at_port(d, d->config->postgres[i], SP_ROLE_DB);
    }
    for (size_t i = 0; i < d->config->ssh_count; i++) {
        look_at_port(d, d->config->ssh[i], SP_ROLE_SSH);
    }
}

/* ---- vault and ledger ---- */

static sp_err ask(const sp_config *config, const char *socket_name, uint16_t kind, sp_buf *reply)
{
    auto_free char *path = NULL;
    TRY(sp_config_socket(config, socket_name, &path));
    auto_close int fd = -1;
    TRY(sp_ipc_connect(path, &fd));
    auto_fds sp_fds fds = {.fds = {-1, -1, -1, -1}};
    return sp_ipc_call(fd, kind, SP_SPAN_EMPTY, ASK_MS, reply, &fds);
}

static void say_no_answer(doctor *d, const char *area, sp_err err)
{
    if (err.code == SP_EDENIED) {
        doctor_say(d, DOCTOR_WARN, area, "run doctor as root", "does not answer this user");
    } else if (err.code == SP_ENOTFOUND && !d->running) {
        doctor_say(d, DOCTOR_WARN, area, NULL, "does not run");
    } else {
        doctor_say(d, DOCTOR_BAD, area, "its lines in the log say why", "does not answer (%s)",
                   sp_code_word(err.code));
    }
}

void doctor_vault(doctor *d)
{
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    uint64_t before_us = sp_now_steady_us();
    sp_err err = ask(d->config, "vault", SP_VAULT_PING, &reply);
    if (sp_failed(err)) {
        say_no_answer(d, "vault", err);
        return;
    }
    doctor_say(d, DOCTOR_GOOD, "vault", NULL, "answers (%llu us)",
               (unsigned long long)(sp_now_steady_us() - before_us));
}

static void judge_ledger(doctor *d, const sp_ledger_stats *stats)
{
    uint64_t now_us = sp_now_unix_us();
    if (!stats->recording) {
        doctor_say(d, DOCTOR_BAD, "ledger", "what must be recorded is refused until it can write",
                   "cannot write: %.*s", SP_SPAN_ARG(stats->trouble));
    } else {
        doctor_say(d, DOCTOR_GOOD, "ledger", NULL,
                   "records: %llu entries, %llu MiB, kept for %u days, %u sources attached",
                   (unsigned long long)stats->entries,
                   (unsigned long long)(stats->bytes / 1024 / 1024), stats->retention_days,
                   stats->sources);
    }
    if (stats->lost > 0) {
        doctor_say(d, DOCTOR_WARN, "ledger", "the LOSS entries say whose and when",
                   "%llu events are known to be lost since it started",
                   (unsigned long long)stats->lost);
    }
    if (stats->checkpoint_size < stats->entries && stats->checkpoint_unix_us != 0 &&
        stats->checkpoint_unix_us + CHECKPOINT_LATE_US < now_us) {
        doctor_say(d, DOCTOR_WARN, "ledger", "look whether the vault answers",
                   "%llu entries are not under a signed checkpoint for over ten minutes",
                   (unsigned long long)(stats->entries - stats->checkpoint_size));
    }
    if (stats->verify == SP_LEDGER_VERIFY_BAD) {
        doctor_say(d, DOCTOR_BAD, "ledger", "sallyport ledger verify says where",
                   "the last verification failed");
    }
}

void doctor_ledger(doctor *d)
{
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_err err = ask(d->config, "ledger", SP_LEDGER_STATS, &reply);
    sp_ledger_stats stats;
    if (!sp_failed(err)) {
        err = sp_ledger_stats_read(sp_buf_borrow(&reply), &stats);
    }
    if (sp_failed(err)) {
        say_no_answer(d, "ledger", err);
        return;
    }
    judge_ledger(d, &stats);
}
