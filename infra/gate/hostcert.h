/* SPDX-License-Identifier: Apache-2.0
 * Whether a certificate speaks for the host key of a machine that policy names.
 *
 * Story: sp_hostcert_verify() once, when it was shown; sp_hostcert_judge() before each use of it.
 * Both or nothing. What is good says which key the machine has to show; that it has it is proved
 * by a key exchange that shows exactly this key.
 *
 * OWNS nothing. PROCESS ssh gate workers, cli. TRUST the certificate is hostile. SPEC OpenSSH
 * PROTOCOL.certkeys, docs/SSH.md 2.
 */
#ifndef SP_GATE_HOSTCERT_H
#define SP_GATE_HOSTCERT_H

#include "lib/base/buf.h"
#include "lib/policy/decide.h"

/* NULL: it is a certificate, and whoever it names as its authority signed it; else why not, for
 * people. */
const char *sp_hostcert_verify(sp_span blob);
/* NULL: an authority of the resource's says so, now and of the host of its address; *key has the
 * plain key's blob then. Else why not, for people. */
const char *sp_hostcert_judge(const sp_policy *policy, uint32_t resource, sp_span blob,
                              uint64_t now_unix_s, sp_buf *key);
/* "SHA256:..., signed by SHA256:...", of whatever was shown. */
void sp_hostcert_fingerprints(sp_span blob, sp_buf *out);

#endif
