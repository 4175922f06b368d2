/* SPDX-License-Identifier: Apache-2.0
 * What the policy subcommands share: documents of a folder as a compiled set, and output.
 * OWNS see each. PROCESS cli. TRUST documents, directories and decisions are files of the person
 * at the keyboard, hostile all the same. SPEC docs/man/sallyport.1.
 */
#ifndef SP_CLI_POLICY_H
#define SP_CLI_POLICY_H

#include "infra/proc/folder.h"
#include "lib/policy/compile.h"

enum { POLICY_ROLES_MAX = 32, POLICY_OUTPUT_MAX_BYTES = 256 << 20 };

typedef struct {
    sp_folder folder;
    char **names; /* of the files, with the folder in front */
    sp_policy_number *roles;
    size_t roles_count;
    sp_policy_number *people;
    size_t people_count;
    void *directory; /* json_t that the names point into */
    sp_diags diags;
    sp_policy_set *set;
} policy_office;

void policy_office_done(policy_office *office);
#define auto_office __attribute__((cleanup(policy_office_done)))

/* Reads and compiles. directory: a JSON file {"roles":[{"name","number"}],"people":[...]} of the
 * numbers that an office has given, or NULL. SP_EINVALID: office->diags says why. */
SP_MUST sp_err policy_office_load(const char *path, const char *directory, policy_office *office);

/* Standard output, and diagnostics as text on standard error or as a JSON array. */
void policy_print(const sp_buf *out);
void policy_print_diags(const sp_diags *diags);
void policy_diags_json(const sp_diags *diags, sp_buf *out);

/* sallyport policy replay: decisions in file ("-": standard input) against the office's set. */
int policy_replay(const policy_office *office, const char *file, bool json);

#endif
