/* SPDX-License-Identifier: Apache-2.0
 * A worker of the SSH gate: its lines, its cage, its host key, accepting, once a second, its end.
 * OWNS the worker. PROCESS ssh gate workers. TRUST core, vault and ledger are other processes of
 * ours; clients are nobody yet. SPEC gates/ssh/gate.h.
 */
#include "gates/ssh/gate.h"

#include "infra/crypto/random.h"
#include "infra/proc/log.h"
#include "infra/tls/engine.h"
#include "lib/proto/db_msg.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    RING_BYTES = 16 << 20,
    FILES_MAX = 65536, /* libssh keeps 16 bits of what SSH_OPTIONS_FD names */
    FILES_SPARE = 128,
    FILES_A_CONN = 4, /* of each side, ours and libssh's */
    ACCEPTS_A_TURN = 32,
    TICK_US = 1000000,
    LOOK_EVERY_TICKS = 10,
    PEM_MAX_BYTES = 4096
};

/* What we speak: nothing that is broken, weak or only for old clients. Modes without AEAD are for
 * clients that know no better (paramiko, PuTTY of some years). No post-quantum key exchange: libssh
 * 0.10 has none. */
static const char key_exchanges[] =
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,"
    "diffie-hellman-group16-sha512,diffie-hellman-group18-sha512";
static const char ciphers[] = "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,"
                              "aes256-gcm@openssh.com,aes128-ctr,aes256-ctr";
/* With the processor's help AES-GCM is cheaper than ChaCha20-Poly1305, for a key as for a file; to
 * a client it is he who chooses (RFC 4253 7.1). */
static const char aes_first[] = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,"
                                "chacha20-poly1305@openssh.com,aes128-ctr,aes256-ctr";
static const char macs[] = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com";
const char sg_back_macs[] = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,"
                            "hmac-sha2-256,hmac-sha2-512";
static const char user_keys[] =
    "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,"
    "sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256";

sg_worker sg_here;

static struct {
    char *core_path;
    char *vault_path;
    char *ledger_path;
    uint32_t conns_max;
    uint64_t ticks;
    bool told; /* the log knows that there is no host key */
    sp_watch signals;
} own;

const char *sg_back_ciphers(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul") ? aes_first : ciphers;
#elif defined(__aarch64__)
    return (getauxval(AT_HWCAP) & HWCAP_AES) != 0 ? aes_first : ciphers;
#else
    return ciphers;
#endif
}

/* ---- the host key ---- */

static bool make_bind(void)
{
    ssh_key key = NULL;
    auto_buf sp_buf pem = sp_buf_make(PEM_MAX_BYTES);
    if (sp_failed(sp_tls_engine_pem_begin("ssh-host", &pem))) {
        return false;
    }
    sp_buf_u8(&pem, 0);
    int rc = ssh_pki_import_privkey_base64((const char *)pem.ptr, NULL, NULL, NULL, &key);
    sp_tls_engine_pem_end();
    if (rc != SSH_OK) {
        return false;
    }
    const bool no = false;
    ssh_bind bind = ssh_bind_new();
    bool well =
        bind != NULL && ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no) == 0 &&
        ssh_bind_options_set(bind, SSH_BIND_OPTIONS_BANNER, "Sallyport") == 0 &&
        ssh_bind_options_set(bind, SSH_BIND_OPTIONS_HOSTKEY_ALGORITHMS, "ecdsa-sha2-nistp256") ==
            0 &&
        ssh_bind_options_set(bind, SSH_BIND_OPTIONS_KEY_EXCHANGE, key_exchanges) == 0 &&
        ssh_bind_options_set(bind, SSH_BIND_OPTIONS_CIPHERS_C_S, ciphers) == 0 &&
        ssh_bind_options_set(bind, SSH_BIND_OPTIONS_CIPHERS_S_C, ciphers) == 0 &&
        ssh_bind_options_set(bind, SSH_BIND_OPTIONS_HMAC_C_S, macs) == 0 &&
        ssh_bind_options_set(bind, SSH_BIND_OPTIONS_HMAC_S_C, macs) == 0 &&
        ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES, user_keys) == 0 &&
        ssh_bind_options_set(bind, SSH_BIND_OPTIONS_IMPORT_KEY, key) == 0;
    if (!well) {
        sp_log(SP_LOG_ERROR, "libssh does not take the gate's settings: %s",
               bind == NULL ? "no memory" : ssh_get_error(bind));
        ssh_bind_free(bind);
        return false;
    }
    sg_here.bind = bind;
    return true;
}

static void look_for_key(void)
{
    if (sg_here.bind != NULL) {
        return;
    }
    if (make_bind()) {
        sg_conn_count();
    } else if (!own.told) {
        own.told = true;
        sp_log(SP_LOG_WARN, "the vault has no host key for the SSH gate, or does not answer: "
                            "clients are turned away until it does");
    }
}

/* ---- accepting ---- */

/* The listening socket must not be left ringing: who cannot be served is accepted and closed. */
static bool has_room(int fd)
{
    if (sg_here.conn_count < own.conns_max && sg_here.bind != NULL) {
        return true;
    }
    close(fd);
    return false;
}

static void on_listening(sp_watch *watch, unsigned ready)
{
    (void)ready;
    for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        socklen_t len = sizeof(address);
        int fd =
            accept4(watch->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        if (!sp_give_away(&sg_here.give, sg_conn_load(), fd) && has_room(fd)) {
            sg_conn_new(fd, (const struct sockaddr *)&address);
        }
    }
}

static void on_given(sp_watch *watch, unsigned ready)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    uint8_t byte = 0;
    size_t len = 0;
    int fd = -1;
    (void)ready;
    while (sp_give_hear(watch->fd, &byte, sizeof(byte), &len, &fd)) {
        if (fd >= 0 && has_room(fd) && sp_give_peer(fd, &address)) {
            sg_conn_new(fd, (const struct sockaddr *)&address);
        }
    }
}

/* ---- lines ---- */

static void on_again(sp_office *office, bool fresh_policy)
{
    (void)office;
    (void)fresh_policy;
    sg_conn_look_again();
}

static void on_hello(sp_office *office)
{
    (void)office;
    sg_conn_tell_all();
}

/* A connection that is not here has ended already. */
static void on_push(sp_office *office, const sp_msg *msg)
{
    sp_ssh_kill end;
    (void)office;
    if (msg->kind == SP_CORE_SSH_KILL && !sp_failed(sp_ssh_kill_read(msg->body, &end))) {
        sg_conn *conn = sg_conn_of(end.connection);
        if (conn != NULL) {
            sg_refusal refusal;
            auto_buf sp_buf why = sp_buf_make(SG_TEXT_BYTES);
            sg_text_clean(end.reason, SG_TEXT_BYTES / 2, &why);
            sg_refusal_make(&refusal, SP_REASON_SESSION_ENDED, "this connection was ended: %.*s",
                            SP_SPAN_ARG(sp_buf_borrow(&why)));
            sg_conn_fail(conn, &refusal);
        }
    } else {
        sg_start_push(msg);
    }
}

/* The epoch moved and core did not live to say so; or hours, days and the age of a sign-in may have
 * gone by, of which nobody sends word. */
static bool is_time_to_look(void)
{
    bool moved = sg_here.office.has_live && sp_live_epoch(&sg_here.office.live) != sg_conn_epoch();
    return moved || ++own.ticks % LOOK_EVERY_TICKS == 0;
}

static void on_tick(sp_timer *timer)
{
    static const char beat = '.';
    look_for_key();
    sg_door_tick();
    sg_conn_tick();
    if (is_time_to_look()) {
        sg_conn_look_again();
    }
    (void)!write(sg_here.pulse_fd, &beat, 1); /* full: the supervisor has enough to read */
    SP_IGNORE(sp_timer_set(sg_here.loop, timer, TICK_US)); /* its place in the heap is free */
}

static void on_signal(sp_watch *watch, unsigned ready)
{
    struct signalfd_siginfo info;
    (void)ready;
    while (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
            sg_here.stopping = true;
            sp_loop_stop(sg_here.loop);
        }
    }
}

static sp_err watch_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_SETMASK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        return sp_fail(SP_EIO);
    }
    own.signals = (sp_watch){.on_ready = on_signal, .fd = -1};
    return sp_watch_start(sg_here.loop, &own.signals, fd);
}

static sp_err start_lines(const sp_config *config)
{
    char name[32];
    TRY(sp_config_socket(config, "core", &own.core_path));
    TRY(sp_config_socket(config, "vault", &own.vault_path));
    TRY(sp_config_socket(config, "ledger", &own.ledger_path));
    TRY(sp_tls_engine_register(own.vault_path));
    snprintf(name, sizeof(name), "ssh worker %u", sg_here.number + 1);
    TRY(sp_recorder_start(&sg_here.recorder, sg_here.loop, own.ledger_path, SP_GATE_SSH, name,
                          RING_BYTES));
    sg_here.office.on_again = on_again;
    sg_here.office.on_hello = on_hello;
    sg_here.office.on_push = on_push;
    sp_office_start(&sg_here.office, sg_here.loop, own.core_path, SP_GATE_SSH);
    look_for_key();
    return sp_ok();
}

static sp_err start_listening(const sp_worker_start *start)
{
    for (size_t i = 0; i < start->listen_count; i++) {
        sg_here.listening[i] = (sp_watch){.on_ready = on_listening, .fd = -1};
        TRY(sp_watch_start_shared(sg_here.loop, &sg_here.listening[i], start->listen_fds[i]));
    }
    sg_here.listening_count = start->listen_count;
    sg_here.mesh = (sp_watch){.on_ready = on_given, .fd = -1};
    TRY(sp_watch_start(sg_here.loop, &sg_here.mesh, start->mesh_in));
    sg_here.tick.on_time = on_tick;
    sg_conn_count();
    return sp_timer_set(sg_here.loop, &sg_here.tick, 0);
}

/* ---- life ---- */

static sp_err lock_in(void)
{
    static const char *const reads[SP_WORKER_READS_MAX] = {NULL};
    sp_err err = sp_worker_lock_in("ssh", FILES_MAX, reads);
    struct rlimit files = {.rlim_cur = 1024};
    getrlimit(RLIMIT_NOFILE, &files);
    own.conns_max = (uint32_t)((files.rlim_cur - FILES_SPARE) / FILES_A_CONN);
    return err;
}

static sp_err prepare(const sp_worker_start *start)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    sg_here.config = start->config;
    sg_here.number = start->number;
    sg_here.count = start->count;
    sg_here.pulse_fd = start->pulse_fd;
    sp_give_start(&sg_here.give, start);
    ssh_set_log_level(SSH_LOG_NOLOG);
    TRY(sp_crypto_start());
    TRY(lock_in());
    TRY(sp_loop_new(&sg_here.loop));
    TRY(sp_resolve_prepare(sg_here.loop));
    TRY(watch_signals());
    TRY(start_lines(start->config));
    return start_listening(start);
}

static void say_goodbye(void)
{
    sg_refusal refusal;
    for (uint32_t i = 0; i < sg_here.conn_cap; i++) {
        if (sg_here.conns[i] != NULL) {
            sg_refusal_make(&refusal, SP_REASON_UNAVAILABLE, "the gate is stopping");
            sg_conn_fail(sg_here.conns[i], &refusal);
        }
    }
}

int sg_worker_run(const sp_worker_start *start)
{
    sp_err err = prepare(start);
    if (!sp_failed(err)) {
        err = sp_loop_run(sg_here.loop);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "worker %u of the SSH gate cannot go on (%s)", start->number + 1,
               sp_code_word(err.code));
        return EXIT_FAILURE;
    }
    say_goodbye();
    sp_recorder_stop(&sg_here.recorder);
    sp_office_stop(&sg_here.office);
    return EXIT_SUCCESS;
}
