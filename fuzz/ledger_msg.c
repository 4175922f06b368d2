/* SPDX-License-Identifier: Apache-2.0
 * Bodies of ledger messages: the first byte chooses the reader; what it reads is walked.
 * OWNS nothing. PROCESS fuzzing. TRUST all input is hostile. SPEC lib/proto/ledger_msg.h.
 */
#include "lib/proto/ledger_msg.h"

static void walk_append(sp_span body)
{
    sp_ledger_append append;
    sp_span event;
    sp_event decoded;
    if (!sp_failed(sp_ledger_append_read(body, &append))) {
        unsigned count = 0;
        for (sp_span rest = append.events; sp_ledger_append_next(&rest, &event); count++) {
            SP_IGNORE(sp_event_decode(event, &decoded)); /* looked for: memory errors */
        }
        if (count != append.count) {
            __builtin_trap();
        }
    }
}

static void walk_found(sp_span body)
{
    sp_ledger_found found;
    sp_ledger_item item;
    if (!sp_failed(sp_ledger_found_read(body, &found))) {
        unsigned count = 0;
        for (sp_span rest = found.items; sp_ledger_found_next(&rest, &item); count++) {
        }
        if (count != found.count) {
            __builtin_trap();
        }
    }
}

static void walk_followed(sp_span body)
{
    sp_ledger_followed followed;
    sp_ledger_opened opened;
    if (!sp_failed(sp_ledger_followed_read(body, &followed))) {
        unsigned count = 0;
        for (sp_span rest = followed.items; sp_ledger_followed_next(&rest, &opened); count++) {
        }
        if (count != followed.count) {
            __builtin_trap();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    union {
        sp_ledger_attach attach;
        sp_ledger_search search;
        sp_ledger_entry_ask ask;
        sp_ledger_entry entry;
        sp_ledger_proof proof;
        sp_ledger_sizes sizes;
        sp_ledger_stats stats;
        sp_ledger_retain retain;
        sp_ledger_erase erase;
        sp_ledger_state state;
        sp_ledger_tile_ask tile;
        sp_ledger_counts counts;
        sp_ledger_meters meters;
    } to;
    sp_err err = sp_ok();
    if (size == 0) {
        return 0;
    }
    sp_span body = {data + 1, size - 1};
    switch (data[0] % 16) {
    case 14:
        walk_followed(body);
        break;
    case 15:
        err = sp_ledger_meters_read(body, &to.meters);
        break;
    case 0:
        walk_append(body);
        break;
    case 1:
        walk_found(body);
        break;
    case 2:
        err = sp_ledger_attach_read(body, &to.attach);
        break;
    case 3:
        err = sp_ledger_search_read(body, &to.search);
        break;
    case 4:
        err = sp_ledger_entry_ask_read(body, &to.ask);
        break;
    case 5:
        err = sp_ledger_entry_read(body, &to.entry);
        break;
    case 6:
        err = sp_ledger_proof_read(body, &to.proof);
        break;
    case 7:
        err = sp_ledger_sizes_read(body, &to.sizes);
        break;
    case 8:
        err = sp_ledger_stats_read(body, &to.stats);
        break;
    case 9:
        err = sp_ledger_retain_read(body, &to.retain);
        break;
    case 10:
        err = sp_ledger_erase_read(body, &to.erase);
        break;
    case 11:
        err = sp_ledger_tile_ask_read(body, &to.tile);
        break;
    case 12:
        err = sp_ledger_counts_read(body, &to.counts);
        break;
    default:
        err = sp_ledger_state_read(body, &to.state);
    }
    (void)err;
    return 0;
}
