/* SPDX-License-Identifier: Apache-2.0
 * The role: workers, watched over by their first process.
 * OWNS nothing. PROCESS ssh role. TRUST none. SPEC infra/gate/workers.h.
 */
#include "gates/ssh/gate.h"
#include "infra/proc/entry.h"

int sp_ssh_role(const sp_config *config)
{
    const sp_workers workers = {.config = config,
                                .role = "ssh",
                                .gate = "the SSH gate",
                                .socket = "ssh",
                                .listen_count = config->ssh_count,
                                .wanted = config->ssh_workers,
                                .is_patient = true,
                                .run = sg_worker_run};
    return sp_workers_run(&workers);
}
