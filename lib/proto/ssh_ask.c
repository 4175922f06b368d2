/* SPDX-License-Identifier: Apache-2.0
 * The first half of a key exchange of SSH.
 * OWNS what came. PROCESS ssh gate workers, cli. TRUST the server is hostile.
 * SPEC lib/proto/ssh_ask.h.
 */
#include "lib/proto/ssh_ask.h"

#include "lib/base/mem.h"

enum {
    MSG_DISCONNECT = 1,
    MSG_IGNORE = 2,
    MSG_UNIMPLEMENTED = 3,
    MSG_DEBUG = 4,
    MSG_KEXINIT = 20,
    MSG_KEX_ECDH_INIT = 30,
    MSG_KEX_ECDH_REPLY = 31,
    COOKIE_BYTES = 16,
    PACKET_MAX_BYTES = 35000,
    PADDING_MIN_BYTES = 4,
    BLOCK_BYTES = 8,
    LINE_MAX_BYTES = 1024,
    LIST_MAX_BYTES = 8192
};

typedef enum { AT_VERSION, AT_KEXINIT, AT_REPLY, AT_END } step;

#define VERSION "SSH-2.0-Sallyport\r\n"
#define EXCHANGES "curve25519-sha256,curve25519-sha256@libssh.org"
#define CERTIFICATES                                                                               \
    "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,"                   \
    "ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521-cert-v01@openssh.com,"           \
    "rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com"
/* Nothing is ever encrypted with them: a server that shares none does not go on. */
#define CIPHERS                                                                                    \
    "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,"      \
    "aes256-ctr"
#define MACS                                                                                       \
    "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"

/* In the order of RFC 4253 7.1; the languages are not looked at. */
static const char *const LISTS[] = {EXCHANGES, CERTIFICATES, CIPHERS, CIPHERS, MACS,
                                    MACS,      "none",       "none",  "",      ""};
enum { LIST_CERTIFICATES = 1, LIST_LANGUAGES = 8 };

/* ---- what is sent ---- */

static void put_packet(sp_buf *out, sp_span payload)
{
    size_t padding = BLOCK_BYTES - (5 + payload.len) % BLOCK_BYTES;
    padding += padding < PADDING_MIN_BYTES ? BLOCK_BYTES : 0;
    sp_buf_u32(out, (uint32_t)(1 + payload.len + padding));
    sp_buf_u8(out, (uint8_t)padding);
    sp_buf_span(out, payload);
    for (size_t i = 0; i < padding; i++) {
        sp_buf_u8(out, 0);
    }
}

void sp_ssh_ask_start(sp_ssh_ask *ask, const uint8_t random[SP_SSH_ASK_RANDOM_BYTES], sp_buf *out)
{
    auto_buf sp_buf payload = sp_buf_make(LIST_MAX_BYTES);
    *ask = (sp_ssh_ask){.in = sp_buf_make(SP_SSH_ASK_MAX_BYTES), .at = AT_VERSION};
    sp_copy(ask->point, random + COOKIE_BYTES, sizeof(ask->point));
    sp_buf_u8(&payload, MSG_KEXINIT);
    sp_buf_span(&payload, sp_span_of(random, COOKIE_BYTES));
    for (size_t i = 0; i < SP_COUNT(LISTS); i++) {
        sp_buf_bytes(&payload, sp_span_cstr(LISTS[i]));
    }
    sp_buf_u8(&payload, 0); /* no guess follows */
    sp_buf_u32(&payload, 0);
    sp_buf_text(out, VERSION);
    put_packet(out, sp_buf_borrow(&payload));
}

static void put_init(const sp_ssh_ask *ask, sp_buf *out)
{
    auto_buf sp_buf payload = sp_buf_make(1 + 4 + sizeof(ask->point));
    sp_buf_u8(&payload, MSG_KEX_ECDH_INIT);
    sp_buf_bytes(&payload, sp_span_of(ask->point, sizeof(ask->point)));
    put_packet(out, sp_buf_borrow(&payload));
}

/* ---- what comes ---- */

/* Lines may stand in front of the version. *ret_used: 0, or the bytes of a whole line. */
static sp_ssh_ask_state read_line(sp_ssh_ask *ask, sp_span all, size_t *ret_used)
{
    size_t end = sp_span_index(all, '\n');
    if (end > LINE_MAX_BYTES) {
        return SP_SSH_ASK_MALFORMED;
    }
    if (end == all.len) {
        return SP_SSH_ASK_WAITS;
    }
    sp_span line = sp_span_slice(all, 0, end);
    if (sp_span_starts(line, SP_SPAN_LIT("SSH-2.0-")) ||
        sp_span_starts(line, SP_SPAN_LIT("SSH-1.99-"))) {
        ask->at = AT_KEXINIT;
    } else if (sp_span_starts(line, SP_SPAN_LIT("SSH-")) || ++ask->lines > SP_SSH_ASK_LINES_MAX) {
        return SP_SSH_ASK_MALFORMED;
    }
    *ret_used = end + 1;
    return SP_SSH_ASK_WAITS;
}

/* One of ours is among theirs. */
static bool share(sp_span ours, sp_span theirs)
{
    sp_span mine = SP_SPAN_EMPTY;
    while (sp_span_split(&ours, ',', &mine)) {
        sp_span rest = theirs;
        sp_span one = SP_SPAN_EMPTY;
        while (sp_span_split(&rest, ',', &one)) {
            if (sp_span_eq(one, mine)) {
                return true;
            }
        }
    }
    return false;
}

static sp_ssh_ask_state read_kexinit(sp_ssh_ask *ask, sp_reader *in, sp_buf *out)
{
    bool has_certificate = false;
    bool fits = true;
    (void)sp_read_span(in, COOKIE_BYTES);
    for (size_t i = 0; i < SP_COUNT(LISTS); i++) {
        sp_span theirs = sp_read_bytes(in, LIST_MAX_BYTES);
        if (i == LIST_CERTIFICATES) {
            has_certificate = share(sp_span_cstr(LISTS[i]), theirs);
        } else if (i < LIST_LANGUAGES) {
            fits = fits && share(sp_span_cstr(LISTS[i]), theirs);
        }
    }
    (void)sp_read_u8(in);
    (void)sp_read_u32(in);
    if (sp_failed(sp_reader_finish(in))) {
        return SP_SSH_ASK_MALFORMED;
    }
    if (!has_certificate || !fits) {
        return has_certificate ? SP_SSH_ASK_OTHER : SP_SSH_ASK_NONE;
    }
    ask->at = AT_REPLY;
    put_init(ask, out);
    return SP_SSH_ASK_WAITS;
}

static sp_ssh_ask_state read_reply(sp_reader *in, sp_span *ret_key)
{
    sp_span key = sp_read_bytes(in, PACKET_MAX_BYTES);
    (void)sp_read_bytes(in, PACKET_MAX_BYTES); /* their half */
    (void)sp_read_bytes(in, PACKET_MAX_BYTES); /* what they signed: of no use without a secret */
    if (sp_failed(sp_reader_finish(in)) || key.len == 0) {
        return SP_SSH_ASK_MALFORMED;
    }
    *ret_key = key;
    return SP_SSH_ASK_SHOWN;
}

static sp_ssh_ask_state take_payload(sp_ssh_ask *ask, sp_span payload, sp_buf *out,
                                     sp_span *ret_key)
{
    sp_reader in = sp_reader_of(payload);
    switch (sp_read_u8(&in)) {
    case MSG_IGNORE:
    case MSG_UNIMPLEMENTED:
    case MSG_DEBUG:
        return SP_SSH_ASK_WAITS;
    case MSG_DISCONNECT:
        return SP_SSH_ASK_LEFT;
    case MSG_KEXINIT:
        return ask->at == AT_KEXINIT ? read_kexinit(ask, &in, out) : SP_SSH_ASK_MALFORMED;
    case MSG_KEX_ECDH_REPLY:
        return ask->at == AT_REPLY ? read_reply(&in, ret_key) : SP_SSH_ASK_MALFORMED;
    default:
        return SP_SSH_ASK_MALFORMED;
    }
}

/* *ret_used: 0, or the bytes of a whole packet. */
static sp_ssh_ask_state read_packet(sp_ssh_ask *ask, sp_span all, sp_buf *out, sp_span *ret_key,
                                    size_t *ret_used)
{
    sp_reader in = sp_reader_of(all);
    size_t len = sp_read_u32(&in);
    size_t padding = sp_read_u8(&in);
    if (sp_failed(in.err)) {
        return SP_SSH_ASK_WAITS;
    }
    if (len > PACKET_MAX_BYTES || padding < PADDING_MIN_BYTES || len < padding + 2) {
        return SP_SSH_ASK_MALFORMED;
    }
    if (all.len < 4 + len) {
        return SP_SSH_ASK_WAITS;
    }
    *ret_used = 4 + len;
    return take_payload(ask, sp_span_slice(all, 5, 4 + len - padding), out, ret_key);
}

sp_ssh_ask_state sp_ssh_ask_feed(sp_ssh_ask *ask, sp_span bytes, sp_buf *out, sp_span *ret_key)
{
    sp_ssh_ask_state state = SP_SSH_ASK_MALFORMED;
    size_t at = 0;
    if (ask->at != AT_END && bytes.len <= SP_SSH_ASK_MAX_BYTES - ask->came) {
        ask->came += bytes.len;
        sp_buf_span(&ask->in, bytes);
        state = sp_failed(sp_buf_error(&ask->in)) ? SP_SSH_ASK_MALFORMED : SP_SSH_ASK_WAITS;
    }
    for (bool more = true; more && state == SP_SSH_ASK_WAITS;) {
        sp_span rest = sp_span_slice(sp_buf_borrow(&ask->in), at, ask->in.len);
        size_t used = 0;
        state = ask->at == AT_VERSION ? read_line(ask, rest, &used)
                                      : read_packet(ask, rest, out, ret_key, &used);
        at += used;
        more = used > 0;
    }
    if (state == SP_SSH_ASK_WAITS) {
        sp_buf_drop(&ask->in, at); /* once: what it costs goes by what came */
    } else {
        ask->at = AT_END;
    }
    return state;
}

void sp_ssh_ask_done(sp_ssh_ask *ask)
{
    sp_buf_done(&ask->in);
}

const char *sp_ssh_ask_word(sp_ssh_ask_state state)
{
    static const char *const WORDS[] = {
        "the target does not answer",
        "the target showed its host key",
        "the target has no host certificate",
        "the target shares no key exchange, cipher or MAC with the gate",
        "the target closed the connection before it showed its host certificate",
        "the target does not speak SSH as it should before it shows its host certificate"};
    _Static_assert(SP_COUNT(WORDS) == SP_SSH_ASK_COUNT, "a word for each");
    return (unsigned)state < SP_SSH_ASK_COUNT ? WORDS[state] : "?";
}
