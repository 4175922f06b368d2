/* SPDX-License-Identifier: Apache-2.0
 * Flows.
 * OWNS flows. PROCESS core. TRUST ids are hostile. SPEC core/identity/flows.h.
 *
 * An id is 32 random bytes, the first two of which are overwritten by the flow's place.
 */
#include "core/identity/flows.h"

#include "infra/crypto/random.h"
#include "infra/proc/clock.h"

enum { FLOWS_MAX = 8192, ID_BYTES = 32 };

struct sp_flows {
    sp_flow items[FLOWS_MAX];
    uint32_t next;
};

sp_err sp_flows_new(sp_flows **ret_flows)
{
    return sp_alloc(1, sizeof(**ret_flows), ret_flows);
}

void sp_flow_close(sp_flow *flow)
{
    if (flow->setup != NULL) {
        sp_wipe(flow->setup, sizeof(*flow->setup));
        sp_free(flow->setup);
    }
    sp_wipe(flow, sizeof(*flow));
}

void sp_flows_free(sp_flows *flows)
{
    for (uint32_t i = 0; flows != NULL && i < FLOWS_MAX; i++) {
        sp_free(flows->items[i].setup);
    }
    sp_free(flows);
}

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

static sp_err make_id(uint32_t place, char ret_id[SP_FLOW_TEXT_BYTES + 1])
{
    uint8_t bytes[ID_BYTES];
    auto_buf sp_buf text = sp_buf_make(SP_FLOW_TEXT_BYTES + 1);
    sp_random(bytes, sizeof(bytes));
    bytes[0] = (uint8_t)(place >> 8);
    bytes[1] = (uint8_t)place;
    sp_buf_base64url(&text, sp_span_of(bytes, sizeof(bytes)));
    return sp_fit(ret_id, SP_FLOW_TEXT_BYTES + 1, sp_buf_borrow(&text));
}

/* Nobody has proved anything in it. */
static bool is_idle(const sp_flow *flow)
{
    return !flow->busy && !flow->password_right &&
           (flow->kind == SP_FLOW_SIGN_IN || flow->kind == SP_FLOW_PASSKEY);
}

static sp_flow *older(sp_flow *a, sp_flow *b)
{
    return a == NULL || b->until_unix_s < a->until_unix_s ? b : a;
}

/* The address's oldest when it has its share, else a free one, else the oldest in which nobody has
 * proved anything, else NULL. */
static sp_flow *place_for(sp_flows *flows, uint64_t address, uint64_t now)
{
    sp_flow *oldest = NULL;
    sp_flow *vacant = NULL;
    sp_flow *idle = NULL;
    unsigned held = 0;
    for (uint32_t i = 0; i < FLOWS_MAX; i++) {
        sp_flow *flow = &flows->items[(flows->next + i) % FLOWS_MAX];
        if (flow->until_unix_s <= now) {
            vacant = vacant == NULL ? flow : vacant;
            continue;
        }
        idle = is_idle(flow) ? older(idle, flow) : idle;
        if (flow->address == address && !flow->busy) {
            held++;
            oldest = older(oldest, flow);
        }
    }
    if (held >= SP_FLOW_ADDRESS_MAX) {
        return oldest;
    }
    return vacant != NULL ? vacant : idle;
}

sp_err sp_flow_open(sp_flows *flows, sp_flow_kind kind, uint64_t address, sp_flow **ret_flow)
{
    uint64_t now = now_s();
    sp_flow *flow = place_for(flows, address, now);
    if (flow == NULL) {
        return sp_fail(SP_EAGAIN);
    }
    uint32_t place = (uint32_t)(flow - flows->items);
    sp_flow_close(flow);
    TRY(make_id(place, flow->id));
    if (kind == SP_FLOW_SETUP) {
        TRY(sp_alloc(1, sizeof(*flow->setup), &flow->setup));
    }
    flow->kind = (uint8_t)kind;
    flow->address = address;
    flow->until_unix_s = now + (kind == SP_FLOW_SETUP ? SP_FLOW_SETUP_LIFE_S : SP_FLOW_LIFE_S);
    flows->next = (place + 1) % FLOWS_MAX;
    *ret_flow = flow;
    return sp_ok();
}

sp_flow *sp_flow_find(sp_flows *flows, sp_flow_kind kind, sp_span id)
{
    auto_buf sp_buf bytes = sp_buf_make(ID_BYTES + 1);
    if (id.len != SP_FLOW_TEXT_BYTES || sp_failed(sp_buf_unbase64url(&bytes, id)) ||
        bytes.len != ID_BYTES) {
        return NULL;
    }
    uint32_t place = (uint32_t)bytes.ptr[0] << 8 | bytes.ptr[1];
    sp_flow *flow = &flows->items[place % FLOWS_MAX];
    bool good = flow->kind == (uint8_t)kind && flow->until_unix_s > now_s() &&
                sp_span_eq_secret(sp_span_cstr(flow->id), id);
    return good ? flow : NULL;
}

void sp_flows_close_setup(sp_flows *flows, const sp_hash *link)
{
    for (uint32_t i = 0; i < FLOWS_MAX; i++) {
        sp_flow *flow = &flows->items[i];
        if (flow->setup != NULL && sp_hash_eq(&flow->setup->link.hash, link)) {
            sp_flow_close(flow);
        }
    }
}

void sp_flows_close_person(sp_flows *flows, uint32_t person)
{
    for (uint32_t i = 0; i < FLOWS_MAX; i++) {
        if (flows->items[i].person == person) {
            sp_flow_close(&flows->items[i]);
        }
    }
}

void sp_flow_new_challenge(sp_flow *flow)
{
    sp_random(flow->challenge, sizeof(flow->challenge));
    flow->has_challenge = true;
}

void sp_flow_new_secret(sp_flow *flow)
{
    sp_random(flow->secret, sizeof(flow->secret));
    flow->has_secret = true;
}
