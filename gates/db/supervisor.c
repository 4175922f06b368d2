/* SPDX-License-Identifier: Apache-2.0
 * The role: workers, watched over by their first process.
 * OWNS nothing. PROCESS db role. TRUST none. SPEC infra/gate/workers.h.
 */
#include "gates/db/db.h"
#include "gates/db/judging.h"
#include "infra/crypto/random.h"
#include "infra/proc/entry.h"

int sp_db_role(const sp_config *config)
{
    const sp_workers workers = {.config = config,
                                .role = "db",
                                .gate = "the database gate",
                                .socket = "postgres",
                                .listen_count = config->postgres_count,
                                .wanted = config->db_workers,
                                .run = db_worker_run};
    sp_random(db_mask_key, sizeof(db_mask_key)); /* one for all workers */
    return sp_workers_run(&workers);
}
