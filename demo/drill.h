/* SPDX-License-Identifier: Apache-2.0
 * The drill: what the parts of its story share.
 * OWNS nothing. PROCESS sallyport-demo. TRUST none of it is hostile. SPEC demo/README.md "The
 * drill".
 */
#ifndef SP_DEMO_DRILL_H
#define SP_DEMO_DRILL_H

#include "demo/demo.h"

#include <libpq-fe.h>

enum { DRILL_WORDS_BYTES = 1024, DRILL_REFERENCE_BYTES = 24, DRILL_TOLD_MAX = 256 };

typedef enum {
    DRILL_SIMPLE,   /* one message of text, as psql sends it */
    DRILL_REPAIR,   /* the same; it names its rows: alone on a company laptop it is let through */
    DRILL_PARAMS,   /* Parse, Bind, Execute at once, as drivers do; the first parameter is "0" */
    DRILL_PREPARED, /* prepared first, run later */
    DRILL_PIPELINE, /* two lines, the second sent before the first was answered */
    DRILL_FASTPATH, /* a function by number, without SQL */
    DRILL_STARTUP,  /* no statement: "key=value" of the connection */
    DRILL_PSQL,     /* the real psql */
    DRILL_WAY_COUNT
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

enum { DRILL_OPTIONS_MAX = 16 };
/* Keys and values of a connection through the gate; those of the last are NULL. */
typedef struct {
    const char *keys[DRILL_OPTIONS_MAX];
    const char *values[DRILL_OPTIONS_MAX];
    size_t count;
    char port[16];
    char ca[DEMO_PATH_BYTES];
    char certificate[DEMO_PATH_BYTES + 64];
    char key[DEMO_PATH_BYTES + 64];
} drill_options;
void drill_options_of(const demo *d, const drill_login *login, drill_options *to);
void drill_options_add(drill_options *to, const char *key, const char *value);

/* Through the gate. NULL after having said why, when loud. */
PGconn *drill_connect(const demo *d, const drill_login *login, bool loud);
/* Straight to the server as its superuser: the drill's own eyes. NULL after having said why. */
PGconn *drill_look(const demo *d);
/* Straight to the server, past the gate; true: it lets nobody in. */
bool drill_is_shut(const demo *d, const char *role, const char *password);
/* Rows of every table and a checksum over them: "181346 rows, 1f0c..."; false: could not be read.
 */
bool drill_state(PGconn *eyes, char ret_text[DEMO_TEXT_BYTES]);
/* One number. -1: could not be read. */
long drill_number(PGconn *eyes, const char *sql);
/* The number of the next transaction that writes anything at this server; 0: one is at it. */
long drill_next_write(PGconn *eyes);

/* ---- drill_try.c ---- */
typedef struct {
    bool refused;                          /* or, when it waited, it did not run */
    bool waited;                           /* for other people; it was cancelled then */
    char reference[DRILL_REFERENCE_BYTES]; /* that he was shown; empty: none */
    char words[DRILL_WORDS_BYTES];         /* what he was told */
} drill_outcome;

typedef struct {
    const demo *demo;
    PGconn *gate;
    const drill_login *login;
    /* Whether something of his waits for others, with its reference; NULL: nothing can. */
    bool (*waits)(void *self, char ret_reference[DRILL_REFERENCE_BYTES]);
    void *self;
} drill_trial;

void drill_try(const drill_trial *trial, const drill_attempt *attempt, drill_outcome *ret);

/* ---- drill_seen.c: what the security people see of it ---- */

/* What he was shown of an attempt. */
typedef struct {
    const drill_attempt *attempt;
    char reference[DRILL_REFERENCE_BYTES];
    bool waited;
} drill_told;

typedef struct {
    size_t found;        /* entries of their own */
    size_t grave;        /* of these, at high severity */
    const char *missing; /* the first that has none; NULL: each has */
} drill_entries;
/* Looks in the ledger for the entry of each attempt, by the reference that he was shown. */
drill_entries drill_find_entries(demo_person *auditor, const char *person, const drill_told *told,
                                 size_t count);
/* The alarm of this detection about him, with an incident and a page to whoever is asked; waits for
 * it. False: there is none. */
bool drill_is_alarmed(demo_person *paged, const char *detection, const char *person,
                      char ret_incident[DRILL_REFERENCE_BYTES]);
/* The ledger has in this order: it waits under that reference, what it destroys was kept, it runs,
 * it has ended. */
bool drill_in_order(demo_person *auditor, const char *person, const char *reference,
                    const char *sql);

/* ---- drill.c ---- */
int demo_drill(demo *d);
/* The system administrator gives a locked account back. */
bool drill_unlock(const demo *d, const char *name);

/* ---- attack.c ---- */
int demo_attack(demo *d, bool fast);

#endif
