/* SPDX-License-Identifier: Apache-2.0
 * Tests of the live table: what a gate finds, what it no longer finds, and torn reads.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/live.h.
 */
#include "lib/proto/live.h"
#include "tests/unit/cm.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

static const sp_live_caps CAPS = {.sessions = 64, .tokens = 128, .devices = 16, .certs = 32};

typedef struct {
    void *memory;
    size_t size;
    sp_live live;
    sp_live gate;
} table;

static int set_up(void **state)
{
    static table t;
    assert_ok(sp_live_size(&CAPS, &t.size));
    assert_int_equal(posix_memalign(&t.memory, 4096, t.size), 0);
    sp_set(t.memory, 0, t.size);
    assert_ok(sp_live_format(t.memory, t.size, &CAPS, &t.live));
    assert_ok(sp_live_open(t.memory, t.size, &t.gate));
    *state = &t;
    return 0;
}

static int tear_down(void **state)
{
    table *t = *state;
    sp_free(t->memory);
    return 0;
}

static sp_hash token_of(unsigned i)
{
    return sp_sha256(sp_span_of(&i, sizeof(i)));
}

static void put_session(table *t, uint32_t slot, uint64_t id)
{
    sp_live_session session = {.id = id,
                               .person = (uint32_t)id,
                               .state = SP_SESSION_LIVE,
                               .strength = SP_STRENGTH_PASSKEY,
                               .device = SP_NONE};
    assert_ok(sp_fit(session.person_name, sizeof(session.person_name), SP_SPAN_LIT("he")));
    assert_ok(sp_live_session_put(&t->live, slot, &session));
}

static void a_token_leads_to_its_session(void **state)
{
    table *t = *state;
    uint64_t wiki = sp_live_audience(SP_SPAN_LIT("wiki.office.localhost"));
    uint64_t mail = sp_live_audience(SP_SPAN_LIT("mail.office.localhost"));
    sp_hash token = token_of(1);
    put_session(t, 5, 1001);
    assert_ok(sp_live_token_put(&t->live, &token, wiki, 5, 1001));
    sp_live_session found;
    uint32_t slot = 0;
    assert_ok(sp_live_find_token(&t->gate, &token, wiki, &found, &slot));
    assert_int_equal(slot, 5);
    assert_true(found.id == 1001 && found.state == SP_SESSION_LIVE);
    assert_string_equal(found.person_name, "he");
    /* a cookie of one application opens no other */
    assert_fails(sp_live_find_token(&t->gate, &token, mail, &found, &slot), SP_ENOTFOUND);
    sp_hash other = token_of(2);
    assert_fails(sp_live_find_token(&t->gate, &other, wiki, &found, &slot), SP_ENOTFOUND);
    sp_live_session_end(&t->live, 5);
    assert_ok(sp_live_find_token(&t->gate, &token, wiki, &found, &slot));
    assert_int_equal(found.state, SP_SESSION_ENDED);
    /* the slot goes to somebody else: the old token must not open it */
    put_session(t, 5, 2002);
    assert_fails(sp_live_find_token(&t->gate, &token, wiki, &found, &slot), SP_ENOTFOUND);
    sp_live_token_remove(&t->live, &token);
    assert_fails(sp_live_find_token(&t->gate, &token, wiki, &found, &slot), SP_ENOTFOUND);
}

static void fills_and_empties(void **state)
{
    table *t = *state;
    sp_live_session found;
    uint32_t slot = 0;
    put_session(t, 0, 1);
    for (int round = 0; round < 20; round++) {
        unsigned base = (unsigned)round * 1000;
        for (unsigned i = 0; i < CAPS.tokens; i++) {
            sp_hash token = token_of(base + i);
            assert_ok(sp_live_token_put(&t->live, &token, 9, 0, 1));
        }
        sp_hash extra = token_of(base + 500);
        assert_fails(sp_live_token_put(&t->live, &extra, 9, 0, 1), SP_ELIMIT);
        for (unsigned i = 0; i < CAPS.tokens; i++) {
            sp_hash token = token_of(base + i);
            assert_ok(sp_live_find_token(&t->gate, &token, 9, &found, &slot));
            sp_live_token_remove(&t->live, &token);
            assert_fails(sp_live_find_token(&t->gate, &token, 9, &found, &slot), SP_ENOTFOUND);
        }
    }
}

static void certificates_lead_to_devices(void **state)
{
    table *t = *state;
    sp_live_device device = {.id = 7, .state = SP_DEVICE_ACTIVE, .owner = SP_OWNER_COMPANY};
    sp_hash cert = token_of(77);
    assert_ok(sp_live_device_put(&t->live, 3, &device));
    assert_ok(sp_live_cert_put(&t->live, &cert, 3));
    sp_live_device found;
    uint32_t slot = 0;
    assert_ok(sp_live_find_cert(&t->gate, &cert, &found, &slot));
    assert_true(found.id == 7 && slot == 3);
    device.state = SP_DEVICE_REVOKED;
    assert_ok(sp_live_device_put(&t->live, 3, &device));
    assert_ok(sp_live_find_cert(&t->gate, &cert, &found, &slot));
    assert_int_equal(found.state, SP_DEVICE_REVOKED);
    sp_live_cert_remove(&t->live, &cert);
    assert_fails(sp_live_find_cert(&t->gate, &cert, &found, &slot), SP_ENOTFOUND);
    assert_fails(sp_live_device_put(&t->live, CAPS.devices, &device), SP_ELIMIT);
    uint64_t epoch = sp_live_epoch(&t->gate);
    assert_true(sp_live_bump(&t->live) == epoch + 1 && sp_live_epoch(&t->gate) == epoch + 1);
}

typedef struct {
    table *t;
    atomic_bool stop;
} writer_args;

/* Every field of a session says the same number: a torn copy would show two. */
static void *write_sessions(void *arg)
{
    writer_args *args = arg;
    for (uint64_t n = 1; !atomic_load(&args->stop); n++) {
        sp_live_session session = {.id = 1,
                                   .roles = {n, n, n, n},
                                   .started_unix_s = n,
                                   .auth_unix_s = n,
                                   .expires_unix_s = n,
                                   .person = (uint32_t)n,
                                   .state = SP_SESSION_LIVE};
        SP_IGNORE(sp_live_session_put(&args->t->live, 2, &session));
    }
    return NULL;
}

static void reads_are_never_torn(void **state)
{
    writer_args args = {.t = *state};
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_sessions, &args), 0);
    int quiet = 0;
    for (int i = 0; i < 200000 || (quiet == 0 && i < 50000000); i++) {
        sp_live_session s;
        if (sp_failed(sp_live_session_get(&args.t->gate, 2, 1, &s))) {
            sched_yield(); /* the writer may have been put aside in the middle of it */
            continue;
        }
        quiet++;
        assert_true(s.roles[0] == s.roles[3] && s.started_unix_s == s.roles[0]);
        assert_true(s.expires_unix_s == s.roles[0] && s.person == (uint32_t)s.roles[0]);
    }
    atomic_store(&args.stop, true);
    pthread_join(writer, NULL);
    assert_true(quiet > 0);
}

static void a_bad_mapping_is_refused(void **state)
{
    table *t = *state;
    sp_live live;
    assert_fails(sp_live_open(t->memory, t->size - 1, &live), SP_ECORRUPT);
    assert_fails(sp_live_open(t->memory, 100, &live), SP_ECORRUPT);
    sp_live_caps bad = CAPS;
    bad.tokens = 100;
    size_t size = 0;
    assert_fails(sp_live_size(&bad, &size), SP_ELIMIT);
    ((uint8_t *)t->memory)[0] ^= 1;
    assert_fails(sp_live_open(t->memory, t->size, &live), SP_ECORRUPT);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_token_leads_to_its_session), EACH(fills_and_empties),
        EACH(certificates_lead_to_devices), EACH(reads_are_never_torn),
        EACH(a_bad_mapping_is_refused),
    };
    return cmocka_run_group_tests_name("proto live", tests, NULL, NULL);
}
