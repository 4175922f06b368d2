/* SPDX-License-Identifier: Apache-2.0
 * The client's side of a log-in at a target: our own connection, its host key (hostkey.c), a key
 * of this connection that core had certified for minutes, a key of the vault with which core has
 * the log-in signed, or a password that core hands out.
 *
 * Core's word, the ledger's disk and the target's key exchange are waited for at the same time: it
 * begins when the client has signed with a key that core knows (sg_back_reach). Nothing that proves
 * anything is sent before core and the host key are there, so before sign-in and connection are on
 * the disk.
 *
 * OWNS the target's session until the connection ends. PROCESS ssh gate workers. TRUST the target's
 * bytes are hostile; its host key must be one that policy names. SPEC RFC 4252, OpenSSH
 * PROTOCOL.certkeys, lib/proto/ssh_msg.h.
 */
#include "gates/ssh/gate.h"
#include "infra/proc/log.h"
#include "lib/ssh/key.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { OPEN_US = 20000000, HOST_BYTES = 256, KINDS_BYTES = 512 };
static const char NOBODY[] = "nobody"; /* until the account is known; libssh wants a name */

static void refuse_so(sg_conn *conn, const sg_refusal *refusal)
{
    if (conn->at < SG_AT_BACK) { /* nobody waits yet: it is tried again when somebody does */
        sg_back_give_up(conn);
        return;
    }
    sg_conn_refuse(conn, refusal);
}

static void refuse(sg_conn *conn, sp_reason reason, const char *text)
{
    sg_refusal refusal;
    sg_refusal_make(&refusal, reason, "%s", text);
    refuse_so(conn, &refusal);
}

void sg_back_done(sg_conn *conn)
{
    sg_backing *backing = conn->backing;
    if (backing == NULL) {
        return;
    }
    if (backing->call != 0) {
        sp_link_forget(&sg_here.office.link, backing->call);
    }
    sp_timer_clear(sg_here.loop, &backing->timer);
    sp_resolve_forget(&backing->resolving);
    sg_hostcert_forget(&backing->certificate);
    sp_buf_done(&backing->certified);
    sp_buf_done(&backing->print);
    sp_buf_wipe(&backing->credential);
    sp_buf_done(&backing->credential);
    sg_agent_done(&backing->agent);
    ssh_key_free(backing->key);
    sp_free(backing);
    conn->backing = NULL;
}

void sg_back_give_up(sg_conn *conn)
{
    sg_back_done(conn);
    sg_side_stop(&conn->back);
}

/* ---- the host key ---- */

static sp_err find_and_dial(sg_conn *conn);
static void unreachable(sg_conn *conn, sp_err err);

static void distrust(sg_conn *conn)
{
    sg_refusal refusal;
    const sg_backing *backing = conn->backing;
    if (backing->doubt != NULL && !backing->is_grave) {
        refuse(conn, SP_REASON_UNAVAILABLE, backing->doubt);
        return;
    }
    sg_refusal_make(&refusal, SP_REASON_UNAVAILABLE,
                    "%s: nothing was sent there; tell your security team",
                    backing->doubt != NULL
                        ? backing->doubt
                        : "the target showed a host key that is not the one of this machine");
    sg_hostkey_distrust(conn, refusal.reference);
    refuse_so(conn, &refusal);
}

static void on_certificate(sg_hostcert_wait *wait, const sg_hostcert *shown)
{
    sg_backing *backing = (sg_backing *)(void *)((char *)wait - offsetof(sg_backing, certificate));
    sg_conn *conn = backing->conn;
    sg_hostkey_take(conn, shown);
    if (backing->doubt != NULL) {
        sg_back_step(conn);
        return;
    }
    sp_err err = find_and_dial(conn);
    if (sp_failed(err)) {
        unreachable(conn, err);
    }
}

static sp_err fetch_certificate(sg_conn *conn)
{
    sg_backing *backing = conn->backing;
    backing->fetched = true;
    backing->certificate = (sg_hostcert_wait){.on_end = on_certificate};
    return sg_hostcert_fetch(conn->ssh.host, conn->ssh.port, &backing->certificate);
}

/* The machine has not shown what it was expected to: its authority may have certified another key
 * by now, which somebody else may have fetched. Once; false: there is nothing more to try. */
static bool begin_again(sg_conn *conn)
{
    sg_backing *backing = conn->backing;
    if (conn->ssh.host_cas == 0 || backing->fetched) {
        return false;
    }
    sg_side_stop(&conn->back);
    backing->connected = backing->shaken = false;
    sp_err err = sg_hostkey_renew(conn) ? find_and_dial(conn) : fetch_certificate(conn);
    if (sp_failed(err)) {
        unreachable(conn, err);
    }
    return true;
}

/* ---- log-in ---- */

static sp_err ask_core(sg_conn *conn, uint16_t kind, sp_span blob);

static void opened(sg_conn *conn)
{
    sp_decision decision = sg_decide(conn, SP_ACTION_CONNECT);
    sg_back_done(conn);
    conn->at = SG_AT_OPEN;
    sg_record_connect(conn, &decision);
    sg_conn_tell_core(conn, true);
    sg_channels_step(conn);
}

static int answer_prompts(sg_conn *conn)
{
    ssh_session ssh = conn->back.ssh;
    int rc = ssh_userauth_kbdint(ssh, NULL, NULL);
    if (rc == SSH_AUTH_INFO) {
        const char *password = (const char *)conn->backing->credential.ptr;
        int count = ssh_userauth_kbdint_getnprompts(ssh);
        if (count > 1 || (count == 1 && ssh_userauth_kbdint_setanswer(ssh, 0, password) < 0)) {
            return SSH_AUTH_DENIED; /* it asks for more than the password */
        }
        sg_side_again(&conn->back);
        return SSH_AUTH_AGAIN;
    }
    return rc;
}

static int prove_by_password(sg_conn *conn)
{
    sg_backing *backing = conn->backing;
    if (backing->interactive) {
        return answer_prompts(conn);
    }
    int rc = ssh_userauth_password(conn->back.ssh, NULL, (const char *)backing->credential.ptr);
    unsigned methods = (unsigned)ssh_userauth_list(conn->back.ssh, NULL);
    bool other = (methods & SSH_AUTH_METHOD_INTERACTIVE) != 0;
    if (rc == SSH_AUTH_DENIED && other) {
        backing->interactive = true;
        sg_side_again(&conn->back);
        return SSH_AUTH_AGAIN;
    }
    return rc;
}

/* The request goes to core, which has it signed; then on. */
static int prove_by_key(sg_conn *conn)
{
    sg_backing *backing = conn->backing;
    if (backing->call != 0) {
        return SSH_AUTH_AGAIN;
    }
    int rc = sg_agent_prove(&backing->agent, conn->back.ssh);
    if (rc != SSH_AUTH_INFO) {
        return rc;
    }
    return sp_failed(ask_core(conn, SP_CORE_SSH_SIGN, sp_buf_borrow(&backing->agent.to_sign)))
               ? SSH_AUTH_ERROR
               : SSH_AUTH_AGAIN;
}

static int prove_by_its_proof(sg_conn *conn)
{
    if (conn->backing->proof == SP_SSH_CREDENTIAL_PASSWORD) {
        return prove_by_password(conn);
    }
    return conn->backing->proof == SP_SSH_CREDENTIAL_KEY
               ? prove_by_key(conn)
               : ssh_userauth_publickey(conn->back.ssh, NULL, conn->backing->key);
}

static const char *not_taken(const sg_conn *conn)
{
    if (conn->back.broken) {
        return "the target closed the connection during the log-in";
    }
    if (conn->backing->proof == SP_SSH_CREDENTIAL_PASSWORD) {
        return "the target does not take the account's password";
    }
    return conn->backing->proof == SP_SSH_CREDENTIAL_KEY
               ? "the target does not take the vault's key for this account: its public half must "
                 "be among the account's authorized_keys"
               : "the target does not take the certificate: it must trust the gate's CA, and know "
                 "the account";
}

static void prove(sg_conn *conn)
{
    int rc = prove_by_its_proof(conn);
    if (rc == SSH_AUTH_AGAIN && !conn->back.broken) {
        return;
    }
    if (rc == SSH_AUTH_SUCCESS) {
        opened(conn);
    } else {
        refuse(conn, SP_REASON_UNAVAILABLE, not_taken(conn));
    }
}

/* ---- the session ---- */

static sp_err set_options(sg_conn *conn, int fd)
{
    ssh_session ssh = conn->back.ssh;
    char host[HOST_BYTES];
    const bool no = false;
    auto_buf sp_buf kinds = sp_buf_make(KINDS_BYTES);
    TRY(sp_fit(host, sizeof(host), conn->ssh.host));
    TRY(sg_hostkey_kinds(conn, &kinds));
    bool well = ssh_options_set(ssh, SSH_OPTIONS_PROCESS_CONFIG, &no) == 0 &&
                ssh_options_set(ssh, SSH_OPTIONS_SSH_DIR, "/") == 0 &&
                ssh_options_set(ssh, SSH_OPTIONS_KNOWNHOSTS, "/dev/null") == 0 &&
                ssh_options_set(ssh, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null") == 0 &&
                ssh_options_set(ssh, SSH_OPTIONS_HOST, host) == 0 &&
                ssh_options_set(ssh, SSH_OPTIONS_USER, NOBODY) == 0 &&
                ssh_options_set(ssh, SSH_OPTIONS_HOSTKEYS, (const char *)kinds.ptr) == 0 &&
                ssh_options_set(ssh, SSH_OPTIONS_KEY_EXCHANGE,
                                "curve25519-sha256,curve25519-sha256@libssh.org,"
                                "ecdh-sha2-nistp256,ecdh-sha2-nistp384,"
                                "diffie-hellman-group16-sha512") == 0 &&
                ssh_options_set(ssh, SSH_OPTIONS_COMPRESSION, "no") == 0 &&
                ssh_options_set(ssh, SSH_OPTIONS_CIPHERS_C_S, sg_back_ciphers()) == 0 &&
                ssh_options_set(ssh, SSH_OPTIONS_CIPHERS_S_C, sg_back_ciphers()) == 0 &&
                ssh_options_set(ssh, SSH_OPTIONS_HMAC_C_S, sg_back_macs) == 0 &&
                ssh_options_set(ssh, SSH_OPTIONS_HMAC_S_C, sg_back_macs) == 0;
    if (!well) {
        return sp_fail(SP_EINVALID);
    }
    int lent = sg_side_lend(&conn->back, fd);
    if (lent < 0) {
        return sp_fail(SP_ELIMIT);
    }
    if (ssh_options_set(ssh, SSH_OPTIONS_FD, &lent) != 0) {
        close(lent);
        return sp_fail(SP_EINVALID);
    }
    return sp_ok();
}

static bool finish_connect(sg_conn *conn)
{
    int fd = conn->back.watch.fd;
    sp_err err = sp_dial_finish(fd);
    if (err.code == SP_EAGAIN) {
        return false;
    }
    if (sp_failed(err)) {
        char why[160];
        snprintf(why, sizeof(why), "the target cannot be reached: %s", strerror(errno));
        refuse(conn, SP_REASON_UNAVAILABLE, why);
        return false;
    }
    if (sp_failed(set_options(conn, fd))) {
        refuse(conn, SP_REASON_UNAVAILABLE,
               "the gate cannot make a connection of what policy says of this machine");
        return false;
    }
    conn->backing->connected = true;
    return true;
}

/* True when key exchange is over. */
static bool shake(sg_conn *conn)
{
    sg_side *side = &conn->back;
    int rc = ssh_connect(side->ssh);
    /* libssh makes it wait: a target that reads nothing would stop all who share the worker */
    int flags = fcntl(side->watch.fd, F_GETFL);
    if (flags < 0 || fcntl(side->watch.fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        side->broken = true;
    }
    if (rc != SSH_ERROR && !side->has_event) {
        side->has_event = ssh_event_add_session(side->event, side->ssh) == SSH_OK;
        sg_side_again(side);
    }
    if (rc == SSH_AGAIN && !side->broken) {
        return false;
    }
    if (rc != SSH_OK && begin_again(conn)) {
        return false;
    }
    if (rc != SSH_OK) {
        char why[SG_TEXT_BYTES];
        snprintf(why, sizeof(why), "the target does not complete the key exchange: %s",
                 ssh_get_error(side->ssh));
        refuse(conn, SP_REASON_UNAVAILABLE, why);
        return false;
    }
    conn->backing->shaken = true;
    return true;
}

/* True when the host key is the right one. */
static bool trust(sg_conn *conn)
{
    if (!sg_hostkey_is_trusted(conn)) {
        conn->backing->is_grave = true;
        if (!begin_again(conn)) {
            distrust(conn);
        }
        return false;
    }
    if (ssh_options_set(conn->back.ssh, SSH_OPTIONS_USER, conn->account) != 0) {
        refuse(conn, SP_REASON_LIMIT, "the gate has no memory left");
        return false;
    }
    conn->backing->trusted = true;
    return true;
}

void sg_back_step(sg_conn *conn)
{
    sg_backing *backing = conn->backing;
    if (backing == NULL || conn->at > SG_AT_BACK) {
        return;
    }
    if (backing->doubt != NULL && conn->at == SG_AT_BACK) {
        distrust(conn);
        return;
    }
    if (conn->back.ssh == NULL) {
        return;
    }
    if ((!backing->connected && !finish_connect(conn)) || (!backing->shaken && !shake(conn)) ||
        conn->at < SG_AT_BACK || (!backing->trusted && !trust(conn))) {
        return;
    }
    if (backing->may) {
        prove(conn);
    } else if (conn->back.broken) {
        refuse(conn, SP_REASON_UNAVAILABLE, "the target closed the connection");
    }
}

/* ---- core's word ---- */

static sp_err take_certificate(sg_backing *backing, sp_span blob)
{
    auto_buf sp_buf base64 = sp_buf_make(SP_SSH_CREDENTIAL_MAX_BYTES * 2);
    ssh_key certificate = NULL;
    sp_buf_base64(&base64, blob);
    sp_buf_u8(&base64, 0);
    TRY(sp_buf_error(&base64));
    if (ssh_pki_import_cert_base64((const char *)base64.ptr, SSH_KEYTYPE_ED25519_CERT01,
                                   &certificate) != SSH_OK) {
        return sp_fail(SP_EINVALID);
    }
    int rc = ssh_pki_copy_cert_to_privkey(certificate, backing->key);
    ssh_key_free(certificate);
    return rc == SSH_OK ? sp_ok() : sp_fail(SP_EINVALID);
}

static sp_err keep(sp_buf *buf, sp_span bytes)
{
    *buf = sp_buf_make(SP_SSH_CREDENTIAL_MAX_BYTES + 1);
    sp_buf_span(buf, bytes);
    return sp_buf_error(buf);
}

static sp_err take_credential(sg_conn *conn, const sp_ssh_opened *opened)
{
    sg_backing *backing = conn->backing;
    if (!sp_span_eq(opened->account, sp_span_cstr(conn->account))) {
        return sp_fail(SP_EINVALID); /* policy moved in between */
    }
    if (opened->credential_kind == SP_SSH_CREDENTIAL_SIGNATURE) {
        return backing->proof == SP_SSH_CREDENTIAL_KEY
                   ? keep(&backing->agent.signature, opened->credential)
                   : sp_fail(SP_EINVALID);
    }
    backing->proof = (sp_ssh_credential)opened->credential_kind;
    if (backing->proof == SP_SSH_CREDENTIAL_CERTIFICATE) {
        return take_certificate(backing, opened->credential);
    }
    if (backing->proof == SP_SSH_CREDENTIAL_KEY) {
        return keep(&backing->agent.blob, opened->credential);
    }
    TRY(keep(&backing->credential, opened->credential));
    sp_buf_u8(&backing->credential, 0);
    return sp_buf_error(&backing->credential);
}

static void on_opened(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    sg_conn *conn = self;
    sp_ssh_opened opened = {.credential_kind = SP_SSH_CREDENTIAL_NONE};
    (void)fds;
    conn->backing->call = 0;
    if (!sp_failed(err)) {
        err = sp_ssh_opened_read(msg->body, &opened);
    }
    if (sp_failed(err)) {
        refuse(conn, SP_REASON_UNAVAILABLE,
               err.code == SP_EDENIED ? "your session has ended"
                                      : "the office does not answer about this machine");
    } else if (opened.credential_kind == SP_SSH_CREDENTIAL_NONE) {
        sg_refusal refusal;
        auto_buf sp_buf why = sp_buf_make(SG_TEXT_BYTES * 4);
        sg_text_clean(opened.why, SG_TEXT_BYTES / 2, &why);
        sg_refusal_make(&refusal, (sp_reason)opened.reason, "%.*s",
                        SP_SPAN_ARG(sp_buf_borrow(&why)));
        sg_conn_refuse(conn, &refusal);
    } else if (sp_failed(take_credential(conn, &opened))) {
        refuse(conn, SP_REASON_UNAVAILABLE, "what the office gave for this machine does not work");
    } else {
        conn->backing->may = true;
        sg_back_step(conn);
    }
}

/* OPEN: blob is the key of this connection; SIGN: what is to be signed. */
static sp_err ask_core(sg_conn *conn, uint16_t kind, sp_span blob)
{
    sg_backing *backing = conn->backing;
    auto_buf sp_buf body = sp_buf_make(SP_SSH_BLOB_MAX_BYTES + 1024);
    sp_ssh_open open = {.connection = conn->connection,
                        .session = {.slot = conn->rider.slot, .id = conn->rider.id},
                        .resource = sp_span_cstr(conn->resource_name),
                        .account = sp_span_cstr(conn->account),
                        .blob = blob};
    sp_copy(open.peer, conn->rider.who.peer, sizeof(open.peer));
    if (conn->rider.has_fingerprint) {
        sp_copy(open.fingerprint.bytes, conn->rider.fingerprint.bytes, SP_SHA256_BYTES);
    }
    sp_ssh_open_write(&open, &body);
    TRY(sp_buf_error(&body));
    backing->call =
        sp_link_call(&sg_here.office.link, kind, sp_buf_borrow(&body), NULL, 0, on_opened, conn);
    if (backing->call == 0) {
        return sp_fail(SP_ECLOSED);
    }
    sp_link_allow(&sg_here.office.link, backing->call, SP_SSH_OPEN_MS);
    return sp_ok();
}

static sp_err ask_to_open(sg_conn *conn)
{
    auto_buf sp_buf blob = sp_buf_make(SP_SSH_BLOB_MAX_BYTES);
    if (ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &conn->backing->key) != SSH_OK) {
        return sp_fail(SP_ENOMEM);
    }
    TRY(sg_hostkey_blob(conn->backing->key, &blob));
    return ask_core(conn, SP_CORE_SSH_OPEN, sp_buf_borrow(&blob));
}

/* ---- beginning ---- */

static sp_err dial(sg_conn *conn, const sp_dial_address *address)
{
    int fd = -1;
    TRY(sp_dial(address, &fd));
    ssh_session ssh = ssh_new();
    if (ssh == NULL) {
        close(fd);
        return sp_fail(SP_ENOMEM);
    }
    ssh_set_blocking(ssh, 0);
    return sg_side_start(&conn->back, conn, ssh, fd);
}

static void unreachable(sg_conn *conn, sp_err err)
{
    refuse(conn, SP_REASON_UNAVAILABLE,
           err.code == SP_ENOTFOUND ? "the name of this machine's address is not known here"
                                    : "the target cannot be reached: its address does not work");
}

static void on_found(sp_resolve_wait *wait, sp_err err, const sp_dial_address *address)
{
    sg_backing *backing = (sg_backing *)(void *)((char *)wait - offsetof(sg_backing, resolving));
    err = sp_failed(err) ? err : dial(backing->conn, address);
    if (sp_failed(err)) {
        unreachable(backing->conn, err);
    }
}

static sp_err find_and_dial(sg_conn *conn)
{
    char host[HOST_BYTES];
    sp_dial_address address;
    sp_resolve_wait *wait = &conn->backing->resolving;
    TRY(sp_fit(host, sizeof(host), conn->ssh.host));
    *wait = (sp_resolve_wait){.on_found = on_found};
    sp_err err = sp_resolve(host, conn->ssh.port, wait, &address);
    return sp_failed(err) ? (err.code == SP_EAGAIN ? sp_ok() : err) : dial(conn, &address);
}

static void on_late(sp_timer *timer)
{
    sg_backing *backing = (sg_backing *)(void *)((char *)timer - offsetof(sg_backing, timer));
    refuse(backing->conn, SP_REASON_UNAVAILABLE, "the target did not complete its log-in in time");
}

/* Sets out for the machine, unless that has begun. */
static sp_err set_out(sg_conn *conn)
{
    if (conn->backing != NULL) {
        return sp_ok();
    }
    TRY(sp_alloc(1, sizeof(*conn->backing), &conn->backing));
    conn->backing->conn = conn;
    conn->backing->timer.on_time = on_late;
    TRY(sp_timer_set(sg_here.loop, &conn->backing->timer, OPEN_US));
    return sg_hostkey_ready(conn) ? find_and_dial(conn) : fetch_certificate(conn);
}

void sg_back_reach(sg_conn *conn)
{
    if (conn->at == SG_AT_AUTH && conn->backing == NULL && sg_decide_machine(conn) &&
        sp_failed(set_out(conn))) {
        sg_back_give_up(conn);
    }
}

void sg_back_begin(sg_conn *conn)
{
    sg_refusal refusal;
    if (conn->snapshot != sg_here.office.snapshot || conn->back.broken) {
        sg_back_give_up(conn); /* another policy may name another machine */
    }
    conn->at = SG_AT_BACK;
    conn->reached_us = sp_loop_now_us(sg_here.loop);
    if (!sg_decide_place(conn, &refusal)) {
        sg_conn_refuse(conn, &refusal);
        return;
    }
    sp_decision decision = sg_decide(conn, SP_ACTION_CONNECT);
    if (decision.verdict != SP_VERDICT_ALLOW) {
        sg_decide_refuse(conn, &decision, "connecting to this machine is not allowed", &refusal);
        sg_conn_refuse(conn, &refusal);
        return;
    }
    sp_err err = set_out(conn);
    if (sp_failed(err)) {
        unreachable(conn, err);
    } else if (sp_failed(ask_to_open(conn))) {
        refuse(conn, SP_REASON_UNAVAILABLE, "the office does not answer about this machine");
    } else {
        sg_back_step(conn);
    }
}
