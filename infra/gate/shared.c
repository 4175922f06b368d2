/* SPDX-License-Identifier: Apache-2.0
 * What workers of every gate share.
 * OWNS random numbers that are left. PROCESS gate workers. TRUST none. SPEC infra/gate/shared.h.
 */
#include "infra/gate/shared.h"

#include "infra/crypto/random.h"
#include "lib/proto/live.h"

enum { RANDOMS = 256 };

uint64_t sp_recorder_reference(void)
{
    static uint64_t randoms[RANDOMS];
    static size_t left;
    if (left == 0) {
        sp_random(randoms, sizeof(randoms));
        left = RANDOMS;
    }
    uint64_t reference = randoms[--left] & ((UINT64_C(1) << 60) - 1);
    randoms[left] = 0;
    return reference | 1;
}

sp_reason sp_gate_device_trouble(uint8_t state)
{
    switch ((sp_device_state)state) {
    case SP_DEVICE_ACTIVE:
        return SP_REASON_NONE;
    case SP_DEVICE_PENDING:
        return SP_REASON_DEVICE_PENDING;
    case SP_DEVICE_QUARANTINED:
        return SP_REASON_DEVICE_QUARANTINE;
    case SP_DEVICE_REVOKED:
        return SP_REASON_DEVICE_REVOKED;
    case SP_DEVICE_FREE:
    case SP_DEVICE_COUNT:
        break;
    }
    return SP_REASON_DEVICE_UNKNOWN;
}
