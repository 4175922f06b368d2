/* SPDX-License-Identifier: Apache-2.0
 * The drill: what the parts of its story share.
 * OWNS nothing. PROCESS sallyport-demo. TRUST none of it is hostile. SPEC demo/README.md "The
 * drill".
 */
#ifndef SP_DEMO_DRILL_H
#define SP_DEMO_DRILL_H

#include "demo/demo.h"

#include <libpq-fe.h>

typedef enum {
    DRILL_SIMPLE,   /* one message of text, as psql sends it */
    DRILL_PARAMS,   /* Parse, Bind, Execute at once, as drivers do; the first parameter is "0" */
    DRILL_PREPARED, /* prepared first, run later */
    DRILL_FASTPATH, /* a function by number, without SQL */
    DRILL_PSQL      /* the real psql */
} drill_way;

typedef struct {
    const char *what;
    drill_way way;
    const char *sql;
} drill_attempt;

extern const drill_attempt drill_attempts[];
extern const size_t drill_attempt_count;
extern const drill_attempt drill_alone[];
extern const size_t drill_alone_count;

/* ---- drill_db.c ---- */
typedef struct {
    char user[DEMO_TEXT_BYTES];
    char password[DEMO_TEXT_BYTES];
    char device[DEMO_PATH_BYTES +
                32]; /* directory of the agent whose certificate is shown; empty: none
                      */
} drill_login;

/* Through the gate. NULL after having said why, when loud. */
PGconn *drill_connect(const demo *d, const drill_login *login, bool loud);
/* Straight to the server as its superuser: the drill's own eyes. NULL after having said why. */
PGconn *drill_look(const demo *d);
/* Straight to the server, past the gate; true: it lets nobody in. */
bool drill_is_shut(const demo *d, const char *role, const char *password);
/* Ends what waits, if anything does: true when nothing of it ran; *ret_words what was said. */
bool drill_end(PGconn *gate, bool waits, char ret_words[DEMO_ANSWER_MAX_BYTES / 1024]);
/* Rows of every table and a checksum over them: "181346 rows, 1f0c..."; false: could not be read.
 */
bool drill_state(PGconn *eyes, char ret_text[DEMO_TEXT_BYTES]);
/* One number. -1: could not be read. */
long drill_number(PGconn *eyes, const char *sql);
/* True when it was refused; *ret_words what the client was told. */
bool drill_try(const demo *d, PGconn *gate, const drill_login *login, const drill_attempt *attempt,
               char ret_words[DEMO_ANSWER_MAX_BYTES / 1024]);

/* ---- drill.c ---- */
int demo_drill(demo *d);
/* The system administrator gives a locked account back. */
bool drill_unlock(const demo *d, const char *name);

/* ---- attack.c ---- */
int demo_attack(demo *d, bool fast);

#endif
