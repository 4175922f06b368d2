/* SPDX-License-Identifier: Apache-2.0
 * Judging certificates of hosts.
 * OWNS nothing. PROCESS ssh gate workers, cli. TRUST certificates are hostile.
 * SPEC infra/gate/hostcert.h.
 */
#include "infra/gate/hostcert.h"

#include "infra/crypto/ssh.h"
#include "lib/policy/ssh.h"

const char *sp_hostcert_verify(sp_span blob)
{
    sp_ssh_cert cert;
    if (!sp_ssh_cert_is(blob)) {
        return "the target shows no host certificate";
    }
    if (sp_failed(sp_ssh_cert_parse(blob, &cert))) {
        return "the target's host certificate is malformed, or of an algorithm that is not taken";
    }
    return sp_failed(sp_ssh_cert_verify(&cert))
               ? "the signature of the target's host certificate is not its authority's, or of an "
                 "algorithm that is not taken"
               : NULL;
}

static const char *fault_text(sp_ssh_cert_fault fault)
{
    static const char *const TEXTS[] = {
        NULL,
        "the target's host certificate is one for users",
        "the target's host certificate is of an authority that policy does not name",
        "the target's host certificate is not valid yet",
        "the target's host certificate has expired",
        "the target's host certificate names no host",
        "the target's host certificate names other hosts than the address that policy has",
        "the target's host certificate has a critical option, and none is known for hosts",
        "the target's host certificate is for other addresses"};
    _Static_assert(SP_COUNT(TEXTS) == SP_SSH_CERT_FAULT_COUNT, "a text for each");
    return (unsigned)fault < SP_SSH_CERT_FAULT_COUNT ? TEXTS[fault] : "?";
}

const char *sp_hostcert_judge(const sp_policy *policy, uint32_t resource, sp_span blob,
                              uint64_t now_unix_s, sp_buf *key)
{
    sp_ssh_cert cert;
    sp_ssh_resource ssh;
    if (!sp_policy_ssh_resource(policy, resource, &ssh) ||
        sp_failed(sp_ssh_cert_parse(blob, &cert))) {
        return "the target's host certificate is malformed, or of an algorithm that is not taken";
    }
    bool is_known = sp_policy_ssh_host_ca_trusts(policy, resource, cert.ca_blob);
    const sp_ssh_cert_expected expected = {.kind = SP_SSH_CERT_HOST,
                                           .principal = ssh.host,
                                           .cas = &cert.ca_blob,
                                           .cas_count = is_known ? 1 : 0,
                                           .now_unix_s = now_unix_s};
    const char *why = fault_text(sp_ssh_cert_check(&cert, &expected));
    if (why != NULL) {
        return why;
    }
    sp_buf_reset(key);
    sp_ssh_cert_key_blob(&cert, key);
    if (sp_failed(sp_buf_error(key)) ||
        sp_ssh_key_is_security_key((sp_ssh_key_type)cert.key.type)) {
        return "the target's host certificate is malformed, or of an algorithm that is not taken";
    }
    return sp_policy_ssh_host_revoked(policy, resource, sp_buf_borrow(key)) ||
                   sp_policy_ssh_host_revoked(policy, resource, cert.ca_blob)
               ? "policy has revoked the key of the target's host certificate, or its authority's"
               : NULL;
}

void sp_hostcert_fingerprints(sp_span blob, sp_buf *out)
{
    sp_ssh_cert cert;
    if (sp_failed(sp_ssh_cert_parse(blob, &cert))) {
        sp_ssh_key_fingerprint(blob, out);
        return;
    }
    auto_buf sp_buf key = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES);
    sp_ssh_cert_key_blob(&cert, &key);
    sp_ssh_key_fingerprint(sp_buf_borrow(&key), out);
    sp_buf_text(out, ", signed by ");
    sp_ssh_key_fingerprint(cert.ca_blob, out);
}
