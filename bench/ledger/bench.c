/* SPDX-License-Identifier: Apache-2.0
 * What the ledger takes: a producer process fills a ring with events of 300 bytes, this process
 * runs the real engine on real files (render, seal, tree, fdatasync), and the time counts until the
 * last event is durable. Printed: events a second, processor time an event, bytes on disk an event.
 * OWNS a directory below the one given. PROCESS bench. TRUST none. SPEC bench/ledger/README.md.
 *
 *     bench_ledger DIRECTORY [EVENTS]
 */
#include "infra/crypto/random.h"
#include "infra/ipc/shm.h"
#include "infra/proc/clock.h"
#include "ledger/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    RING_BYTES = 32 * 1024 * 1024,
    PAGE_BYTES = 4096,
    SESSIONS = 64,
    EVENTS_DEFAULT = 3000000,
    SOURCE = 77
};

/* ---- the producer ---- */

static sp_event event_of(uint64_t n)
{
    static const uint8_t path[] =
        "/documents/2026/11/reports/quarterly/overview-of-the-third-quarter/"
        "attachments/figures-and-tables-final-version-7.html?view=full&"
        "section=summary";
    return (sp_event){.when_unix_us = sp_now_unix_us(),
                      .reference = n * UINT64_C(0x9E3779B97F4A7C15),
                      .session = 1 + n % SESSIONS,
                      .device = 1 + n % SESSIONS,
                      .policy_version = 12,
                      .bytes_out = 5120,
                      .person = (uint32_t)(1 + n % SESSIONS),
                      .duration_us = 840,
                      .status = 200,
                      .kind = SP_EVENT_DECISION,
                      .gate = SP_GATE_WEB,
                      .action = SP_ACTION_READ,
                      .verdict = SP_VERDICT_ALLOW,
                      .reason = SP_REASON_RULE,
                      .owner = SP_OWNER_COMPANY,
                      .posture = SP_POSTURE_HEALTHY,
                      .strength = SP_STRENGTH_PASSKEY,
                      .peer = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 10, 0, 0, 7},
                      .person_name = SP_SPAN_LIT("employee.of.the.month"),
                      .device_name = SP_SPAN_LIT("laptop-0042"),
                      .resource = SP_SPAN_LIT("wiki"),
                      .class_name = SP_SPAN_LIT("internal"),
                      .rule = SP_SPAN_LIT("engineers work on company laptops"),
                      .method = SP_SPAN_LIT("GET"),
                      .object = {path, sizeof(path) - 1}};
}

static void produce(void *memory, size_t size, uint64_t events)
{
    sp_ring ring;
    if (sp_failed(sp_ring_open(memory, size, &ring))) {
        exit(EXIT_FAILURE);
    }
    for (uint64_t n = 0; n < events;) {
        sp_event event = event_of(n);
        size_t len = sp_event_size(&event);
        uint8_t *room = sp_ring_reserve(&ring, len);
        if (room == NULL) {
            usleep(500); /* a bench waits where a gate would count a loss */
            continue;
        }
        sp_event_write(&event, room);
        sp_ring_commit(&ring, len);
        n++;
    }
    exit(EXIT_SUCCESS);
}

/* ---- the ledger's side ---- */

typedef struct {
    uv_loop_t loop;
    sp_engine *engine;
    uv_timer_t poke;
    sp_ring ring;
    uint64_t events;
    uint64_t records;
    uint64_t done_us;
} bench;

static void on_committed(void *self, const sp_batch *batch, uint64_t first_entry)
{
    bench *b = self;
    (void)batch;
    (void)first_entry;
    if (sp_ring_is_durable(&b->ring, b->events)) {
        b->done_us = sp_now_steady_us();
    }
}

static void on_state(void *self, bool recording, const char *why)
{
    (void)self;
    if (!recording) {
        fprintf(stderr, "%s\n", why);
        exit(EXIT_FAILURE);
    }
}

/* Stands in for the gate's WAKE message; ends the loop when all is durable. */
static void on_poke(uv_timer_t *timer)
{
    bench *b = timer->data;
    if (sp_ring_is_durable(&b->ring, b->events)) {
        b->done_us = b->done_us == 0 ? sp_now_steady_us() : b->done_us;
        uv_stop(&b->loop);
    } else if (sp_ring_must_wake(&b->ring)) {
        sp_engine_wake(b->engine);
    }
}

static void check(sp_err err, const char *what)
{
    if (sp_failed(err)) {
        fprintf(stderr, "%s: %s\n", what, sp_code_word(err.code));
        exit(EXIT_FAILURE);
    }
}

static double cpu_seconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void run(const char *root, const char *name, uint64_t events, size_t record_events)
{
    char dir[512];
    char keys_path[600];
    snprintf(dir, sizeof(dir), "%s/%s", root, name);
    snprintf(keys_path, sizeof(keys_path), "%s/keys", dir);
    mkdir(dir, 0700);
    bench b = {.events = events};
    sp_journal *store = NULL;
    sp_keys *keys = NULL;
    sp_key kek = sp_key_new();
    auto_buf sp_buf why = sp_buf_make(1024);
    check(sp_journal_open(dir, true, &why, &store), "store");
    check(sp_keys_open(keys_path, &kek, true, &keys), "keys");
    uv_loop_init(&b.loop);
    const sp_engine_calls calls = {on_committed, on_state, &b};
    check(sp_engine_new(&b.loop, store, keys, &calls, &b.engine), "engine");
    sp_engine_set_record_events_max(b.engine, record_events);

    sp_shm shm = {0};
    int fd = -1;
    check(sp_shm_new("bench", RING_BYTES + PAGE_BYTES, &shm, &fd), "shared memory");
    check(sp_ring_format(shm.ptr, shm.size_bytes, SOURCE, &b.ring), "ring");
    pid_t producer = fork();
    if (producer == 0) {
        produce(shm.ptr, shm.size_bytes, events);
    }
    sp_shm ours = {0};
    check(sp_shm_map_write(fd, 2 * RING_BYTES, &ours), "map");
    const sp_ledger_attach attach = {SOURCE, SP_GATE_WEB, SP_SPAN_LIT("bench worker")};
    sp_source *source = NULL;
    uint64_t durable = 0;
    double cpu = cpu_seconds();
    uint64_t start_us = sp_now_steady_us();
    check(sp_engine_attach(b.engine, &attach, &ours, &source, &durable), "attach");
    uv_timer_init(&b.loop, &b.poke);
    b.poke.data = &b;
    uv_timer_start(&b.poke, on_poke, 1, 1);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    double seconds = (double)(b.done_us - start_us) / 1e6;
    cpu = cpu_seconds() - cpu;
    waitpid(producer, NULL, 0);
    printf("%-28s %10.0f events/s %7.2f us cpu/event %7.0f B/event on disk %9llu entries\n", name,
           (double)events / seconds, cpu / (double)events * 1e6,
           (double)sp_journal_bytes(store) / (double)events,
           (unsigned long long)sp_journal_size(store));
    fflush(stdout);
    sp_engine_free(b.engine);
    uv_close((uv_handle_t *)&b.poke, NULL);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    uv_loop_close(&b.loop);
    sp_keys_close(keys);
    sp_journal_close(store);
    sp_shm_done(&shm);
    close(fd);
}

int main(int argc, char **argv)
{
    uint64_t events = EVENTS_DEFAULT;
    if (argc < 2 ||
        (argc > 2 && sp_failed(sp_span_to_u64(sp_span_cstr(argv[2]), 100000000, &events)))) {
        fprintf(stderr, "usage: bench_ledger DIRECTORY [EVENTS]\n");
        return EXIT_FAILURE;
    }
    check(sp_crypto_start(), "crypto");
    sp_event sample = event_of(1000000);
    printf("event: %zu bytes; %llu of them; 1 producer process, 1 ring\n", sp_event_size(&sample),
           (unsigned long long)events);
    run(argv[1], "batched", events, SP_BATCH_RECORD_EVENTS_MAX);
    run(argv[1], "one-entry-per-record", events, 1);
    return EXIT_SUCCESS;
}
