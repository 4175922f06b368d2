/* SPDX-License-Identifier: Apache-2.0
 * The bootstrap file: the little that must be known before documents and state can be read.
 * OWNS its strings. PROCESS porter, every role, cli. TRUST written by the operator: errors name
 * file:line:column. SPEC docs/OPERATIONS.md "Bootstrap file".
 *
 *     office: Lantern Trading            shown to people
 *     domain: office.localhost           apps are <host>.<domain>
 *     portal: portal                     the portal is portal.<domain>
 *     listen: ["127.0.0.1:8443"]         where HTTPS is served
 *     http: ["0.0.0.0:80"]               optional, without TLS: redirects, ACME challenges
 *     forward_auth: ["127.0.0.1:9180"]   optional: where another proxy of this machine asks
 *     postgres: ["0.0.0.0:5432"]         optional: the database gate listens there
 *     postgres_tls: required             or optional: plain too, on loopback addresses only
 *     keep_gib: 20                       room for undo; default 20
 *     keep_days: 30                      how long what was destroyed is kept; default 30
 *     db_workers: 4                      processes of that gate; default: half the cores
 *     db_connections_each: 100           connections of one person there; default 100
 *     ssh: ["0.0.0.0:2222"]              optional: the SSH gate listens there
 *     ssh_workers: 4                     processes of that gate; default: half the cores
 *     ssh_connections_each: 100          connections of one person there; default 100
 *     ssh_log_ins_each: 600              log-ins of one person there a minute; default 600
 *     ssh_log_ins_address: 1800          connections of an address a minute, a worker; default 1800
 *     public_port: 8443                  the port in URLs; default: of the first listen
 *     state: /var/lib/sallyport          core/ vault/ ledger/ web/ db/ ssh/ below it
 *     run: /run/sallyport                sockets
 *     documents: /etc/sallyport/office   applied at the first start
 *     tls: { certificate: FILE, key: FILE }   or  tls: own   (the vault's own CA)
 *     users: { core: NAME|UID, vault: ..., ledger: ..., web: ... }  default sallyport-<role>; where
 *                                        there is no such user and we are not root: ourselves
 *     commands: { block-mail: /usr/local/sbin/block-mail }   what a plan's step `run` may start
 *     sessions_max: 100000
 *     devices_max: 20000
 *
 * Unknown keys are errors.
 */
#ifndef SP_PROC_CONFIG_H
#define SP_PROC_CONFIG_H

#include "lib/base/diag.h"

#include <sys/socket.h>
#include <sys/types.h>

typedef enum {
    SP_ROLE_CORE,
    SP_ROLE_VAULT,
    SP_ROLE_LEDGER,
    SP_ROLE_WEB,
    SP_ROLE_DB,      /* the database gate; only where the office has one */
    SP_ROLE_KEEPER,  /* keeps what approved statements destroy */
    SP_ROLE_SSH,     /* the SSH gate; only where the office has one */
    SP_ROLE_COURIER, /* mails and posts of notices */
    SP_ROLE_WATCH,   /* looks at the stream of events for what it should not be */
    SP_ROLE_RUNNER,  /* runs the operator's commands for plans; only where there are some */
    SP_ROLE_COUNT
} sp_role_kind;
const char *sp_role_word(sp_role_kind role);

enum { SP_LISTEN_MAX = 16, SP_COMMANDS_MAX = 64 };

/* A program of the operator's that plans may run, by its name. */
typedef struct {
    char *name;
    char *path; /* absolute */
} sp_config_command;

typedef struct {
    char *file; /* absolute path of the bootstrap file */
    char *office;
    char *domain;
    char *portal;
    char *listen[SP_LISTEN_MAX]; /* "address:port", IPv6 in brackets */
    size_t listen_count;
    char *http[SP_LISTEN_MAX]; /* the same form; only redirects to HTTPS and answers ACME */
    size_t http_count;
    char *asked[SP_LISTEN_MAX]; /* forward_auth: the same form, loopback only */
    size_t asked_count;
    char *postgres[SP_LISTEN_MAX]; /* the same form; of the database gate. None: no such gate */
    size_t postgres_count;
    char *ssh[SP_LISTEN_MAX]; /* the same form; of the SSH gate. None: no such gate */
    size_t ssh_count;
    bool postgres_plain;           /* clients may come without TLS: loopback listeners only */
    unsigned keep_gib;             /* room for what approved statements destroyed */
    unsigned keep_days;            /* how long it is kept */
    unsigned db_workers;           /* processes of the database gate; 0 = half the cores */
    unsigned db_connections_each;  /* of one person at the database gate, over all workers */
    unsigned ssh_workers;          /* processes of the SSH gate; 0 = half the cores */
    unsigned ssh_connections_each; /* of one person at the SSH gate, over all workers */
    unsigned ssh_log_ins_each;     /* of one person there, in a minute */
    unsigned ssh_log_ins_address;  /* connections of one address there, in a minute, a worker */
    unsigned public_port;
    char *state_dir;
    char *run_dir;
    char *documents_dir;   /* NULL = none */
    char *tls_certificate; /* NULL = own CA */
    char *tls_key;
    char *places; /* MMDB file: where addresses are. NULL = nothing is known of places */
    sp_config_command commands[SP_COMMANDS_MAX]; /* none: no such role */
    size_t commands_count;
    uid_t uids[SP_ROLE_COUNT];
    gid_t gids[SP_ROLE_COUNT];
    unsigned sessions_max;
    unsigned devices_max;
} sp_config;

void sp_config_free(sp_config *config);
SP_MUST sp_err sp_config_load(const char *path, sp_diags *diags, sp_config **ret_config);
/* Whether this office runs the role at all. */
bool sp_config_has_role(const sp_config *config, sp_role_kind role);
/* True when a peer of that uid may act as the role (roles may share a uid in development). */
bool sp_config_uid_is(const sp_config *config, uid_t uid, sp_role_kind role);
/* The program behind a name of commands:; NULL = there is none. */
const char *sp_config_command_path(const sp_config *config, sp_span name);
/* "<run_dir>/<name>.sock" */
SP_MUST sp_err sp_config_socket(const sp_config *config, const char *name, char **ret_path);
/* "<state_dir>/<role>/<name>" */
SP_MUST sp_err sp_config_state(const sp_config *config, sp_role_kind role, const char *name,
                               char **ret_path);
/* "address:port" of listen:, IPv6 in brackets. SP_EINVALID. */
SP_MUST sp_err sp_config_address(const char *listen, struct sockaddr_storage *ret_address,
                                 socklen_t *ret_size);

#endif
