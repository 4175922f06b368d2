/* SPDX-License-Identifier: Apache-2.0
 * The certificate of a machine's host key, fetched from here.
 * OWNS nothing. PROCESS cli. TRUST the machine is hostile. SPEC lib/proto/ssh_ask.h.
 */
#ifndef SP_CLI_SSH_ASK_H
#define SP_CLI_SSH_ASK_H

#include "lib/base/buf.h"

#include <stdint.h>

/* Waits, for 5 s at most. NULL: *blob is what it showed; else why not. */
const char *ssh_ask_certificate(const char *host, uint16_t port, sp_buf *blob);

#endif
