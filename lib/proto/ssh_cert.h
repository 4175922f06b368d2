/* SPDX-License-Identifier: Apache-2.0
 * Certificates of OpenSSH: reading one, and every check of it that needs no cryptography.
 *
 * Story: parse; check with what is expected of it here; then verify signature over signed_part with
 * the authority's key (infra/crypto/ssh.h, sp_ssh_verify). All three or nothing: a certificate that
 * was only parsed proves nothing.
 *
 * OWNS nothing: spans point into the blob. PROCESS ssh gate, core, vault. TRUST the blob is
 * hostile. SPEC OpenSSH PROTOCOL.certkeys (9.2), ssh-keygen(1) "CERTIFICATES".
 */
#ifndef SP_PROTO_SSH_CERT_H
#define SP_PROTO_SSH_CERT_H

#include "lib/base/address.h"
#include "lib/ssh/key.h"

typedef enum { SP_SSH_CERT_USER = 1, SP_SSH_CERT_HOST = 2 } sp_ssh_cert_kind;

enum {
    SP_SSH_CERT_MAX_BYTES = 16 * 1024,
    SP_SSH_CERT_PRINCIPALS_MAX = 256,
    SP_SSH_CERT_TEXT_MAX_BYTES = 1024
};

/* What OpenSSH grants by extensions; others are read by name. */
enum {
    SP_SSH_PERMIT_PTY = 1U << 0,
    SP_SSH_PERMIT_PORT_FORWARDING = 1U << 1,
    SP_SSH_PERMIT_AGENT_FORWARDING = 1U << 2,
    SP_SSH_PERMIT_X11_FORWARDING = 1U << 3,
    SP_SSH_PERMIT_USER_RC = 1U << 4,
    SP_SSH_NO_TOUCH_REQUIRED = 1U << 5
};

typedef struct {
    sp_ssh_key key;     /* that is certified */
    sp_span key_fields; /* its numbers as they stand in the blob */
    sp_span nonce;
    uint64_t serial;
    uint32_t kind; /* sp_ssh_cert_kind; other values are a fault of sp_ssh_cert_check */
    sp_span key_id;
    sp_span principals; /* packed strings: sp_ssh_cert_principal */
    uint32_t principals_count;
    uint64_t valid_after_unix_s;
    uint64_t valid_before_unix_s; /* UINT64_MAX: for ever */
    sp_span critical;             /* packed pairs */
    sp_span extensions;           /* packed pairs: sp_ssh_cert_extension */
    uint32_t permits;             /* SP_SSH_PERMIT_ bits */
    sp_span force_command;        /* critical options; empty when there is none */
    sp_span source_address;       /* list of networks */
    bool has_force_command;
    bool has_source_address;
    bool verify_required;  /* the security key must have verified its person */
    bool unknown_critical; /* some other critical option */
    sp_span ca_blob;       /* the authority's public key */
    sp_ssh_key ca;
    sp_span signed_part; /* what the signature is over */
    sp_span signature;   /* blob: algorithm, bytes */
} sp_ssh_cert;

/* Whether a blob's algorithm is that of a certificate. */
bool sp_ssh_cert_is(sp_span blob);
/* SP_EUNSUPPORTED: not a certificate, or of an algorithm that is not served; SP_EINVALID,
 * SP_ESHORT, SP_ELIMIT: malformed; options out of order or twice are malformed too. */
SP_MUST sp_err sp_ssh_cert_parse(sp_span blob, sp_ssh_cert *ret_cert);
/* The plain public key blob of the key that is certified. */
void sp_ssh_cert_key_blob(const sp_ssh_cert *cert, sp_buf *out);
/* Empty past the end. */
sp_span sp_ssh_cert_principal(const sp_ssh_cert *cert, uint32_t at);
bool sp_ssh_cert_has_principal(const sp_ssh_cert *cert, sp_span principal);
/* The value of an extension (without its inner length), false when it is not there. */
bool sp_ssh_cert_extension(const sp_ssh_cert *cert, sp_span name, sp_span *ret_value);

typedef enum {
    SP_SSH_CERT_GOOD,
    SP_SSH_CERT_WRONG_KIND, /* a host's where a user's is expected, or the other way */
    SP_SSH_CERT_WRONG_CA,   /* signed by none of the authorities, or by itself */
    SP_SSH_CERT_NOT_YET,    /* valid later */
    SP_SSH_CERT_EXPIRED,
    SP_SSH_CERT_NO_PRINCIPALS,   /* names nobody: OpenSSH would take it for anybody */
    SP_SSH_CERT_WRONG_PRINCIPAL, /* names others */
    SP_SSH_CERT_CRITICAL,        /* a critical option that is not known here */
    SP_SSH_CERT_SOURCE,          /* not from this address */
    SP_SSH_CERT_FAULT_COUNT
} sp_ssh_cert_fault;

typedef struct {
    sp_ssh_cert_kind kind;
    sp_span principal;  /* one of its principals; for hosts the name that was connected to */
    const sp_span *cas; /* public key blobs */
    size_t cas_count;
    uint64_t now_unix_s;
    const uint8_t *peer; /* 16 bytes; NULL: source-address is a fault */
} sp_ssh_cert_expected;

/* The first fault, in the order of the list. force-command, verify-required and permits are for the
 * caller to obey. A host's principals may hold '*' and '?'. */
sp_ssh_cert_fault sp_ssh_cert_check(const sp_ssh_cert *cert, const sp_ssh_cert_expected *expected);
/* "expired", for events and logs. */
const char *sp_ssh_cert_fault_word(sp_ssh_cert_fault fault);

#endif
