/* SPDX-License-Identifier: Apache-2.0
 * The policy snapshot in force, as gates get it: a sealed memory file.
 * OWNS the memory's fd. PROCESS core. TRUST bytes come from our own compiler.
 * SPEC docs/ARCHITECTURE.md "Three shared memories".
 */
#ifndef SP_CORE_STATE_PUBLISH_H
#define SP_CORE_STATE_PUBLISH_H

#include "core/state/state.h"

SP_MUST sp_err sp_publish_new(sp_publish **ret_publish);
void sp_publish_free(sp_publish *publish);
/* Seals a copy of the snapshot. SP_EIO. */
SP_MUST sp_err sp_publish_seal(sp_span snapshot, int *ret_fd);
/* From now on it is the one in force; owns the fd. */
void sp_publish_swap(sp_publish *publish, int fd, uint64_t version);
/* -1 before the first swap; valid until the next. */
int sp_publish_fd(const sp_publish *publish);
uint64_t sp_publish_version(const sp_publish *publish);

#endif
