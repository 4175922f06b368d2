/* SPDX-License-Identifier: Apache-2.0
 * Asking a server of SSH for the certificate of its host key, and nothing else.
 *
 * Story: sp_ssh_ask_start() gives what is sent first. Each piece that comes is fed; what has to be
 * sent then is in `out`. It ends when the server has shown its host key in the reply of the key
 * exchange, which is never finished: nothing is encrypted, nobody logs in. A certificate is a
 * public statement that its authority signed, so it does not matter who brings it; that the server
 * has the key is proved elsewhere, by a whole key exchange that shows exactly this key.
 *
 * OWNS what came and is not read yet. PROCESS ssh gate workers, cli. TRUST the server is hostile.
 * SPEC RFC 4253 4.2, 6, 7, 11; RFC 8731; OpenSSH PROTOCOL.certkeys.
 */
#ifndef SP_PROTO_SSH_ASK_H
#define SP_PROTO_SSH_ASK_H

#include "lib/base/buf.h"
#include "lib/base/reader.h"

enum {
    SP_SSH_ASK_MAX_BYTES = 96 * 1024, /* that a server may send in all */
    SP_SSH_ASK_LINES_MAX = 64,        /* in front of its version */
    SP_SSH_ASK_RANDOM_BYTES = 48
};

typedef enum {
    SP_SSH_ASK_WAITS,     /* for more */
    SP_SSH_ASK_SHOWN,     /* *ret_key is what it showed */
    SP_SSH_ASK_NONE,      /* it has no certificate of a kind that is taken */
    SP_SSH_ASK_OTHER,     /* it shares no key exchange, cipher or MAC with us */
    SP_SSH_ASK_LEFT,      /* it said goodbye */
    SP_SSH_ASK_MALFORMED, /* no SSH, or more of it than is read */
    SP_SSH_ASK_COUNT
} sp_ssh_ask_state;

typedef struct {
    sp_buf in;
    size_t came;    /* bytes, in all */
    unsigned lines; /* in front of the version */
    uint8_t at;
    uint8_t point[32]; /* our half of the exchange: any will do */
} sp_ssh_ask;

/* random: fresh bytes, for the cookie and for `point`. out: version line and KEXINIT. */
void sp_ssh_ask_start(sp_ssh_ask *ask, const uint8_t random[SP_SSH_ASK_RANDOM_BYTES], sp_buf *out);
/* What it is at now; but for WAITS the end of it. *ret_key is valid until sp_ssh_ask_done(). */
sp_ssh_ask_state sp_ssh_ask_feed(sp_ssh_ask *ask, sp_span bytes, sp_buf *out, sp_span *ret_key);
void sp_ssh_ask_done(sp_ssh_ask *ask);
/* "the target has no host certificate", for people. */
const char *sp_ssh_ask_word(sp_ssh_ask_state state);

#endif
