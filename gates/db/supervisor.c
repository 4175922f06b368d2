/* SPDX-License-Identifier: Apache-2.0
 * The role: workers, watched over by their first process.
 * OWNS nothing. PROCESS db role. TRUST none. SPEC infra/gate/workers.h.
 */
#include "gates/db/db.h"
#include "gates/db/judging.h"
#include "infra/crypto/random.h"
#include "infra/proc/entry.h"
#include "infra/proc/log.h"

#include <stdlib.h>

/* Nobody may connect to a gate whose parser is another one than it was built with. */
static bool can_read(void)
{
    auto_sql_judge sp_sql_judge *judge = NULL;
    sp_err err = sp_sql_judge_new(&judge);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "the database gate does not start: %s",
               err.code == SP_EINTERNAL ? "its SQL parser is not the one that it was built with"
                                        : "there is no memory");
    }
    return !sp_failed(err);
}

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
    sp_log_start(workers.role, SP_LOG_INFO);
    if (!can_read()) {
        return EXIT_FAILURE;
    }
    return sp_workers_run(&workers);
}
