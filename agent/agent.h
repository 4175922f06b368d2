/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the agent share: the device's files and state.
 * OWNS its strings. PROCESS agent (the employee's own). TRUST the files are the user's own; they
 * are read with limits. SPEC docs/man/sallyport-agent.1 "FILES".
 */
#ifndef SP_AGENT_AGENT_H
#define SP_AGENT_AGENT_H

#include "lib/base/buf.h"

enum {
    SP_AGENT_TEXT_MAX_BYTES = 64 * 1024,
    SP_AGENT_PATH_BYTES = 4096,
    SP_AGENT_FINGERPRINT_BYTES = 20 /* "XXXX-XXXX-XXXX-XXXX" */
};

typedef enum { SP_AGENT_NEW, SP_AGENT_PENDING, SP_AGENT_ENROLLED } sp_agent_state;

/* state.json. Texts are never NULL once loaded. */
typedef struct {
    char dir[SP_AGENT_PATH_BYTES];
    sp_agent_state state;
    char *portal; /* "https://portal.office.example", no slash at the end */
    char *name;
    char *device;    /* the office's number for it, "" before it is known */
    char *ticket;    /* for /device/certificate */
    char *ca_sha256; /* of the pinned office CA, "" = the system's trust */
    char *trouble;   /* why the last renewal or report failed, "" = it did not */
    uint64_t renewed_unix_s;
    uint64_t reported_unix_s;
    bool in_browser; /* import again after each renewal */
} sp_agent;

void sp_agent_done(sp_agent *agent);
#define auto_agent __attribute__((cleanup(sp_agent_done)))

/* Opens (and makes) the directory: $SALLYPORT_AGENT_DIR, or sallyport below $XDG_STATE_HOME, or
 * ~/.local/state/sallyport. Says on standard error what is wrong. */
SP_MUST sp_err sp_agent_open(sp_agent *agent);
SP_MUST sp_err sp_agent_save(const sp_agent *agent);
/* Replaces one of the texts above. */
SP_MUST sp_err sp_agent_set(char **text, sp_span value);

/* Files in the directory: "device.key", "device.pem", "device-ca.pem", "office-ca.pem",
 * "renew.csr". */
SP_MUST sp_err sp_agent_read(const sp_agent *agent, const char *name, sp_buf *out);
SP_MUST sp_err sp_agent_write(const sp_agent *agent, const char *name, sp_span bytes);
void sp_agent_remove(const sp_agent *agent, const char *name);
SP_MUST sp_err sp_agent_path(const sp_agent *agent, const char *name,
                             char ret_path[SP_AGENT_PATH_BYTES]);
/* One agent at a time changes the directory; *ret_fd holds the lock. SP_EAGAIN. */
SP_MUST sp_err sp_agent_lock(const sp_agent *agent, int *ret_fd);

/* ---- commands: the result is the exit status (cli/command.h) ---- */
typedef struct {
    const char *portal;    /* enroll */
    const char *ca_sha256; /* enroll */
    const char *code_file; /* enroll; NULL = ask on the terminal, "-" = standard input */
    const char *name;      /* enroll; NULL = host name */
    const char *file;      /* export */
    bool no_wait;          /* enroll */
    bool force;            /* renew */
    bool once;             /* run */
    bool json;             /* status */
} sp_agent_options;

int sp_agent_enroll(const sp_agent_options *options);
int sp_agent_status(const sp_agent_options *options);
int sp_agent_renew(const sp_agent_options *options);
int sp_agent_run(const sp_agent_options *options);
int sp_agent_browser_import(const sp_agent_options *options);
int sp_agent_export(const sp_agent_options *options);
int sp_agent_unenroll(const sp_agent_options *options);

/* "agent: ..." on standard error. */
void sp_agent_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
