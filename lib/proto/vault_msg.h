/* SPDX-License-Identifier: Apache-2.0
 * What the vault is asked: message kinds, who may send them, and their bodies.
 * OWNS nothing: decoded spans point into the packet. PROCESS core, ledger and web ask, vault
 * answers. TRUST both sides treat the other's bytes as hostile: every field is bounded.
 * SPEC docs/ARCHITECTURE.md "Vault"; the table of who may call what is vault/requests.c.
 *
 * Kind                 from           request -> reply
 * PING                 any            - -> -
 * KEYS                 core           - -> keys
 * CA                   core web       ca -> certificate (DER)
 * DEVICE_ISSUE         core           device_issue -> issued         recorded
 * TLS_IDENTITY         core web       - -> tls_identity
 * TLS_KEY              web db ssh     key name -> public key (SubjectPublicKeyInfo, DER)
 * TLS_SIGN             web db ssh     tls_sign -> signature      ssh: with "ssh-host", and only it;
 *                                                                db alone: "db-key:<credential>"
 * TOKEN_SIGN           core           claims (JSON object) -> JWT (compact)
 * TOKEN_JWKS           core web       - -> JWK set (JSON)
 * TOKEN_ROTATE         core           - -> JWK set                   recorded
 * CHECKPOINT_SIGN      ledger         checkpoint -> signed note
 * CHECKPOINT_LAST      core ledger    - -> checkpoint_last
 * WRAP, UNWRAP         core, ledger,  wrap -> bytes                  a key of the caller's role
 *                      keeper
 * EXPORT               host           X25519 public key -> exported  recorded; all keys, sealed
 * DB_CREDENTIAL_PUT    core           db_credential -> SCRAM secret  recorded
 * DB_CREDENTIAL_LIST   core           - -> keys                      those of databases
 * DB_CREDENTIAL_REMOVE core           name -> -                      recorded
 * DB_KEY_PUT           core           name -> authority (DER)        recorded
 * DB_CERTIFICATE       db             name -> certificate (DER)
 * DB_PROOF             db             db_proof -> db_proved
 * DB_PASSWORD          keeper         name -> bytes                  recorded
 * SSH_PUBLIC           core ssh       ssh_key -> public key, as on SSH's wire
 * SSH_CERTIFY          core           ssh_certify -> certificate     recorded
 * SSH_CREDENTIAL_PUT   core           db_credential -> -             recorded
 * SSH_CREDENTIAL_LIST  core           - -> keys                      those of SSH accounts
 * SSH_CREDENTIAL_REMOVE core          name -> -                      recorded
 * SSH_PASSWORD         core           name -> bytes                  recorded
 * SSH_KEY_PUT          core           ssh_named -> public key        recorded; see there
 * SSH_KEY_PUBLIC       core           name -> public key
 * SSH_KEY_SIGN         core           ssh_named -> signature         recorded; a log-in's request
 * SSH_HOST_RENEW       core           - -> public key                recorded; the old one is gone
 * CHANNEL_PUT          core           db_credential -> -             recorded; of notices
 * CHANNEL_LIST         core           - -> keys
 * CHANNEL_REMOVE       core           name -> -                      recorded
 * CHANNEL_SECRET       courier        name -> bytes                  recorded
 *
 * A body that is one run of bytes is sent as it is, without a length: "claims", "JWT", "bytes".
 * Errors: SP_EDENIED the caller's role may not; SP_EINVALID malformed; SP_ENOTFOUND no such key;
 * SP_ECORRUPT an unwrap that does not verify (other role, other bound data, changed bytes);
 * SP_ECONFLICT a checkpoint that does not grow out of the last one signed.
 */
#ifndef SP_PROTO_VAULT_MSG_H
#define SP_PROTO_VAULT_MSG_H

#include "lib/base/sha256.h"
#include "lib/proto/msg.h"

typedef enum {
    SP_VAULT_PING = 0x0200,
    SP_VAULT_KEYS,
    SP_VAULT_CA,
    SP_VAULT_DEVICE_ISSUE,
    SP_VAULT_TLS_IDENTITY,
    SP_VAULT_TLS_KEY,
    SP_VAULT_TLS_SIGN,
    SP_VAULT_TOKEN_SIGN,
    SP_VAULT_TOKEN_JWKS,
    SP_VAULT_TOKEN_ROTATE,
    SP_VAULT_CHECKPOINT_SIGN,
    SP_VAULT_CHECKPOINT_LAST,
    SP_VAULT_WRAP,
    SP_VAULT_UNWRAP,
    SP_VAULT_EXPORT,
    SP_VAULT_DB_CREDENTIAL_PUT,
    SP_VAULT_DB_CREDENTIAL_LIST,
    SP_VAULT_DB_CREDENTIAL_REMOVE,
    SP_VAULT_DB_PROOF,
    SP_VAULT_DB_PASSWORD,
    SP_VAULT_SSH_PUBLIC,
    SP_VAULT_SSH_CERTIFY,
    SP_VAULT_SSH_CREDENTIAL_PUT,
    SP_VAULT_SSH_CREDENTIAL_LIST,
    SP_VAULT_SSH_CREDENTIAL_REMOVE,
    SP_VAULT_SSH_PASSWORD,
    SP_VAULT_SSH_KEY_PUT,
    SP_VAULT_SSH_KEY_PUBLIC,
    SP_VAULT_SSH_KEY_SIGN,
    SP_VAULT_CHANNEL_PUT,
    SP_VAULT_CHANNEL_LIST,
    SP_VAULT_CHANNEL_REMOVE,
    SP_VAULT_CHANNEL_SECRET,
    SP_VAULT_DB_KEY_PUT,
    SP_VAULT_DB_CERTIFICATE,
    SP_VAULT_SSH_HOST_RENEW,
    SP_VAULT_KIND_END
} sp_vault_kind;

enum {
    SP_VAULT_NAME_MAX_BYTES = 63,
    SP_VAULT_KEY_NAME_MAX_BYTES = 135, /* in the keyring: "channel:<credential>" is the longest */
    SP_VAULT_CSR_MAX_BYTES = 4096,
    SP_VAULT_CERT_MAX_BYTES = 4096,
    SP_VAULT_CHAIN_MAX_BYTES = 32 * 1024, /* PEM, leaf first */
    SP_VAULT_DIGEST_MAX_BYTES = 64,
    SP_VAULT_CLAIMS_MAX_BYTES = 16 * 1024,
    SP_VAULT_BOUND_MAX_BYTES = 256,
    SP_VAULT_PLAIN_MAX_BYTES = 16 * 1024,
    SP_VAULT_PROOF_MAX = 64, /* hashes: a tree of 2^63 leaves */
    SP_VAULT_NOTE_MAX_BYTES = 1024,
    SP_VAULT_KEYS_MAX = 512,
    SP_VAULT_TOKEN_LIFE_MAX_S = 300,
    SP_VAULT_EXPORT_KEY_BYTES = 32,
    SP_VAULT_EXPORTED_MAX_BYTES = 96 * 1024,
    SP_VAULT_CREDENTIAL_MAX_BYTES = 127, /* "<resource>/<account>" */
    SP_VAULT_PASSWORD_MAX_BYTES = 200,
    SP_VAULT_SALT_MAX_BYTES = 64,
    SP_VAULT_ITERATIONS_MAX = 100000,
    SP_VAULT_AUTH_MESSAGE_MAX_BYTES = 4096,
    SP_VAULT_MD5_SALT_BYTES = 4,
    SP_VAULT_SSH_BLOB_MAX_BYTES = 512, /* a public key: ssh-ed25519 or ecdsa-sha2-nistp256 */
    SP_VAULT_SSH_PRIVATE_MAX_BYTES = 8 * 1024,
    SP_VAULT_SSH_KEY_ID_MAX_BYTES = 200,
    SP_VAULT_SSH_PRINCIPALS_MAX = 8,
    SP_VAULT_SSH_OPTIONS_MAX = 8,
    SP_VAULT_SSH_OPTION_MAX_BYTES = 1024,
    SP_VAULT_SSH_TARGET_LIFE_MAX_S = 3600,
    SP_VAULT_SSH_USER_LIFE_MAX_S = 12 * 3600
};

typedef enum { SP_VAULT_CA_DEVICE, SP_VAULT_CA_OFFICE, SP_VAULT_CA_COUNT } sp_vault_ca;

/* What the vault knows about a key; the key itself stays. */
typedef struct {
    sp_span name;    /* "device-ca" */
    sp_span kind;    /* "p256", "rsa", "ed25519", "aead" */
    sp_span purpose; /* one English sentence */
    uint64_t created_unix_s;
} sp_vault_key_info;

typedef struct {
    sp_vault_key_info items[SP_VAULT_KEYS_MAX];
    size_t count;
} sp_vault_keys;

/* A certificate for a device's key. Of the CSR only the public key counts (P-256, proof of
 * possession verified); subject and names are what core says. */
typedef struct {
    uint64_t device;
    sp_span device_name; /* becomes the CN */
    uint32_t life_s;     /* at most 7 days */
    sp_span csr;         /* DER, PKCS#10 */
} sp_vault_device_issue;

typedef struct {
    uint64_t not_before_unix_s;
    uint64_t not_after_unix_s;
    sp_span certificate; /* DER; its SHA-256 is the fingerprint in the live table */
} sp_vault_issued;

/* What nginx serves: `ssl_certificate_key engine:sallyport:<key_name>`. The name changes with the
 * key, so workers of before and after a renewal each find theirs. */
typedef struct {
    sp_span key_name;
    uint64_t not_after_unix_s;
    sp_span chain; /* PEM, leaf first */
} sp_vault_tls_identity;

/* TLS SignatureScheme numbers (RFC 8446 4.2.3); the digest is of the scheme's hash. */
typedef enum {
    SP_TLS_RSA_PKCS1_SHA256 = 0x0401,
    SP_TLS_RSA_PKCS1_SHA384 = 0x0501,
    SP_TLS_RSA_PKCS1_SHA512 = 0x0601,
    SP_TLS_ECDSA_SHA256 = 0x0403,
    SP_TLS_ECDSA_SHA384 = 0x0503,
    SP_TLS_ECDSA_SHA512 = 0x0603,
    SP_TLS_RSA_PSS_SHA256 = 0x0804,
    SP_TLS_RSA_PSS_SHA384 = 0x0805,
    SP_TLS_RSA_PSS_SHA512 = 0x0806
} sp_tls_scheme;

typedef struct {
    sp_span key_name;
    uint16_t scheme; /* sp_tls_scheme */
    sp_span digest;
} sp_vault_tls_sign;

/* A new tree head with the RFC 6962 consistency proof from the last one signed (empty when that
 * was size 0 or the same size). The vault answers with the C2SP signed note
 *     <origin>\n<size>\n<root, base64>\n\n— <origin> <key id and signature, base64>\n
 * and remembers size and root durably before it answers. */
typedef struct {
    uint64_t old_size; /* of the checkpoint that the proof starts from: the last one signed */
    uint64_t new_size;
    sp_hash new_root;
    sp_hash proof[SP_VAULT_PROOF_MAX];
    size_t proof_count;
} sp_vault_checkpoint;

typedef struct {
    uint64_t size; /* 0 = none signed yet: the empty tree's root */
    sp_hash root;
    sp_span origin; /* the office's domain */
    sp_span
        verifier_key; /* "<name>+<key id, hex>+<0x01 and public key, base64>" (C2SP signed-note) */
    sp_span note;     /* the last one signed, empty when none */
} sp_vault_checkpoint_last;

/* Sealing of a small secret (another key) by a key that only the caller's role can use. bound
 * names what it belongs to ("subject 1042"); unwrapping needs the same. */
typedef struct {
    sp_span bound;
    sp_span bytes; /* plain to WRAP, wrapped to UNWRAP */
} sp_vault_wrap;

/* A backup's part of the vault: every key and the last checkpoint, readable only to the secret half
 * of the public key that was sent (vault/export.h); and, for all, which ledger it belongs to. */
typedef struct {
    sp_span domain;   /* of the office */
    uint64_t entries; /* of the last checkpoint signed */
    sp_hash root;
    sp_span sealed;
} sp_vault_exported;

/* The key by which a database account logs in; for TLS_KEY and TLS_SIGN: this and the credential's
 * name. REMOVE of a credential forgets its password and its key. */
#define SP_VAULT_DB_KEY_PREFIX "db-key:"

/* The password of a database account. The reply is what PostgreSQL stores for it
 * ("SCRAM-SHA-256$<iterations>:<salt>$..."), for ALTER ROLE ... PASSWORD: with a generated password
 * nobody ever sees one. */
typedef struct {
    sp_span name;     /* "<resource>/<account>" */
    sp_span password; /* UTF-8; empty = the vault makes one */
} sp_vault_db_credential;

typedef enum { SP_VAULT_DB_SCRAM, SP_VAULT_DB_MD5, SP_VAULT_DB_METHOD_COUNT } sp_vault_db_method;

/* The gate speaks the client's side of a log-in and lacks only this. The account is the part of
 * the name behind '/'. SP_ENOTFOUND: no such credential. */
typedef struct {
    uint8_t method; /* sp_vault_db_method */
    sp_span name;
    sp_span salt;         /* SCRAM: decoded; MD5: the four bytes */
    uint32_t iterations;  /* SCRAM: 1..SP_VAULT_ITERATIONS_MAX */
    sp_span auth_message; /* SCRAM: client-first-bare "," server-first "," client-final-bare */
} sp_vault_db_proof;

typedef struct {
    sp_span proof;  /* SCRAM: ClientProof, 32 bytes; MD5: "md5" and 32 hex digits */
    sp_span server; /* SCRAM: ServerSignature that the server must show, 32 bytes; MD5: empty */
} sp_vault_db_proved;

typedef enum {
    SP_VAULT_SSH_HOST,      /* "ssh-host", P-256: what clients of the gate see; TLS_SIGN signs */
    SP_VAULT_SSH_TARGET_CA, /* "ssh-ca", Ed25519: what targets trust */
    SP_VAULT_SSH_USER_CA,   /* "ssh-user-ca", Ed25519: certificates of people, for the gate */
    SP_VAULT_SSH_KEY_COUNT
} sp_vault_ssh_key;

/* A critical option or an extension; data empty: a flag. */
typedef struct {
    sp_span name;
    sp_span data;
} sp_vault_ssh_option;

/* An OpenSSH user certificate; serial and nonce are the vault's. At least one principal; options
 * and extensions in order of names, each once. The life is bounded by the CA's maximum, and it may
 * not begin more than five minutes ago or end in the past. */
typedef struct {
    uint8_t ca;   /* sp_vault_ssh_key: TARGET_CA or USER_CA */
    sp_span blob; /* the key that is certified */
    sp_span key_id;
    uint64_t valid_after_unix_s;
    uint64_t valid_before_unix_s;
    uint8_t principal_count;
    uint8_t critical_count;
    uint8_t extension_count;
    sp_span principals[SP_VAULT_SSH_PRINCIPALS_MAX];
    sp_vault_ssh_option critical[SP_VAULT_SSH_OPTIONS_MAX];
    sp_vault_ssh_option extensions[SP_VAULT_SSH_OPTIONS_MAX];
} sp_vault_ssh_certify;

/* The key of an SSH account, and bytes. KEY_PUT: a private key without passphrase (OpenSSH's form,
 * or PEM for RSA), empty = the vault makes one, Ed25519. KEY_SIGN: the request of RFC 4252 7 for
 * that account and key, and nothing else; the reply is the signature as on SSH's wire.
 * SP_ENOTFOUND, SP_EUNSUPPORTED (an algorithm, or a passphrase), SP_EINVALID. */
typedef struct {
    sp_span name; /* "<resource>/<account>" */
    sp_span bytes;
} sp_vault_ssh_named;

/* "DEVICE_ISSUE" for logs and the ledger; "unknown" for no kind of ours. */
const char *sp_vault_kind_word(uint16_t kind);

/* Requests: asker encodes (bodies are appended), vault decodes. SP_EINVALID, SP_ESHORT, SP_ELIMIT.
 * The large ones (checkpoint, keys) are filled in place: not to be looked at after an error. */
void sp_vault_ca_encode(sp_vault_ca ca, sp_buf *out);
SP_MUST sp_err sp_vault_ca_decode(sp_span body, sp_vault_ca *ret_ca);
void sp_vault_device_issue_encode(const sp_vault_device_issue *ask, sp_buf *out);
SP_MUST sp_err sp_vault_device_issue_decode(sp_span body, sp_vault_device_issue *ret_ask);
void sp_vault_tls_sign_encode(const sp_vault_tls_sign *ask, sp_buf *out);
SP_MUST sp_err sp_vault_tls_sign_decode(sp_span body, sp_vault_tls_sign *ret_ask);
void sp_vault_checkpoint_encode(const sp_vault_checkpoint *ask, sp_buf *out);
SP_MUST sp_err sp_vault_checkpoint_decode(sp_span body, sp_vault_checkpoint *ret_ask);
void sp_vault_wrap_encode(const sp_vault_wrap *ask, sp_buf *out);
SP_MUST sp_err sp_vault_wrap_decode(sp_span body, sp_vault_wrap *ret_ask);
void sp_vault_db_credential_encode(const sp_vault_db_credential *ask, sp_buf *out);
SP_MUST sp_err sp_vault_db_credential_decode(sp_span body, sp_vault_db_credential *ret_ask);
void sp_vault_db_proof_encode(const sp_vault_db_proof *ask, sp_buf *out);
SP_MUST sp_err sp_vault_db_proof_decode(sp_span body, sp_vault_db_proof *ret_ask);
void sp_vault_ssh_public_encode(sp_vault_ssh_key which, sp_buf *out);
SP_MUST sp_err sp_vault_ssh_public_decode(sp_span body, sp_vault_ssh_key *ret_which);
void sp_vault_ssh_certify_encode(const sp_vault_ssh_certify *ask, sp_buf *out);
SP_MUST sp_err sp_vault_ssh_certify_decode(sp_span body, sp_vault_ssh_certify *ret_ask);
void sp_vault_ssh_named_encode(const sp_vault_ssh_named *ask, sp_buf *out);
SP_MUST sp_err sp_vault_ssh_named_decode(sp_span body, sp_vault_ssh_named *ret_ask);

/* Replies: vault encodes, asker decodes. */
void sp_vault_keys_encode(const sp_vault_keys *keys, sp_buf *out);
SP_MUST sp_err sp_vault_keys_decode(sp_span body, sp_vault_keys *ret_keys);
void sp_vault_issued_encode(const sp_vault_issued *issued, sp_buf *out);
SP_MUST sp_err sp_vault_issued_decode(sp_span body, sp_vault_issued *ret_issued);
void sp_vault_tls_identity_encode(const sp_vault_tls_identity *identity, sp_buf *out);
SP_MUST sp_err sp_vault_tls_identity_decode(sp_span body, sp_vault_tls_identity *ret_identity);
void sp_vault_checkpoint_last_encode(const sp_vault_checkpoint_last *last, sp_buf *out);
SP_MUST sp_err sp_vault_checkpoint_last_decode(sp_span body, sp_vault_checkpoint_last *ret_last);
void sp_vault_exported_encode(const sp_vault_exported *exported, sp_buf *out);
SP_MUST sp_err sp_vault_exported_decode(sp_span body, sp_vault_exported *ret_exported);
void sp_vault_db_proved_encode(const sp_vault_db_proved *proved, sp_buf *out);
SP_MUST sp_err sp_vault_db_proved_decode(sp_span body, sp_vault_db_proved *ret_proved);

#endif
