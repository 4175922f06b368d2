/* SPDX-License-Identifier: Apache-2.0
 * A bench harness for the web gate alone: publishes a policy and a live table of any number of
 * sessions through the real libraries, serves core.sock, and (unless a ledger is named) drains the
 * workers' rings, writing each event as a line. It writes nginx's configuration with the real
 * generator, so that what is measured and attacked is what an office runs.
 * OWNS all of it. PROCESS benches and tests only. TRUST its arguments.
 * SPEC bench/web/README.md.
 */
#include "gates/web/nginx_conf.h"
#include "infra/crypto/random.h"
#include "infra/ipc/server.h"
#include "infra/ipc/shm.h"
#include "infra/proc/clock.h"
#include "infra/proc/file.h"
#include "lib/policy/compile.h"
#include "lib/proto/core_msg.h"
#include "lib/proto/ledger_msg.h"
#include "lib/proto/live.h"
#include "lib/proto/ring.h"
#include "lib/web/cookie.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES_MAX = 64, RINGS_MAX = 16, DRAIN_MS = 2, LINE_BYTES = 1024 };

typedef struct {
    sp_peer *peer;
    sp_shm shm;
    sp_ring ring;
} attached_ring;

static struct {
    uv_loop_t loop;
    const char *dir;
    const char *documents;
    const char *listen;
    const char *module;
    const char *device_ca;
    uint32_t sessions;
    unsigned workers;
    unsigned port;
    bool own_ledger;
    const char *ledger;
    /* published */
    sp_policy_set *set;
    int snapshot_fd;
    sp_shm live_shm;
    int live_fd;
    sp_live live;
    uint64_t version;
    sp_server *core;
    sp_server *ledger_server;
    attached_ring rings[RINGS_MAX];
    uv_timer_t drain;
    bool deaf; /* the ledger neither reads nor lives */
    FILE *events;
    uv_pipe_t input;
    char line[LINE_BYTES];
    size_t line_len;
} h;

static void check(sp_err err, const char *what)
{
    if (sp_failed(err)) {
        fprintf(stderr, "web_harness: %s: %s\n", what, sp_code_word(err.code));
        exit(1);
    }
}

static char *in_dir(const char *name)
{
    auto_buf sp_buf text = sp_buf_make(1024);
    sp_buf_fmt(&text, "%s/%s", h.dir, name);
    char *path = NULL;
    check(sp_buf_take_cstr(&text, &path), "path");
    return path;
}

/* ---- the policy ---- */

static sp_err utc(void *ctx, sp_span name, sp_zone *ret_zone)
{
    (void)ctx;
    (void)name;
    *ret_zone = (sp_zone){.count = 1, .steps = {{.from_unix_s = INT64_MIN, .offset_s = 0}}};
    return sp_ok();
}

static size_t read_documents(sp_policy_file files[FILES_MAX])
{
    size_t count = 0;
    DIR *dir = opendir(h.documents);
    const struct dirent *entry = NULL;
    while (dir != NULL && (entry = readdir(dir)) != NULL && count < FILES_MAX) {
        if (!sp_span_ends(sp_span_cstr(entry->d_name), SP_SPAN_LIT(".yaml"))) {
            continue;
        }
        auto_buf sp_buf path = sp_buf_make(1024);
        sp_buf_fmt(&path, "%s/%s", h.documents, entry->d_name);
        sp_buf_byte(&path, '\0');
        sp_buf text = sp_buf_make(SP_POLICY_FILE_MAX_BYTES);
        check(sp_file_read((const char *)sp_buf_borrow(&path).ptr, &text), entry->d_name);
        char *name = NULL;
        check(sp_strdup(sp_span_cstr(entry->d_name), &name), "name");
        files[count++] = (sp_policy_file){.name = name, .text = sp_buf_borrow(&text)};
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return count;
}

/* Persons are "person 1" .. ; the first role of the documents is everybody's. */
static bool compile(void)
{
    static sp_policy_file files[FILES_MAX];
    sp_policy_input input = {.files = files,
                             .files_count = read_documents(files),
                             .people_open = true,
                             .version = ++h.version,
                             .now_unix_s = sp_now_unix_us() / 1000000,
                             .zone = utc};
    auto_diags sp_diags diags = {0};
    sp_policy_set *set = NULL;
    sp_err err = sp_policy_compile(&input, &diags, &set);
    auto_buf sp_buf text = sp_buf_make(1 << 20);
    sp_diags_print(&diags, &text);
    fprintf(stderr, "%.*s", SP_SPAN_ARG(sp_buf_borrow(&text)));
    if (sp_failed(err)) {
        return false;
    }
    sp_policy_set_free(h.set);
    h.set = set;
    if (h.snapshot_fd >= 0) {
        close(h.snapshot_fd);
    }
    check(sp_shm_sealed("snapshot", sp_policy_set_snapshot(set), &h.snapshot_fd), "snapshot");
    return true;
}

/* ---- sessions ---- */

static uint32_t power_above(uint32_t n)
{
    uint32_t power = 64;
    while (power < n) {
        power *= 2;
    }
    return power;
}

static void role_bits(uint64_t roles[SP_ROLE_WORDS])
{
    sp_policy_role role;
    check(sp_policy_set_role_find(h.set, SP_SPAN_LIT("staff"), &role), "the role staff");
    sp_copy(roles, role.implies, sizeof(role.implies));
}

static void put_token(uint32_t slot, uint64_t id, sp_span host, FILE *cookies)
{
    uint8_t secret[32];
    sp_random(secret, sizeof(secret));
    auto_buf sp_buf text = sp_buf_make(64);
    sp_buf_base64url(&text, (sp_span){secret, sizeof(secret)});
    sp_hash hash = sp_sha256(sp_buf_borrow(&text));
    check(sp_live_token_put(&h.live, &hash, sp_live_audience(host), slot, id), "token");
    fprintf(cookies, "%u %.*s %.*s\n", slot, SP_SPAN_ARG(host), SP_SPAN_ARG(sp_buf_borrow(&text)));
}

static void put_session(uint32_t slot, FILE *cookies)
{
    uint64_t now_s = sp_now_unix_us() / 1000000;
    sp_live_session session = {.id = slot + 1000,
                               .started_unix_s = now_s,
                               .auth_unix_s = now_s,
                               .expires_unix_s = now_s + 86400,
                               .person = slot + 1,
                               .device = SP_NONE,
                               .state = SP_SESSION_LIVE,
                               .strength = SP_STRENGTH_PASSKEY};
    role_bits(session.roles);
    snprintf(session.person_name, sizeof(session.person_name), "person %u", slot + 1);
    check(sp_live_session_put(&h.live, slot, &session), "session");
    const sp_policy *policy = sp_policy_set_view(h.set);
    for (uint32_t i = 0; i < sp_policy_resource_count(policy); i++) {
        sp_web_resource web;
        if (sp_policy_web_resource(policy, i, &web)) {
            char host[300];
            snprintf(host, sizeof(host), "%.*s.office.localhost", SP_SPAN_ARG(web.host));
            put_token(slot, session.id, sp_span_cstr(host), cookies);
        }
    }
}

static void publish_sessions(void)
{
    uint32_t hosts = sp_policy_resource_count(sp_policy_set_view(h.set));
    sp_live_caps caps = {.sessions = h.sessions + 16,
                         .tokens = power_above(2 * (h.sessions + 16) * (hosts > 0 ? hosts : 1)),
                         .devices = 64,
                         .certs = 128};
    size_t size = 0;
    check(sp_live_size(&caps, &size), "size");
    check(sp_shm_new_published("live", size, &h.live_shm, &h.live_fd), "live table");
    check(sp_live_format(h.live_shm.ptr, h.live_shm.size_bytes, &caps, &h.live), "live table");
    char *path = in_dir("cookies");
    FILE *cookies = fopen(path, "we");
    for (uint32_t i = 0; i < h.sessions; i++) {
        put_session(i, cookies);
    }
    fclose(cookies);
    sp_free(path);
}

/* ---- core ---- */

static void reply_hello(sp_peer *peer, const sp_msg *msg)
{
    auto_buf sp_buf body = sp_buf_make(1024);
    sp_core_office_write(&(sp_core_office){.gate_id = 1,
                                           .policy_version = h.version,
                                           .epoch = sp_live_epoch(&h.live),
                                           .public_port = (uint16_t)h.port,
                                           .office = SP_SPAN_LIT("Bench"),
                                           .domain = SP_SPAN_LIT("office.localhost"),
                                           .portal = SP_SPAN_LIT("portal")},
                         &body);
    const int fds[] = {h.snapshot_fd, h.live_fd};
    sp_peer_reply(peer, msg, SP_OK, sp_buf_borrow(&body), fds, 2);
}

static void reply_token(sp_peer *peer, const sp_msg *msg)
{
    sp_core_token_ask ask;
    check(sp_core_token_ask_read(msg->body, &ask), "token question");
    auto_buf sp_buf jwt = sp_buf_make(256);
    sp_buf_fmt(&jwt, "bench.%llu.%.*s", (unsigned long long)ask.session_id,
               SP_SPAN_ARG(ask.resource));
    auto_buf sp_buf body = sp_buf_make(512);
    sp_core_token_write(&(sp_core_token){.jwt = sp_buf_borrow(&jwt),
                                         .expires_unix_s = sp_now_unix_us() / 1000000 + 60},
                        &body);
    sp_peer_reply(peer, msg, SP_OK, sp_buf_borrow(&body), NULL, 0);
}

static void on_core(void *self, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    (void)self;
    (void)fds;
    if (msg->kind == SP_CORE_HELLO) {
        reply_hello(peer, msg);
    } else if (msg->kind == SP_CORE_TOKEN) {
        reply_token(peer, msg);
    }
}

static void push_again(void *self, sp_peer *peer)
{
    (void)self;
    auto_buf sp_buf body = sp_buf_make(64);
    sp_core_again_write(&(sp_core_again){.epoch = sp_live_epoch(&h.live)}, &body);
    sp_peer_push(peer, SP_CORE_AGAIN, sp_buf_borrow(&body), NULL, 0);
}

static void push_snapshot(void *self, sp_peer *peer)
{
    (void)self;
    auto_buf sp_buf body = sp_buf_make(64);
    sp_core_snapshot_write(&(sp_core_snapshot){.policy_version = h.version}, &body);
    sp_peer_push(peer, SP_CORE_SNAPSHOT, sp_buf_borrow(&body), &h.snapshot_fd, 1);
}

/* ---- the ledger's end of the rings ---- */

static void write_event(sp_span bytes)
{
    sp_event e;
    check(sp_event_decode(bytes, &e), "event");
    char reference[SP_REFERENCE_TEXT_BYTES];
    sp_reference_text(e.reference, reference);
    fprintf(h.events, "%s %s %s %s %s %u %.*s %.*s %.*s in=%llu out=%llu rule=%.*s person=%.*s\n",
            sp_event_kind_word(e.kind), sp_verdict_word(e.verdict), sp_reason_word(e.reason),
            sp_action_word(e.action), reference, e.status, SP_SPAN_ARG(e.resource),
            SP_SPAN_ARG(e.method), SP_SPAN_ARG(e.object), (unsigned long long)e.bytes_in,
            (unsigned long long)e.bytes_out, SP_SPAN_ARG(e.rule), SP_SPAN_ARG(e.person_name));
}

static void drain_one(attached_ring *ring)
{
    sp_ring_record record;
    sp_err err = sp_ok();
    while (!sp_failed(err = sp_ring_next(&ring->ring, &record))) {
        write_event(record.bytes);
    }
    if (err.code != SP_EAGAIN) {
        check(err, "ring");
    }
    sp_ring_durable(&ring->ring);
    sp_ring_consumer_beat(&ring->ring, sp_now_steady_us());
}

static void on_drain(uv_timer_t *timer)
{
    (void)timer;
    for (size_t i = 0; i < RINGS_MAX && !h.deaf; i++) {
        if (h.rings[i].peer != NULL) {
            drain_one(&h.rings[i]);
        }
    }
    fflush(h.events);
}

static void attach(sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    for (size_t i = 0; i < RINGS_MAX; i++) {
        attached_ring *ring = &h.rings[i];
        if (ring->peer != NULL) {
            continue;
        }
        auto_close int fd = sp_fds_take(fds, 0);
        check(sp_shm_map_write(fd, SP_LEDGER_RING_MAX_BYTES, &ring->shm), "ring");
        check(sp_ring_open(ring->shm.ptr, ring->shm.size_bytes, &ring->ring), "ring");
        ring->peer = peer;
        sp_ring_consumer_beat(&ring->ring, sp_now_steady_us());
        auto_buf sp_buf body = sp_buf_make(64);
        sp_ledger_attached_write(&(sp_ledger_attached){.durable_seq = 0}, &body);
        sp_peer_reply(peer, msg, SP_OK, sp_buf_borrow(&body), NULL, 0);
        return;
    }
    sp_peer_reply(peer, msg, SP_ELIMIT, SP_SPAN_EMPTY, NULL, 0);
}

static void on_ledger(void *self, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    (void)self;
    if (msg->kind == SP_LEDGER_ATTACH) {
        attach(peer, msg, fds);
    } else if ((msg->kind == SP_LEDGER_FLUSH || msg->kind == SP_LEDGER_DETACH) && !h.deaf) {
        on_drain(&h.drain);
        sp_peer_reply(peer, msg, SP_OK, SP_SPAN_EMPTY, NULL, 0);
    }
}

static void on_ledger_gone(void *self, sp_peer *peer)
{
    (void)self;
    for (size_t i = 0; i < RINGS_MAX; i++) {
        if (h.rings[i].peer == peer) {
            drain_one(&h.rings[i]);
            sp_shm_done(&h.rings[i].shm);
            h.rings[i].peer = NULL;
        }
    }
}

/* ---- commands: a line each on standard input, answered by "ok <steady microseconds>" ---- */

static void set_session(sp_span words, bool live)
{
    uint64_t slot = 0;
    check(sp_span_to_u64(words, UINT32_MAX, &slot), "slot");
    if (!live) {
        sp_live_session_end(&h.live, (uint32_t)slot);
    }
}

static void add_device(sp_span words)
{
    sp_span text[4];
    for (size_t i = 0; i < 4; i++) {
        if (!sp_span_split(&words, ' ', &text[i])) {
            text[i] = SP_SPAN_EMPTY;
        }
    }
    /* device SLOT STATE PERSON FINGERPRINT-HEX */
    uint64_t number[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        check(sp_span_to_u64(text[i], UINT32_MAX, &number[i]), "device");
    }
    sp_live_device device = {.id = number[0] + 1,
                             .state = (uint8_t)number[1],
                             .person = (uint32_t)number[2],
                             .owner = SP_OWNER_COMPANY,
                             .posture = SP_POSTURE_HEALTHY,
                             .name = "laptop"};
    check(sp_live_device_put(&h.live, (uint32_t)number[0], &device), "device");
    if (text[3].len > 0) {
        auto_buf sp_buf raw = sp_buf_make(64);
        sp_hash hash;
        check(sp_buf_unhex(&raw, text[3]), "fingerprint");
        sp_copy(hash.bytes, sp_buf_borrow(&raw).ptr, sizeof(hash.bytes));
        check(sp_live_cert_put(&h.live, &hash, (uint32_t)number[0]), "certificate");
    }
}

static void bind_session(sp_span words)
{
    sp_span slot_text;
    uint64_t slot = 0;
    uint64_t device = 0;
    sp_live_session session;
    if (!sp_span_split(&words, ' ', &slot_text)) {
        return;
    }
    check(sp_span_to_u64(slot_text, UINT32_MAX, &slot), "slot");
    check(sp_span_to_u64(words, UINT32_MAX, &device), "device");
    check(sp_live_session_get(&h.live, (uint32_t)slot, slot + 1000, &session), "session");
    session.device = (uint32_t)device;
    check(sp_live_session_put(&h.live, (uint32_t)slot, &session), "session");
}

static void obey(sp_span text)
{
    sp_span word;
    sp_span rest = text;
    if (!sp_span_split(&rest, ' ', &word)) {
        return;
    }
    bool again = true;
    bool snapshot = false;
    if (sp_span_eq(word, SP_SPAN_LIT("end"))) {
        set_session(rest, false);
    } else if (sp_span_eq(word, SP_SPAN_LIT("end-all"))) {
        for (uint32_t i = 0; i < h.sessions; i++) {
            sp_live_session_end(&h.live, i);
        }
    } else if (sp_span_eq(word, SP_SPAN_LIT("device"))) {
        add_device(rest);
    } else if (sp_span_eq(word, SP_SPAN_LIT("bind"))) {
        bind_session(rest);
    } else if (sp_span_eq(word, SP_SPAN_LIT("reload"))) {
        snapshot = compile();
    } else if (sp_span_eq(word, SP_SPAN_LIT("deaf"))) {
        h.deaf = true;
    } else if (sp_span_eq(word, SP_SPAN_LIT("hear"))) {
        h.deaf = false;
    } else {
        again = false;
    }
    uint64_t at_us = sp_now_steady_us();
    sp_live_bump(&h.live);
    if (snapshot) {
        sp_server_each(h.core, push_snapshot, NULL);
    }
    if (again) {
        sp_server_each(h.core, push_again, NULL);
    }
    printf("ok %llu\n", (unsigned long long)at_us);
    fflush(stdout);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    (void)handle;
    (void)suggested;
    *ret_buf = uv_buf_init(h.line + h.line_len, (unsigned)(LINE_BYTES - h.line_len));
}

static void on_input(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    (void)buf;
    if (got < 0 || h.line_len + (size_t)got == LINE_BYTES) {
        uv_stop(stream->loop);
        return;
    }
    h.line_len += (size_t)got;
    char *end = NULL;
    while ((end = memchr(h.line, '\n', h.line_len)) != NULL) {
        size_t len = (size_t)(end - h.line);
        obey(sp_span_of(h.line, len));
        h.line_len -= len + 1;
        sp_move(h.line, end + 1, h.line_len);
    }
}

/* ---- start ---- */

static void write_conf(void)
{
    char *core = in_dir("core.sock");
    char *api = in_dir("api.sock");
    char *own_ledger = in_dir("ledger.sock");
    char *certificate = in_dir("tls.pem");
    char *key = in_dir("tls.key");
    sp_nginx_conf conf = {.policy = sp_policy_set_view(h.set),
                          .office = SP_SPAN_LIT("Bench \"Office\""),
                          .domain = SP_SPAN_LIT("office.localhost"),
                          .portal = SP_SPAN_LIT("portal"),
                          .public_port = h.port,
                          .listen = {h.listen},
                          .state_dir = h.dir,
                          .core_socket = core,
                          .api_socket = api,
                          .ledger_socket = h.own_ledger ? own_ledger : h.ledger,
                          .module_file = h.module,
                          .certificate_file = certificate,
                          .key = key,
                          .device_ca = h.device_ca,
                          .workers = h.workers,
                          .connections = 9000,
                          .ring_bytes = 4 << 20};
    auto_buf sp_buf text = sp_buf_make(SP_NGINX_CONF_MAX_BYTES);
    check(sp_nginx_conf_write(&conf, &text), "nginx.conf");
    char *path = in_dir("nginx.conf");
    check(sp_file_replace(path, 0600, sp_buf_borrow(&text)), "nginx.conf");
    char *const texts[] = {core, api, own_ledger, certificate, key, path};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        sp_free(texts[i]);
    }
}

static void serve(void)
{
    int fd = -1;
    char *path = in_dir("core.sock");
    const sp_server_calls core_calls = {.on_message = on_core};
    const sp_server_calls ledger_calls = {.on_message = on_ledger, .on_gone = on_ledger_gone};
    check(sp_ipc_listen(path, &fd), path);
    check(sp_server_new(&h.loop, fd, 64, &core_calls, &h.core), "core.sock");
    sp_free(path);
    if (h.own_ledger) {
        path = in_dir("ledger.sock");
        check(sp_ipc_listen(path, &fd), path);
        check(sp_server_new(&h.loop, fd, 64, &ledger_calls, &h.ledger_server), "ledger.sock");
        sp_free(path);
        path = in_dir("events");
        h.events = fopen(path, "we");
        sp_free(path);
        uv_timer_init(&h.loop, &h.drain);
        uv_timer_start(&h.drain, on_drain, DRAIN_MS, DRAIN_MS);
    }
    uv_pipe_init(&h.loop, &h.input, 0);
    uv_pipe_open(&h.input, STDIN_FILENO);
    uv_read_start((uv_stream_t *)&h.input, on_room, on_input);
}

/* web_harness DIR DOCUMENTS LISTEN PORT MODULE SESSIONS WORKERS [DEVICE-CA|- [LEDGER.SOCK]] */
int main(int argc, char **argv)
{
    uint64_t numbers[3] = {0};
    if (argc < 8) {
        fprintf(stderr, "usage: web_harness DIR DOCUMENTS LISTEN PORT MODULE SESSIONS WORKERS "
                        "[DEVICE-CA|- [LEDGER.SOCK]]\n");
        return 2;
    }
    h.dir = argv[1];
    h.documents = argv[2];
    h.listen = argv[3];
    h.module = argv[5];
    const int places[] = {4, 6, 7};
    for (size_t i = 0; i < 3; i++) {
        check(sp_span_to_u64(sp_span_cstr(argv[places[i]]), 1 << 24, &numbers[i]), argv[places[i]]);
    }
    h.port = (unsigned)numbers[0];
    h.sessions = (uint32_t)numbers[1];
    h.workers = (unsigned)numbers[2];
    h.device_ca = argc > 8 && argv[8][0] != '-' ? argv[8] : NULL;
    h.own_ledger = argc < 10;
    h.ledger = argc < 10 ? NULL : argv[9];
    h.snapshot_fd = -1;
    check(sp_crypto_start(), "randomness");
    check(uv_loop_init(&h.loop) == 0 ? sp_ok() : sp_fail(SP_EIO), "loop");
    if (!compile()) {
        return 1;
    }
    publish_sessions();
    write_conf();
    serve();
    printf("ready\n");
    fflush(stdout);
    return uv_run(&h.loop, UV_RUN_DEFAULT);
}
