/* SPDX-License-Identifier: Apache-2.0
 * Following the ledger without a gap: entries from a number on, opened, in order. Those of a moment
 * ago are still here as they came (recent.h); others are read back from disk. A question is
 * answered with what fits a message; one for what is not there yet waits. OWNS references to peers
 * that wait. PROCESS ledger. TRUST the watch reads all there is; who may is in serve.c. SPEC
 * lib/proto/ledger_msg.h "FOLLOW".
 */
#include "infra/proc/clock.h"
#include "ledger/ledger.h"

enum { JSON_MAX_BYTES = 64 * 1024, REPLY_BYTES = SP_MSG_MAX_BYTES - JSON_MAX_BYTES - 1024 };
#define PATIENCE_US UINT64_C(3000000)
#define FORGET_US UINT64_C(10000000) /* without a question, nobody follows */

/* The entry into items; one that was erased or does not open is empty: verify finds the latter. */
static void add_entry(const sp_lookup *lookup, uint64_t entry, sp_buf *json, sp_buf *items)
{
    bool opened = !sp_failed(sp_lookup_open(lookup, entry, json));
    const sp_ledger_opened item = {.entry = entry,
                                   .json = opened ? sp_buf_borrow(json) : SP_SPAN_EMPTY};
    sp_ledger_opened_write(&item, items);
}

static void answer(sp_ledger *ledger, sp_peer *peer, const sp_msg *to, const sp_ledger_follow *ask)
{
    auto_buf sp_buf json = sp_buf_make(JSON_MAX_BYTES);
    auto_buf sp_buf items = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_lookup lookup = sp_ledger_lookup(ledger);
    uint64_t first = sp_journal_first(ledger->store);
    sp_ledger_followed followed = {.size = sp_journal_size(ledger->store)};
    followed.next = ask->from < first ? first : ask->from; /* before it everything has expired */
    while (followed.next < followed.size && items.len < REPLY_BYTES &&
           followed.count < UINT16_MAX / 2) {
        uint64_t count = 0;
        if (ask->as_they_came == 1) {
            sp_buf_span(&items, sp_recent_from(&ledger->recent, followed.next,
                                               REPLY_BYTES - items.len, &count));
        }
        if (count == 0 && items.len > 0 && ask->as_they_came == 1 &&
            sp_recent_has(&ledger->recent, followed.next)) {
            break; /* it fits into the next reply, and need not be opened */
        }
        if (count == 0) {
            add_entry(&lookup, followed.next, &json, &items);
            count = 1;
        }
        followed.next += count;
        followed.count = (uint16_t)(followed.count + count);
    }
    followed.items = sp_buf_borrow(&items);
    sp_ledger_followed_write(&followed, &body);
    sp_err err = sp_buf_error(&body);
    sp_peer_reply(peer, to, err.code, sp_failed(err) ? SP_SPAN_EMPTY : sp_buf_borrow(&body), NULL,
                  0);
}

void sp_ledger_follow_ask(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    sp_ledger_follow ask;
    (void)fds;
    uint64_t size = sp_journal_size(ledger->store);
    sp_err err = sp_ledger_follow_read(msg->body, &ask);
    if (!sp_failed(err) && ask.as_they_came == 1) {
        ledger->followed_us = sp_now_steady_us();
    }
    bool waits = !sp_failed(err) && ask.from == size;
    if (!sp_failed(err) && ask.from > size) {
        err = sp_fail(SP_ENOTFOUND);
    } else if (waits && ledger->followers_count == SP_LEDGER_FOLLOWERS_MAX) {
        err = sp_fail(SP_ELIMIT);
    }
    if (sp_failed(err)) {
        sp_peer_reply(peer, msg, err.code, SP_SPAN_EMPTY, NULL, 0);
    } else if (waits) {
        ledger->followers[ledger->followers_count++] =
            (sp_follower){.peer = sp_peer_ref(peer),
                          .to = {.kind = msg->kind, .id = msg->id},
                          .ask = ask,
                          .asked_us = sp_now_steady_us()};
    } else {
        answer(ledger, peer, msg, &ask);
    }
}

void sp_ledger_follow_commit(sp_ledger *ledger, const sp_batch *batch, uint64_t first,
                             uint64_t count)
{
    if (ledger->followed_us != 0 && sp_now_steady_us() - ledger->followed_us < FORGET_US) {
        sp_recent_add(&ledger->recent, batch, first, count);
    } else {
        sp_recent_done(&ledger->recent);
    }
    sp_ledger_follow_wake(ledger);
}

/* Answering may drop a peer, which takes it out of the list: each is taken out first. */
void sp_ledger_follow_wake(sp_ledger *ledger)
{
    uint64_t size = sp_journal_size(ledger->store);
    uint64_t now = sp_now_steady_us();
    for (size_t i = ledger->followers_count; i-- > 0;) {
        if (i >= ledger->followers_count) {
            continue;
        }
        sp_follower one = ledger->followers[i];
        if (one.ask.from < size || now - one.asked_us > PATIENCE_US) {
            ledger->followers[i] = ledger->followers[--ledger->followers_count];
            answer(ledger, one.peer, &one.to, &one.ask);
            sp_peer_unref(one.peer);
        }
    }
}

void sp_ledger_follow_drop(sp_ledger *ledger, const sp_peer *peer)
{
    for (size_t i = ledger->followers_count; i-- > 0;) {
        if (ledger->followers[i].peer == peer) {
            sp_peer_unref(ledger->followers[i].peer);
            ledger->followers[i] = ledger->followers[--ledger->followers_count];
        }
    }
}
