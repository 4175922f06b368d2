/* SPDX-License-Identifier: Apache-2.0
 * Parts of the office that core cannot speak to: told by core itself, since the watch reads a
 * ledger that cannot write meanwhile, and a watch that has stopped says nothing. OWNS nothing.
 * PROCESS core. TRUST none. SPEC core/meters/README.md, docs/OPERATIONS.md.
 */
#include "core/ledger_client.h"
#include "core/meters/inside.h"
#include "core/notices/inside.h"
#include "core/vault_client.h"
#include "core/watch/watch.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

#define AWAY_US UINT64_C(20000000) /* a restart of a part takes less */

static const struct {
    const char *en;
    const char *zh;
} names[METER_PARTS] = {
    [METER_LEDGER] = {"the ledger", "账本"},
    [METER_WATCH] = {"the watch", "监测"},
    [METER_VAULT] = {"the vault", "密钥库"},
    [METER_COURIER] = {"the courier", "信使"},
};

static bool is_there(const sp_meters *m, meter_part part, uint64_t now_us)
{
    sp_watch_status status;
    switch (part) {
    case METER_LEDGER:
        return m->ledger.known && m->ledger.recording && now_us - m->ledger_us < AWAY_US;
    case METER_WATCH:
        return sp_watcher_status_of(m->core, &status);
    case METER_VAULT:
        return sp_vault_client_is_up(m->core->vault);
    case METER_COURIER:
        return notice_courier_is_up(m->core->notices->queue);
    case METER_PARTS:
        break;
    }
    return true;
}

static void tell(sp_core *core, meter_part part)
{
    const sp_event event = {.kind = SP_EVENT_ROLE,
                            .when_unix_us = sp_now_unix_us(),
                            .verdict = SP_VERDICT_ALLOW,
                            .severity = SP_SEVERITY_CRITICAL,
                            .method = SP_SPAN_LIT("away"),
                            .object = sp_span_cstr(names[part].en)};
    const sp_notice_pair values[] = {{SP_SPAN_LIT("part"), sp_span_cstr(names[part].en)},
                                     {SP_SPAN_LIT("part_zh"), sp_span_cstr(names[part].zh)}};
    const sp_notice_ask ask = {.notice = SP_SPAN_LIT("part-away"),
                               .values = values,
                               .values_count = SP_COUNT(values),
                               .by = SP_SPAN_LIT("core")};
    sp_log(SP_LOG_ERROR, "%s has not answered for %u s", names[part].en,
           (unsigned)(AWAY_US / 1000000));
    sp_ledger_client_tell(core->ledger, &event);
    sp_notices_tell(core, &ask);
}

void meter_look_for_away(sp_meters *m)
{
    uint64_t now_us = sp_now_steady_us();
    for (meter_part part = METER_LEDGER; part < METER_PARTS; part++) {
        if (m->seen_us[part] == 0 || is_there(m, part, now_us)) {
            m->seen_us[part] = now_us; /* or core has just begun */
            m->told[part] = false;
        } else if (!m->told[part] && now_us - m->seen_us[part] >= AWAY_US) {
            m->told[part] = true;
            tell(m->core, part);
        }
    }
}
