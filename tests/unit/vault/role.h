/* SPDX-License-Identifier: Apache-2.0
 * A real vault in a child process, as the porter would start it: own uid (as root), own directory,
 * inherited socket, sandbox.
 * OWNS the child and its directory. PROCESS tests. TRUST none. SPEC infra/proc/entry.h.
 */
#ifndef SP_TESTS_VAULT_ROLE_H
#define SP_TESTS_VAULT_ROLE_H

#include "infra/proc/config.h"

#include <sys/types.h>

typedef struct {
    char dir[64];
    char socket[96];
    char config_file[96];
    sp_config *config;
    int listener;
    pid_t pid;
} vault_role;

/* tls: "own", or "{ certificate: F, key: F }" with $DIR written for the directory. */
void vault_role_make(vault_role *role, const char *tls);
void vault_role_start(vault_role *role);
/* By SIGKILL: the socket stays, as the porter keeps it. */
void vault_role_kill(vault_role *role);
/* By SIGTERM; true when it ended with status 0. */
void vault_role_done(vault_role *role);

/* From now on this process speaks as that role (only root can, and root comes back by uid 0). */
void speak_as(const vault_role *role, sp_role_kind kind);
void speak_as_self(void);

#endif
