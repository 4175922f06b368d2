/* SPDX-License-Identifier: Apache-2.0
 * A gate's worker that does nothing but write events into the office's ledger, so many a second, as
 * gates do: a ring of its own, the ledger's socket. What 500 people do all day, at once.
 * OWNS its ring. PROCESS bench, as a gate's user. TRUST none. SPEC bench/watch/README.md.
 *
 *     bench_stream LEDGER_SOCKET EVENTS_A_SECOND    until its standard input ends; then prints
 *                                                   "written lost seconds"
 */
#include "infra/crypto/random.h"
#include "infra/gate/recorder.h"
#include "infra/proc/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RING_BYTES = 16 << 20, PEOPLE = 500, FIRST_PERSON = 100000, STEP_US = 2000 };

static struct {
    sp_loop *loop;
    sp_recorder recorder;
    sp_timer step;
    sp_watch end;
    uint64_t rate;
    uint64_t began_us;
    uint64_t written;
    uint64_t lost;
} own;

static void put(uint64_t n)
{
    char name[32];
    uint32_t who = (uint32_t)((n * 7919) % PEOPLE);
    int len = snprintf(name, sizeof(name), "p%05u", who);
    const sp_event event = {
        .when_unix_us = sp_now_unix_us(),
        .reference = n * UINT64_C(0x9E3779B97F4A7C15),
        .session = FIRST_PERSON + who,
        .device = FIRST_PERSON + who,
        .policy_version = 1,
        .bytes_out = 512,
        .person = FIRST_PERSON + who,
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
        .peer = {[10] = 0xFF,
                 [11] = 0xFF,
                 [12] = 10,
                 [14] = (uint8_t)(who / 200),
                 [15] = (uint8_t)(1 + who % 200)},
        .person_name = sp_span_of(name, (size_t)len),
        .device_name = SP_SPAN_LIT("laptop-0042"),
        .resource = SP_SPAN_LIT("wiki"),
        .class_name = SP_SPAN_LIT("internal"),
        .rule = SP_SPAN_LIT("engineers work on company laptops"),
        .method = SP_SPAN_LIT("GET"),
        .object = SP_SPAN_LIT("/documents/2026/11/reports/quarterly/overview.html?view=full")};
    own.lost += sp_recorder_put(&own.recorder, &event) == 0;
    own.written++;
}

static void on_step(sp_timer *timer)
{
    uint64_t due = (sp_loop_now_us(own.loop) - own.began_us) * own.rate / 1000000;
    while (own.written < due) {
        put(own.written);
    }
    SP_IGNORE(sp_timer_set(own.loop, timer, STEP_US)); /* its place in the heap is free */
}

static void on_end(sp_watch *watch, unsigned ready)
{
    char byte;
    (void)ready;
    if (read(watch->fd, &byte, 1) == 0) {
        sp_loop_stop(own.loop);
    }
}

static sp_err start(const char *path)
{
    TRY(sp_crypto_start());
    TRY(sp_loop_new(&own.loop));
    TRY(sp_recorder_start(&own.recorder, own.loop, path, SP_GATE_WEB, "web bench", RING_BYTES));
    if (!sp_recorder_works(&own.recorder)) {
        return sp_fail(SP_ECLOSED);
    }
    own.end = (sp_watch){.on_ready = on_end, .fd = -1};
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    TRY(sp_watch_start(own.loop, &own.end, STDIN_FILENO));
    own.step.on_time = on_step;
    own.began_us = sp_now_steady_us();
    return sp_timer_set(own.loop, &own.step, 0);
}

int main(int argc, char **argv)
{
    if (argc != 3 || sp_failed(sp_span_to_u64(sp_span_cstr(argv[2]), 10000000, &own.rate))) {
        fprintf(stderr, "usage: bench_stream LEDGER_SOCKET EVENTS_A_SECOND\n");
        return EXIT_FAILURE;
    }
    sp_err err = start(argv[1]);
    if (!sp_failed(err)) {
        err = sp_loop_run(own.loop);
    }
    if (sp_failed(err)) {
        fprintf(stderr, "the ledger at %s does not take events: %s\n", argv[1],
                sp_code_word(err.code));
        return EXIT_FAILURE;
    }
    printf("%llu %llu %.3f\n", (unsigned long long)own.written, (unsigned long long)own.lost,
           (double)(sp_now_steady_us() - own.began_us) / 1e6);
    sp_recorder_stop(&own.recorder);
    return EXIT_SUCCESS;
}
