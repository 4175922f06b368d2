/* SPDX-License-Identifier: Apache-2.0
 * What has to happen before a channel of the SSH gate runs: start.c alone, among stand-ins for its
 * neighbours. libssh reads while it writes, so saying something may end the channel; what others
 * agreed to is what runs; what policy says comes to a channel whole.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC gates/ssh/start.c.
 */
#include "gates/ssh/rule.h"
#include "lib/proto/ssh_msg.h"
#include "tests/unit/cm.h"

#include <stdio.h>

/* ---- stand-ins ---- */

sg_worker sg_here;

static sg_ruling policy; /* says this */
static sg_conn conn;
static sg_channel *channel;
static bool saying_ends; /* the client sends too much while it is told something */
static char said[SG_TEXT_BYTES];
static sg_consent *asking;
static unsigned asks, uses, steps, refusals, writes;
static uint64_t people; /* that policy asks */

void sg_rule(sg_channel *one, const sp_agreed *agreed, sg_ruling *out)
{
    (void)one;
    *out = policy;
    if (policy.decision.verdict == SP_VERDICT_ASK && agreed != NULL &&
        agreed->approvers[0] == people && agreed->needed[0] >= policy.decision.approvals) {
        out->decision.verdict = SP_VERDICT_ALLOW;
    }
}

static void end_channel(sg_channel *one)
{
    sg_start_cancel(one);
    one->state = SG_CH_ENDED;
}

void sg_relay_say(sg_channel *one, sp_span text, bool is_error)
{
    (void)is_error;
    SP_IGNORE(sp_fit(said, sizeof(said), text));
    if (saying_ends) {
        end_channel(one);
    }
}

void sg_channel_refuse(sg_channel *one, const sg_refusal *refusal)
{
    refusals++;
    snprintf(said, sizeof(said), "%s", refusal->text);
    end_channel(one);
}

void sg_channel_deny(sg_channel *one, sp_reason reason, const char *text)
{
    sg_refusal refusal;
    sg_refusal_make(&refusal, reason, "%s", text);
    sg_channel_refuse(one, &refusal);
}

void sg_channel_step(sg_channel *one)
{
    steps++;
    if (one->state == SG_CH_WAITS) {
        sg_start(one);
    }
}

void sg_consent_ask(sg_consent *consent, const sp_decision *decision, sp_action action,
                    sp_span bytes)
{
    (void)action;
    asks++;
    asking = consent;
    consent->asked =
        (sp_agreed){.approvers = {people}, .needed = {decision->approvals}, .count = 1};
    consent->hash = sp_sha256(bytes);
}

void sg_consent_use(sg_consent *consent)
{
    (void)consent;
    uses++;
}

void sg_consent_gone(sg_consent *consent)
{
    (void)consent;
}

void sg_consent_push(const sp_db_ask_done *done)
{
    (void)done;
}

bool sg_consent_costs(const sg_conn *one, const sp_decision *decision, sp_action action)
{
    (void)one;
    (void)decision;
    (void)action;
    return false;
}

void sg_consent_spend(sg_consent *consent, const sp_decision *decision, sp_action action)
{
    (void)consent;
    (void)decision;
    (void)action;
}

void sg_consent_place(const sg_channel *one, sp_buf *out)
{
    (void)one;
    sp_buf_text(out, "ops@host");
}

uint64_t sg_record_channel(sg_channel *one, const sp_decision *decision, sp_action action,
                           const sg_refusal *refusal)
{
    (void)one;
    (void)decision;
    (void)action;
    writes += refusal == NULL;
    return 1;
}

void sg_refusal_make(sg_refusal *refusal, sp_reason reason, const char *format, ...)
{
    *refusal = (sg_refusal){.reason = reason};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(refusal->text, sizeof(refusal->text), format, arguments);
    va_end(arguments);
}

void sg_decide_refuse(const sg_conn *one, const sp_decision *decision, const char *what,
                      sg_refusal *refusal)
{
    (void)one;
    (void)decision;
    sg_refusal_make(refusal, SP_REASON_DEFAULT, "%s", what);
}

void sg_text_clean(sp_span bytes, size_t max_bytes, sp_buf *out)
{
    (void)max_bytes;
    sp_buf_span(out, bytes);
}

sp_err sg_channel_name(sg_channel *one, sp_span text)
{
    (void)one;
    (void)text;
    return sp_ok();
}

uint64_t sg_relay_printed(const sg_channel *one)
{
    return one->flows[SG_OUT].passed;
}

void sg_channel_tell_core(sg_channel *one, bool open)
{
    one->told = open;
}

void sg_channels_step(sg_conn *one)
{
    (void)one;
}

sg_conn *sg_conn_of(uint64_t connection)
{
    return connection == conn.connection ? &conn : NULL;
}

void sg_sftp_look_again(sg_channel *one)
{
    (void)one;
}

bool sp_link_tell(sp_link *link, uint16_t kind, sp_span body)
{
    (void)link;
    (void)kind;
    (void)body;
    return true;
}

bool sp_recorder_works(const sp_recorder *recorder)
{
    (void)recorder;
    return true;
}

uint64_t sp_recorder_reference(void)
{
    return 7;
}

void sp_recorder_await(sp_recorder *recorder, sp_recorder_wait *wait, uint64_t seq)
{
    (void)recorder;
    (void)wait;
    (void)seq;
}

void sp_recorder_forget(sp_recorder_wait *wait)
{
    (void)wait;
}

uint64_t sp_loop_now_us(const sp_loop *loop)
{
    (void)loop;
    return 1000000;
}

uint64_t sp_policy_version(const sp_policy *one)
{
    (void)one;
    return 1;
}

/* ---- the channel ---- */

static sp_gate_snapshot snapshot;

static int open_one(void **state)
{
    (void)state;
    asks = uses = steps = refusals = writes = 0;
    asking = NULL;
    people = 1;
    saying_ends = false;
    said[0] = '\0';
    policy = (sg_ruling){.free = true,
                         .action = SP_ACTION_EXECUTE,
                         .decision = {.verdict = SP_VERDICT_ALLOW, .rule = SP_NONE}};
    conn = (sg_conn){.connection = 5, .snapshot = &snapshot};
    if (sp_failed(sp_alloc(1, sizeof(*channel), &channel))) {
        return -1;
    }
    channel->conn = &conn;
    channel->number = 1;
    channel->kind = SP_SSH_CHANNEL_EXEC;
    channel->state = SG_CH_WAITS;
    conn.channels = channel;
    auto_buf sp_buf command = sp_buf_make(64);
    sp_buf_text(&command, "df -h");
    return sp_failed(sp_buf_take_cstr(&command, &channel->command)) ? -1 : 0;
}

static int close_one(void **state)
{
    (void)state;
    sg_start_forget(channel);
    sp_free(channel->command);
    sp_free(channel);
    return 0;
}

static void others_must_agree(void)
{
    policy.decision.verdict = SP_VERDICT_ASK;
    policy.decision.approvals = 1;
}

static void agree(void)
{
    asking->on_word(asking, SG_AGREED, SP_REASON_NONE, "approved by ann");
}

/* ---- what is said may end it ---- */

static void test_it_ends_while_it_is_told_that_it_waits(void **state)
{
    (void)state;
    others_must_agree();
    sg_start(channel);
    assert_int_equal(asks, 1);
    saying_ends = true;
    asking->on_word(asking, SG_ASKED, SP_REASON_NONE, "this waits");
    assert_int_equal(channel->state, SG_CH_ENDED);
    assert_int_equal(steps, 0);
}

static void test_it_ends_while_it_is_told_who_agreed(void **state)
{
    (void)state;
    others_must_agree();
    sg_start(channel);
    saying_ends = true;
    agree();
    assert_int_equal(channel->state, SG_CH_ENDED);
    assert_int_equal(steps + uses, 0);
}

static void push_watched(uint32_t watchers)
{
    auto_buf sp_buf body = sp_buf_make(256);
    const sp_ssh_watched watched = {
        .connection = conn.connection, .watchers = watchers, .by = SP_SPAN_LIT("ann")};
    sp_ssh_watched_write(&watched, &body);
    const sp_msg msg = {.kind = SP_CORE_SSH_WATCHED, .body = sp_buf_borrow(&body)};
    sg_start_push(&msg);
}

static void wants_a_watcher(void)
{
    policy.decision.must = SP_MUST_WATCH;
    sg_start(channel);
    assert_string_equal(said, "sallyport: this begins when somebody watches\n");
}

static void test_it_ends_while_it_is_told_who_watches(void **state)
{
    (void)state;
    wants_a_watcher();
    saying_ends = true;
    push_watched(1);
    assert_int_equal(channel->state, SG_CH_ENDED);
    assert_int_equal(steps, 0);
    push_watched(0); /* nothing of it is paused any more */
    assert_false(channel->paused);
}

static void test_it_ends_while_it_is_told_that_it_pauses(void **state)
{
    (void)state;
    sg_refusal refusal;
    sg_start(channel);
    assert_int_equal(channel->state, SG_CH_OPENING);
    policy.decision.must = SP_MUST_WATCH;
    saying_ends = true;
    assert_true(sg_start_again(channel, &refusal));
    assert_int_equal(channel->state, SG_CH_ENDED);
    assert_int_equal(steps, 0);
}

/* ---- what others agreed to ---- */

static void test_what_they_agreed_to_runs(void **state)
{
    (void)state;
    others_must_agree();
    sg_start(channel);
    agree();
    assert_int_equal(uses, 1);
    asking->on_word(asking, SG_USED, SP_REASON_NONE, "");
    assert_int_equal(channel->state, SG_CH_OPENING);
    assert_int_equal(asks, 1);
    assert_non_null(channel->terms.alone);
}

static void test_policy_moves_and_what_would_run_is_not_what_they_agreed_to(void **state)
{
    (void)state;
    others_must_agree();
    policy.free = false; /* of the list */
    policy.alone = "nothing is sent to it";
    sg_start(channel);
    policy.fed = true; /* now something is */
    policy.alone = NULL;
    agree();
    assert_int_equal(uses, 0);
    assert_int_equal(asks, 2);
    agree();
    assert_int_equal(uses, 1);
    policy.fed = false; /* once more, when their word has been used */
    asking->on_word(asking, SG_USED, SP_REASON_NONE, "");
    assert_int_equal(channel->state, SG_CH_WAITS);
    assert_int_equal(asks, 3);
}

static void test_policy_moves_and_asks_other_people(void **state)
{
    (void)state;
    sg_refusal refusal;
    others_must_agree();
    sg_start(channel);
    people = 2; /* as many of them */
    agree();
    assert_int_equal(uses, 0);
    assert_int_equal(asks, 2);
    agree();
    assert_int_equal(uses, 1);
    asking->on_word(asking, SG_USED, SP_REASON_NONE, "");
    assert_int_equal(channel->state, SG_CH_OPENING);
    assert_true(sg_start_again(channel, &refusal));
    people = 1; /* while it runs */
    assert_false(sg_start_again(channel, &refusal));
}

static void test_what_they_could_agree_to_only_for_nothing_is_not_asked(void **state)
{
    (void)state;
    others_must_agree();
    policy.free = false;
    policy.alone = "nothing is sent to it";
    channel->was_sent = true;
    sg_start(channel);
    assert_int_equal(asks, 0);
    assert_int_equal(refusals, 1);
    assert_string_equal(said, "nothing is sent to it");
}

/* ---- policy moves ---- */

static void test_limits_reach_what_runs_and_count_from_then_on(void **state)
{
    (void)state;
    sg_refusal refusal;
    sg_start(channel);
    channel->state = SG_CH_RUNS;
    channel->flows[SG_OUT].passed = 1000;
    policy.decision.must = SP_MUST_LIMIT;
    policy.decision.day_bytes = 50;
    policy.no_output = true;
    policy.alone = "nothing is sent to it any more";
    policy.action = SP_ACTION_EXPORT;
    assert_true(sg_start_again(channel, &refusal));
    assert_int_equal(channel->terms.counted.day_bytes, 50);
    assert_int_equal(channel->terms.counted_action, SP_ACTION_EXPORT);
    assert_int_equal(channel->terms.action, SP_ACTION_EXPORT);
    assert_string_equal(channel->terms.alone, "nothing is sent to it any more");
    assert_int_equal(channel->told_bytes, 1000);
    assert_int_equal(channel->carried, 1000);
    channel->flows[SG_OUT].passed = 1500;
    policy.decision.day_bytes = 40; /* a limit that was there goes on counting where it was */
    assert_true(sg_start_again(channel, &refusal));
    assert_int_equal(channel->terms.counted.day_bytes, 40);
    assert_int_equal(channel->told_bytes, 1000);
    assert_int_equal(channel->carried, 1000);
    channel->back_eof_sent = true; /* an end that was told cannot be taken back */
    policy.alone = NULL;
    assert_true(sg_start_again(channel, &refusal));
    assert_non_null(channel->terms.alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_ends_while_it_is_told_that_it_waits, open_one,
                                        close_one),
        cmocka_unit_test_setup_teardown(test_it_ends_while_it_is_told_who_agreed, open_one,
                                        close_one),
        cmocka_unit_test_setup_teardown(test_it_ends_while_it_is_told_who_watches, open_one,
                                        close_one),
        cmocka_unit_test_setup_teardown(test_it_ends_while_it_is_told_that_it_pauses, open_one,
                                        close_one),
        cmocka_unit_test_setup_teardown(test_what_they_agreed_to_runs, open_one, close_one),
        cmocka_unit_test_setup_teardown(
            test_policy_moves_and_what_would_run_is_not_what_they_agreed_to, open_one, close_one),
        cmocka_unit_test_setup_teardown(test_policy_moves_and_asks_other_people, open_one,
                                        close_one),
        cmocka_unit_test_setup_teardown(test_what_they_could_agree_to_only_for_nothing_is_not_asked,
                                        open_one, close_one),
        cmocka_unit_test_setup_teardown(test_limits_reach_what_runs_and_count_from_then_on,
                                        open_one, close_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
