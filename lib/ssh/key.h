/* SPDX-License-Identifier: Apache-2.0
 * Public keys of SSH: the blob, its algorithm and numbers, and the lines in which people write them
 * (id_x.pub, authorized_keys, known_hosts).
 * OWNS nothing: spans point into what was given. PROCESS ssh gate, core, cli, policy compiler.
 * TRUST blobs and lines are hostile. SPEC RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4, sshd(8)
 * "AUTHORIZED_KEYS FILE FORMAT" and "SSH_KNOWN_HOSTS FILE FORMAT", OpenSSH PROTOCOL.u2f.
 */
#ifndef SP_SSH_KEY_H
#define SP_SSH_KEY_H

#include "lib/base/buf.h"
#include "lib/base/reader.h"

typedef enum {
    SP_SSH_KEY_ED25519,
    SP_SSH_KEY_ECDSA_256,
    SP_SSH_KEY_ECDSA_384,
    SP_SSH_KEY_ECDSA_521,
    SP_SSH_KEY_RSA,
    SP_SSH_KEY_SK_ED25519, /* security keys: the token signs with its flags and counter */
    SP_SSH_KEY_SK_ECDSA_256,
    SP_SSH_KEY_TYPE_COUNT
} sp_ssh_key_type;

enum {
    SP_SSH_KEY_BLOB_MAX_BYTES = 4096,
    SP_SSH_KEY_LINE_MAX_BYTES = 8192,
    SP_SSH_RSA_MIN_BITS = 2048,
    SP_SSH_RSA_MAX_BITS = 16384
};

typedef struct {
    uint8_t type;        /* sp_ssh_key_type */
    sp_span point;       /* Ed25519: 32 bytes; ECDSA: an uncompressed point, 04 x y */
    sp_span exponent;    /* RSA, without a leading zero */
    sp_span modulus;     /* RSA, without a leading zero */
    sp_span application; /* security keys: "ssh:..." */
} sp_ssh_key;

/* SP_EUNSUPPORTED: another algorithm (DSA, certificates); SP_EINVALID: lengths or numbers that are
 * none of that algorithm. That a point is on its curve is checked when a signature is. */
SP_MUST sp_err sp_ssh_key_parse(sp_span blob, sp_ssh_key *ret_key);
/* The numbers alone, behind the algorithm's name (certificates hold them so). */
void sp_ssh_key_read(sp_reader *in, sp_ssh_key_type type, sp_ssh_key *ret_key);
/* "ssh-ed25519"; "?" when there is none. */
const char *sp_ssh_key_name(sp_ssh_key_type type);
bool sp_ssh_key_type_of(sp_span name, sp_ssh_key_type *ret_type);
bool sp_ssh_key_is_security_key(sp_ssh_key_type type);
/* "SHA256:" and base64 without padding, as ssh-keygen -l prints it. */
void sp_ssh_key_fingerprint(sp_span blob, sp_buf *out);
/* "ssh-ed25519 AAAA..." */
void sp_ssh_key_text(sp_span blob, sp_buf *out);

typedef struct {
    sp_span marker;  /* known_hosts: "cert-authority", "revoked" or empty */
    sp_span hosts;   /* known_hosts: names with commas, or "|1|salt|hash" */
    sp_span options; /* authorized_keys: as written */
    sp_span blob;    /* in room */
    sp_span comment;
    sp_ssh_key key; /* parsed from blob */
} sp_ssh_key_line;

typedef enum {
    SP_SSH_LINE_PUBLIC,     /* algorithm, base64, comment */
    SP_SSH_LINE_AUTHORIZED, /* the same, options in front */
    SP_SSH_LINE_KNOWN_HOST  /* the same, marker and hosts in front */
} sp_ssh_line_kind;

/* One line without its end. room is emptied and holds the blob afterwards. SP_ENOTFOUND: empty or a
 * comment; else as sp_ssh_key_parse. The algorithm in the text must be that of the blob. */
SP_MUST sp_err sp_ssh_key_line_parse(sp_span line, sp_ssh_line_kind kind, sp_buf *room,
                                     sp_ssh_key_line *ret_line);
/* Takes the next option off *rest: `command="..."`, `no-pty`. value is without its outer quotes,
 * its \" still written so. false at the end; *ret_ok tells whether it was well formed. */
bool sp_ssh_option_next(sp_span *rest, sp_span *ret_name, sp_span *ret_value, bool *ret_ok);

#endif
