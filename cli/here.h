/* SPDX-License-Identifier: Apache-2.0
 * This computer, for commands that run its programs: psql, ssh and their kin.
 * OWNS nothing. PROCESS cli. TRUST one's own environment. SPEC docs/man/sallyport-agent.1 "FILES".
 */
#ifndef SP_CLI_HERE_H
#define SP_CLI_HERE_H

#include <stdbool.h>

enum { SP_PATH_BYTES = 4096 };

/* The folder of the device (agent/agent.h): it need not be there. False: there is no home. */
bool sp_agent_dir(char ret_dir[SP_PATH_BYTES]);
/* Certificate (PEM) and key (DER) with which this computer is a device of the office whose portal
 * is at url; any office's when url is NULL. False: it is none. */
bool sp_agent_device(const char *url, char ret_cert[SP_PATH_BYTES], char ret_key[SP_PATH_BYTES]);
/* Names below .localhost are this machine's, whatever its resolver says (RFC 6761). */
bool sp_is_local(const char *host);
/* Runs it to its end, found by PATH, on our terminal; signals of the keyboard are its own. Its exit
 * status, as a shell says it. package: where people get it when it is not there. */
int sp_run_program(const char *program, const char *package, char *const argv[]);

#endif
