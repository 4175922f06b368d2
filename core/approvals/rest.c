/* SPDX-License-Identifier: Apache-2.0
 * OWNS nothing. PROCESS core. TRUST see rest.h. SPEC core/approvals/rest.h.
 */
#include "core/approvals/rest.h"

#include <stddef.h>

#define SECOND_US UINT64_C(1000000)
#define OWED_MAX_US (600 * SECOND_US)

/* The person's place; else the one of who owes least and tries nothing; SP_REST_PLACES = none. */
static size_t place_of(const sp_rest *rest, uint32_t person)
{
    size_t least = SP_REST_PLACES;
    for (size_t i = 0; i < SP_REST_PLACES; i++) {
        if (rest->of[i].person == person) {
            return i;
        }
        if (!rest->of[i].is_trying &&
            (least == SP_REST_PLACES || rest->of[i].until_us < rest->of[least].until_us)) {
            least = i;
        }
    }
    return least;
}

bool sp_rest_begin(sp_rest *rest, uint32_t person, bool asks, uint64_t now_us, uint64_t *ret_wait_s)
{
    size_t at = place_of(rest, person);
    if (at == SP_REST_PLACES || rest->of[at].is_trying) {
        *ret_wait_s = 1;
        return false;
    }
    if (rest->of[at].person != person) {
        rest->of[at].person = person;
        rest->of[at].until_us = 0;
        rest->of[at].may_ask = false;
    }
    uint64_t until_us = rest->of[at].until_us;
    if (until_us > now_us + OWED_MAX_US && !(asks && rest->of[at].may_ask)) {
        *ret_wait_s = (until_us - now_us - OWED_MAX_US + SECOND_US - 1) / SECOND_US;
        return false;
    }
    rest->of[at].is_trying = true;
    rest->of[at].asks = asks;
    rest->of[at].began_us = now_us;
    return true;
}

void sp_rest_end(sp_rest *rest, uint32_t person, uint64_t now_us)
{
    size_t at = place_of(rest, person);
    if (at == SP_REST_PLACES || rest->of[at].person != person || !rest->of[at].is_trying) {
        return;
    }
    uint64_t from_us = rest->of[at].until_us > now_us ? rest->of[at].until_us : now_us;
    rest->of[at].until_us = from_us + SP_REST_TIMES * (now_us - rest->of[at].began_us);
    rest->of[at].may_ask = !rest->of[at].asks;
    rest->of[at].is_trying = false;
}

void sp_rest_drop(sp_rest *rest, uint32_t person)
{
    size_t at = place_of(rest, person);
    if (at != SP_REST_PLACES && rest->of[at].person == person) {
        rest->of[at].is_trying = false;
    }
}
