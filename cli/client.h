/* SPDX-License-Identifier: Apache-2.0
 * The line to an office: HTTPS with a session kept in a file of one's own, or, for root on the host
 * itself, core's local socket.
 * OWNS its connection and session. PROCESS cli. TRUST the server is verified (TLS); its answers
 * are bounded. SPEC docs/api/openapi.yaml.
 *
 * The session file is $XDG_CONFIG_HOME/sallyport/session.json (or ~/.config/...), mode 0600: {url,
 * token, ca}. Calls print what went wrong on standard error and give the exit status.
 */
#ifndef SP_CLI_CLIENT_H
#define SP_CLI_CLIENT_H

#include "cli/command.h"
#include "lib/base/buf.h"

#include <jansson.h>

typedef struct sp_client sp_client;

enum { SP_CLIENT_ANSWER_MAX_BYTES = 256 << 20 };

/* With the session of the file. SP_EXIT_REFUSED: not signed in. */
int sp_client_open(sp_client **ret_client);
/* Without a session, to sign in. ca_pem: NULL = the system's authorities. */
int sp_client_open_url(const char *url, const char *ca_pem, sp_client **ret_client);
/* core's local socket of this host; config: bootstrap file, NULL = /etc/sallyport/sallyport.yaml.
 */
int sp_client_open_local(const char *config, sp_client **ret_client);
void sp_client_close(sp_client *client);
void sp_client_auto_(sp_client **client);
#define auto_client __attribute__((cleanup(sp_client_auto_)))

/* body may be NULL (GET, or {} for a change); the reference is taken. *ret_answer is a new
 * reference, NULL when there was none. SP_EXIT_OK for 2xx. */
int sp_client_call(sp_client *client, const char *method, const char *path, json_t *body,
                   json_t **ret_answer);
/* HTTP status of the last call, 0 = none came. */
unsigned sp_client_status(const sp_client *client);
const char *sp_client_url(const sp_client *client);
/* Quiet: a problem is not printed, the answer is the problem. */
int sp_client_try(sp_client *client, const char *method, const char *path, json_t *body,
                  json_t **ret_answer);

/* GET of what is not JSON: the answer, until the next call. */
int sp_client_text(sp_client *client, const char *path, sp_span *ret_text);
/* A number in a header of the last answer; 0 = there is none. */
uint64_t sp_client_header(const sp_client *client, const char *name);

/* A stream of server-sent events until it ends or on_event says false; SP_EXIT_OK then. data is
 * borrowed. */
typedef bool (*sp_on_event)(void *self, const char *name, const json_t *data);
int sp_client_follow(sp_client *client, const char *path, sp_on_event on_event, void *self);

/* ---- the session ---- */
/* The cookie that the last call set, into the session file. */
int sp_client_keep(sp_client *client, const char *token);
/* Value of our cookie if the last answer set it; the caller frees. NULL = none. */
char *sp_client_cookie(sp_client *client);
/* Forgets the file. */
int sp_client_forget(void);
/* The certificate authority that the server itself presents, if its SHA-256 is the one given
 * (hex): for the first contact with an office that has its own. */
int sp_client_pin(const char *url, const char *ca_sha256, char **ret_ca_pem);

/* ---- for commands ---- */
/* Every page of a list; the items as one array (new reference). path may hold a query. */
int sp_client_list(sp_client *client, const char *path, json_t **ret_items);
/* Pretty JSON on standard output. */
void sp_client_print(const json_t *value);

#endif
