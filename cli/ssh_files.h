/* SPDX-License-Identifier: Apache-2.0
 * What OpenSSH needs to go through the gate: a key, the office's certificate for it, the gate's
 * host key, and a configuration that names every machine as NAME.sallyport. All of it lies in ssh/
 * of the device's folder, for this user alone, and is made again when the certificate is about to
 * end.
 *
 * OWNS nothing. PROCESS cli. TRUST the office is verified; its names go into a configuration file,
 * so they are held to letters that mean nothing there. SPEC ssh_config(5),
 * docs/man/sallyport-ssh.1.
 */
#ifndef SP_CLI_SSH_FILES_H
#define SP_CLI_SSH_FILES_H

#include "cli/client.h"
#include "cli/here.h"

#define SP_SSH_SUFFIX ".sallyport"

typedef struct {
    char dir[SP_PATH_BYTES];
    char identity[SP_PATH_BYTES]; /* a copy of the device's key, or one of this folder's own */
    char public_key[SP_PATH_BYTES];
    char certificate[SP_PATH_BYTES]; /* may be missing */
    char known_hosts[SP_PATH_BYTES];
    char config[SP_PATH_BYTES];
    char state[SP_PATH_BYTES];
} sp_ssh_files;

/* Where they are. False after having complained. */
bool sp_ssh_files_find(sp_ssh_files *ret_files);
/* Made for this office, and the certificate serves for a while yet. */
bool sp_ssh_files_fresh(const sp_ssh_files *files, const char *url);
/* As whom they were made ("mia"), "" when they are not there. */
void sp_ssh_files_user(const sp_ssh_files *files, char ret_user[SP_PATH_BYTES]);
/* Asks the office and makes all of them. quiet: an office without an SSH gate is no failure, and
 * nothing is said. */
int sp_ssh_files_make(const sp_ssh_files *files, sp_client *client, bool quiet);
/* The certificate goes; the key and the configuration may stay. */
void sp_ssh_files_forget(const sp_ssh_files *files);
/* The configuration has that machine. */
bool sp_ssh_files_know(const sp_ssh_files *files, const char *name);

#endif
