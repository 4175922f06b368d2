/* SPDX-License-Identifier: Apache-2.0
 * Whether a machine is the one that policy means: it shows a host key that is pinned, or one that
 * an authority of its own certified (infra/gate/hostcert.h).
 *
 * Pinned keys are tried first, then the key of a certificate that is known; when the machine shows
 * neither, the key exchange begins again with the certificate that somebody else has fetched
 * meanwhile, or one that is fetched anew, once.
 *
 * OWNS nothing but what stands in sg_backing. PROCESS ssh gate workers. TRUST the machine is
 * hostile until it is trusted. SPEC docs/SSH.md 2.
 */
#include "gates/ssh/gate.h"
#include "infra/gate/hostcert.h"
#include "infra/proc/clock.h"
#include "lib/proto/ssh_cert.h"
#include "lib/ssh/key.h"

#include <stddef.h>

enum { PRINT_BYTES = 256, OBJECT_BYTES = 512 };

sp_err sg_hostkey_blob(ssh_key key, sp_buf *blob)
{
    char *base64 = NULL;
    if (ssh_pki_export_pubkey_base64(key, &base64) != SSH_OK) {
        return sp_fail(SP_EINVALID);
    }
    sp_err err = sp_buf_unbase64(blob, sp_span_cstr(base64));
    ssh_string_free_char(base64);
    return err;
}

/* ---- which algorithms ---- */

static void put_kind(const sp_ssh_key *key, sp_buf *out)
{
    sp_buf_text(out, out->len > 0 ? "," : "");
    sp_buf_text(out, key->type == SP_SSH_KEY_RSA ? "rsa-sha2-512,rsa-sha2-256"
                                                 : sp_ssh_key_name((sp_ssh_key_type)key->type));
}

sp_err sg_hostkey_kinds(const sg_conn *conn, sp_buf *out)
{
    sp_span certificate = sp_buf_borrow(&conn->backing->certified);
    if (certificate.len > 0) {
        sp_ssh_cert cert;
        TRY(sp_ssh_cert_parse(certificate, &cert));
        put_kind(&cert.key, out);
    }
    for (uint32_t i = 0; i < conn->ssh.host_keys; i++) {
        sp_ssh_key key;
        TRY(sp_ssh_key_parse(sp_policy_ssh_host_key(&conn->snapshot->policy, conn->resource, i),
                             &key));
        put_kind(&key, out);
    }
    sp_buf_u8(out, 0);
    return sp_buf_error(out);
}

/* ---- certificates ---- */

/* NULL: the certificate is good here and now; *key has its key's blob then. Else why not. */
static const char *judge(const sg_conn *conn, sp_span blob, sp_buf *key)
{
    return sp_hostcert_judge(&conn->snapshot->policy, conn->resource, blob,
                             sp_now_unix_us() / 1000000, key);
}

/* Keeps it, if it is good. */
static const char *certify(sg_conn *conn, sp_span blob)
{
    sp_buf *certified = &conn->backing->certified;
    auto_buf sp_buf key = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES);
    const char *why = judge(conn, blob, &key);
    if (why == NULL) {
        *certified = sp_buf_make(SP_SSH_CERT_MAX_BYTES);
        sp_buf_span(certified, blob);
    }
    return why;
}

bool sg_hostkey_ready(sg_conn *conn)
{
    if (conn->ssh.host_cas == 0) {
        return true;
    }
    sp_span known = sg_hostcert_known(conn->ssh.host, conn->ssh.port);
    bool is_known = known.len > 0 && certify(conn, known) == NULL;
    return is_known || conn->ssh.host_keys > 0;
}

bool sg_hostkey_renew(sg_conn *conn)
{
    sg_backing *backing = conn->backing;
    sp_span known = sg_hostcert_known(conn->ssh.host, conn->ssh.port);
    if (backing->renewed || known.len == 0 ||
        sp_span_eq(known, sp_buf_borrow(&backing->certified))) {
        return false;
    }
    backing->renewed = true;
    sp_buf_done(&backing->certified);
    return certify(conn, known) == NULL;
}

void sg_hostkey_take(sg_conn *conn, const sg_hostcert *shown)
{
    sg_backing *backing = conn->backing;
    sp_buf_done(&backing->certified);
    backing->doubt = shown->why != NULL ? shown->why : certify(conn, shown->blob);
    backing->is_grave = backing->is_grave || shown->why == NULL || shown->is_grave;
    if (backing->doubt != NULL && shown->blob.len > 0) {
        sp_buf_done(&backing->print);
        backing->print = sp_buf_make(PRINT_BYTES);
        sp_hostcert_fingerprints(shown->blob, &backing->print);
    }
}

/* ---- trust ---- */

/* By a certificate, which is judged again: policy may have moved since it was. */
static bool is_certified(sg_conn *conn, sp_span shown)
{
    sg_backing *backing = conn->backing;
    sp_span certificate = sp_buf_borrow(&backing->certified);
    auto_buf sp_buf key = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES);
    if (certificate.len == 0) {
        return false;
    }
    const char *why = judge(conn, certificate, &key);
    backing->doubt = backing->fetched ? why : NULL; /* before, another may be had */
    return why == NULL && sp_span_eq(sp_buf_borrow(&key), shown);
}

bool sg_hostkey_is_trusted(sg_conn *conn)
{
    sg_backing *backing = conn->backing;
    const sp_policy *policy = &conn->snapshot->policy;
    auto_buf sp_buf blob = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES);
    ssh_key key = NULL;
    bool is_read = ssh_get_server_publickey(conn->back.ssh, &key) == SSH_OK &&
                   !sp_failed(sg_hostkey_blob(key, &blob));
    ssh_key_free(key);
    sp_span shown = sp_buf_borrow(&blob);
    if (!is_read || shown.len == 0) {
        return false;
    }
    sp_buf_done(&backing->print);
    backing->print = sp_buf_make(PRINT_BYTES);
    sp_hostcert_fingerprints(shown, &backing->print);
    return !sp_policy_ssh_host_revoked(policy, conn->resource, shown) &&
           (sp_policy_ssh_host_trusts(policy, conn->resource, shown) || is_certified(conn, shown));
}

void sg_hostkey_distrust(sg_conn *conn, uint64_t reference)
{
    const sg_backing *backing = conn->backing;
    sp_span print = sp_buf_borrow(&backing->print);
    auto_buf sp_buf object = sp_buf_make(OBJECT_BYTES);
    sp_event event = sg_event_of(conn, SP_EVENT_DECISION);
    sp_buf_text(&object, backing->doubt != NULL
                             ? backing->doubt
                             : "the target showed a host key that policy does not name");
    sp_buf_fmt(&object, "%s%.*s", print.len > 0 ? ": " : "", SP_SPAN_ARG(print));
    event.reference = reference;
    event.verdict = SP_VERDICT_DENY;
    event.reason = SP_REASON_UNAVAILABLE;
    event.severity = SP_SEVERITY_HIGH;
    event.method = SP_SPAN_LIT("host key");
    event.object = sp_buf_borrow(&object);
    (void)sp_recorder_put(&sg_here.recorder, &event); /* no room is counted as a loss */
}
