/* SPDX-License-Identifier: Apache-2.0
 * The demo office: what its parts share.
 *
 * Story: demo/run builds, puts content and documents under run/, and starts `sallyport-demo run`.
 * That starts the applications, each as a user of its own, and `sallyport run`; at the first start
 * it makes accounts through the portal's API, as anybody would; then it says how to sign in and
 * what to try, and waits for Ctrl-C, which ends all of it.
 *
 * OWNS nothing. PROCESS sallyport-demo. TRUST the office is ours; its answers are bounded.
 * SPEC demo/README.md, docs/api/openapi.yaml.
 */
#ifndef SP_DEMO_DEMO_H
#define SP_DEMO_DEMO_H

#include "lib/base/buf.h"

#include <jansson.h>
#include <sys/types.h>

#define DEMO_DOMAIN "office.localhost"
#define DEMO_OFFICE "Lantern Trading"
enum {
    DEMO_APPS = 6,
    DEMO_PATH_BYTES = 1024,
    DEMO_TEXT_BYTES = 128,
    DEMO_ANSWER_MAX_BYTES = 1 << 20
};

typedef struct {
    const char *base; /* absolute: run/, or where it leads */
    unsigned port;    /* HTTPS */
    unsigned lab_port;
    unsigned code_port;
    unsigned web_port;    /* nginx: hr */
    unsigned files_port;  /* nginx: files */
    unsigned orders_port; /* PostgreSQL */
    unsigned db_port;     /* where the gate serves it */
    unsigned ssh_port;    /* where the gate serves machines */
    unsigned work_port;   /* sshd: workstation */
    unsigned host_port;   /* sshd: orders-host */
    pid_t apps[DEMO_APPS];
    pid_t office;
    long log_from; /* where this start's lines begin in the log */
} demo;

/* "<base>/<name>" */
void demo_path(const demo *d, const char *name, char to[DEMO_PATH_BYTES]);
/* A line for people on standard output. */
void demo_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
json_t *demo_read_json(const demo *d, const char *name);
SP_MUST sp_err demo_write_json(const demo *d, const char *name, const json_t *value, unsigned mode);

/* ---- apps.c ---- */
SP_MUST sp_err demo_apps_start(demo *d);
void demo_apps_stop(demo *d);
/* The machines get the authority that they trust from the office, once it is there. */
SP_MUST sp_err demo_apps_trust(const demo *d);
const char *demo_app_name(size_t app);
/* A child that goes when we go: its own session, its user (when we are root), a log of its own. */
SP_MUST sp_err demo_spawn(const demo *d, const char *const argv[], const char *log,
                          const char *home, uid_t uid, pid_t *ret_pid);
/* SIGTERM, and SIGKILL to the whole group after that many seconds. */
void demo_end(pid_t pid, unsigned seconds);

/* ---- portal.c ---- */
typedef struct {
    void *curl;
    const demo *demo;
    char name[DEMO_TEXT_BYTES];
    char password[DEMO_TEXT_BYTES];
    char totp[DEMO_TEXT_BYTES]; /* base32 */
    uint64_t last_step;         /* the portal takes a time step once */
    char from[20];              /* the address that his computer has; empty: any */
    long status;                /* of the last answer */
    char code[DEMO_TEXT_BYTES]; /* of the last problem */
    char words[512];
} demo_person;

SP_MUST sp_err demo_person_init(const demo *d, demo_person *person);
void demo_person_done(demo_person *person);
/* body is taken. The answer, or NULL: then status, code and words say why. */
json_t *demo_call(demo_person *person, const char *method, const char *path, json_t *body);
/* GET of an application as his browser would, through the portal when it asks. The status. */
long demo_visit(demo_person *person, const char *host, const char *path);
/* GET of text, without a session. */
SP_MUST sp_err demo_text(const demo *d, const char *path, sp_buf *out);
/* From a one-time link to a signed-in session. name is for the first administrator only. */
SP_MUST sp_err demo_set_up(demo_person *person, const char *link, const char *name,
                           const char *display_name);
SP_MUST sp_err demo_sign_in(demo_person *person);
SP_MUST sp_err demo_step_up(demo_person *person);
/* A code that was not used yet; waits for the next time step when it must. */
SP_MUST sp_err demo_totp(demo_person *person, char code[8]);

/* ---- accounts.c ---- */
/* The office's own CA stands last in the chain that is served: into <base>/ca.pem. */
SP_MUST sp_err demo_save_ca(const demo *d);
/* accounts.json, made at the first start. NULL after having said why. */
json_t *demo_accounts(const demo *d);
/* Somebody of accounts.json, signed in. */
/* Keeps which code was used last: a code works once, whichever program gave it. */
void demo_account_used(const demo_person *person);
SP_MUST sp_err demo_account_sign_in(const demo *d, const char *name, demo_person *person);

/* ---- device.c, guide.c ---- */
/* The agent of a signed-in person enrols a device in $HOME, and sam, signed in, approves it. */
SP_MUST sp_err demo_enrol_for(const demo *d, demo_person *person, demo_person *sam,
                              const char *device, const char *owner);
void demo_guide(const demo *d, const json_t *accounts);
int demo_code(const demo *d, const char *name);
int demo_enrol(const demo *d, const char *name, bool approve);

#endif
