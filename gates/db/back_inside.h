/* SPDX-License-Identifier: Apache-2.0
 * What the files of a log-in at a database server share.
 * OWNS nothing. PROCESS db gate workers. TRUST see back.h. SPEC gates/db/back.h.
 */
#ifndef SP_GATES_DB_BACK_INSIDE_H
#define SP_GATES_DB_BACK_INSIDE_H

#include "gates/db/back.h"
#include "gates/db/tls.h"
#include "lib/proto/vault_msg.h"

enum { DB_BACK_HOST_BYTES = 256, DB_BACK_SIGNATURE_BYTES = 32 };
#define DB_BACK_BAD_LOGIN "28000"

struct db_back_login {
    char host[DB_BACK_HOST_BYTES];
    char ca[DB_BACK_HOST_BYTES];
    sp_buf startup;
    sp_buf in;
    sp_buf first_bare; /* client-first-message-bare */
    sp_buf server_first;
    sp_buf final_bare; /* client-final-message-without-proof */
    sp_buf binding;    /* gs2 header and channel's data: what "c=" says in base64 */
    bool proven;       /* the server knows the password, or TLS said who it is */
    uint8_t signature[DB_BACK_SIGNATURE_BYTES];
    char credential[SP_VAULT_CREDENTIAL_MAX_BYTES + 1];
    bool by_certificate;
    db_tls_own own; /* what to show to the server then */
    uint32_t call;  /* to the vault */
};

/* ---- back.c ---- */

/* Over: tells whoever asked. Nothing may be done with the log-in afterwards. */
void db_back_failed(db_back *back, const char *sqlstate, const char *why);
void db_back_say(db_back *back, const sp_buf *bytes);
void db_back_begin_tls(db_back *back);

/* ---- proofs.c: what the vault is needed for ---- */

void db_back_scram_begin(db_back *back, sp_span mechanisms);
void db_back_scram_continue(db_back *back, sp_span server_first);
void db_back_scram_final(db_back *back, sp_span text);
void db_back_md5_begin(db_back *back, sp_span salt);
/* Then TLS is begun. */
void db_back_ask_certificate(db_back *back);

#endif
