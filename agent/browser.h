/* SPDX-License-Identifier: Apache-2.0
 * The device's certificate in the browsers of this user.
 * OWNS nothing. PROCESS agent. TRUST the NSS databases are the user's own.
 * SPEC docs/man/sallyport-agent.1 "browser-import".
 */
#ifndef SP_AGENT_BROWSER_H
#define SP_AGENT_BROWSER_H

#include "agent/agent.h"

/* Puts key, certificate and the office's CA into ~/.pki/nssdb and each Firefox profile, in place of
 * what an earlier import put there. The result is the exit status. */
int sp_browser_import(sp_agent *agent);
/* PKCS#12 of key, certificate and device CA. SP_EUNSUPPORTED: the key cannot leave its place. */
SP_MUST sp_err sp_browser_bundle(const sp_agent *agent, const char *nick, const char *passphrase,
                                 sp_buf *out);
void sp_browser_remove(const sp_agent *agent);

#endif
