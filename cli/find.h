/* SPDX-License-Identifier: Apache-2.0
 * Finding people and devices by the names that a person types, and calls on what was found.
 * OWNS nothing. PROCESS cli. TRUST none. SPEC docs/api/openapi.yaml.
 */
#ifndef SP_CLI_FIND_H
#define SP_CLI_FIND_H

#include "cli/client.h"

/* By login name. *ret_person is a new reference. Complains when there is none. */
int sp_find_person(sp_client *client, const char *name, json_t **ret_person);
/* By id or by name, if only one has it. */
int sp_find_device(sp_client *client, const char *name, json_t **ret_device);
/* METHOD base/<id of object>/verb. */
int sp_call_on(sp_client *client, const char *method, const char *base, const json_t *object,
               const char *verb, json_t *body, json_t **ret_answer);

#endif
