/* SPDX-License-Identifier: Apache-2.0
 * Issuing a device's certificate: the ledger first, then the vault, then the store, then the live
 * table, then the answer.
 * OWNS what waits. PROCESS core. TRUST the vault's reply is bounded and read. SPEC
 * lib/proto/vault_msg.h DEVICE_ISSUE.
 */
#ifndef SP_CORE_DEVICES_ISSUE_H
#define SP_CORE_DEVICES_ISSUE_H

#include "core/devices/devices.h"

/* Answers the request with a new certificate for device->csr. replaces: the certificate that it
 * takes the place of, NULL = the first. */
void sp_issue(sp_request *req, const sp_device *device, const sp_hash *replaces);
/* Answers with one that was issued before and has not come back yet: its answer was lost. */
void sp_issue_answer(sp_request *req, const sp_device *device, const sp_device_cert *cert);
/* A new ticket, NUL-ended, and the hash by which it is known. Each answer above brings one. */
enum { SP_ISSUE_TICKET_TEXT_BYTES = 43 + 1 };
void sp_issue_ticket(char ret_text[SP_ISSUE_TICKET_TEXT_BYTES], sp_hash *ret_hash);

#endif
