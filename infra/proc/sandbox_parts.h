/* SPDX-License-Identifier: Apache-2.0
 * The parts of the cage, for sandbox.c only: system calls and files.
 * OWNS nothing. PROCESS all roles, agent. TRUST see sandbox.h. SPEC seccomp(2), landlock(7).
 */
#ifndef SP_PROC_SANDBOX_PARTS_H
#define SP_PROC_SANDBOX_PARTS_H

#include "infra/proc/sandbox.h"

typedef struct {
    int abi; /* 0 = this kernel has no Landlock */
    unsigned read_count;
    unsigned write_count;
    unsigned execute_count;
    bool connect; /* TCP out is open */
    bool listen;
    bool signals_scoped;
} sp_sandbox_files_state;

/* Needs no_new_privs already set. */
SP_MUST sp_err sp_sandbox_files(const sp_sandbox *spec, sp_sandbox_files_state *ret_state,
                                sp_buf *why);
SP_MUST sp_err sp_sandbox_calls(const sp_sandbox *spec, sp_buf *why);

#endif
