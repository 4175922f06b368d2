/* SPDX-License-Identifier: Apache-2.0
 * Writing a tar archive of plain files, as every system reads it.
 * OWNS nothing. PROCESS core. TRUST names and bytes are our own. SPEC POSIX.1-2017 pax, "ustar
 * Interchange Format".
 */
#ifndef SP_BASE_TAR_H
#define SP_BASE_TAR_H

#include "lib/base/buf.h"

enum { SP_TAR_NAME_MAX_BYTES = 100, SP_TAR_BLOCK_BYTES = 512 };

/* Appends head, bytes and padding; a longer name fails the buffer with SP_ELIMIT. */
void sp_tar_file(sp_span name, sp_span bytes, uint64_t when_unix_s, sp_buf *out);
/* The two empty blocks at the end. */
void sp_tar_end(sp_buf *out);

#endif
