/* SPDX-License-Identifier: Apache-2.0
 * Incidents: what happened, who leads, what is to be done, what was found; until a closing review.
 *
 * Story: a person opens one, or an alarm does; an alarm about the same thing (its topic) joins the
 * one that was opened within a day and is still open: later it may be another deed, with clocks of
 * its own. Who is to know is paged. Its roles come from the Rota: the first person who has an
 * active account. All that happens becomes an entry of its timeline, with the number of the
 * ledger's entry where there is one. Changes by people are on the ledger before they take effect.
 * Duplicates are merged; a closed one has a review.
 *
 * OWNS rows of the store. PROCESS core. TRUST requests are hostile; so are the names in alarms.
 * SPEC docs/INCIDENTS.md, docs/api/openapi.yaml "/incidents".
 */
#ifndef SP_CORE_INCIDENTS_INCIDENTS_H
#define SP_CORE_INCIDENTS_INCIDENTS_H

#include "core/core.h"
#include "infra/ipc/server.h"
#include "lib/policy/plan.h"
#include "lib/proto/event.h"
#include "lib/proto/watch_msg.h"

#include <jansson.h>

enum {
    SP_INCIDENT_TITLE_MAX_BYTES = 200,
    SP_INCIDENT_TEXT_MAX_BYTES = 4000,
    SP_INCIDENT_NOTE_BYTES = 1024 /* of what core writes itself */
};

SP_MUST sp_err sp_incidents_start(sp_core *core);

typedef struct {
    sp_span title;
    sp_span topic;   /* what it is about: joins an open one of the same; empty = its own */
    sp_span by_name; /* who opens it: a person, "root", "alarm" */
    sp_span about;   /* the person it is about, who gets no role in it; may be empty */
    uint8_t severity;
    bool drill;
} sp_incident_open;
/* Opens, or finds the open one of that topic and raises its severity. The ledger is told.
 * *ret_news: it is new, or graver than it was; may be NULL. */
SP_MUST sp_err sp_incident_open_one(sp_core *core, const sp_incident_open *open, uint64_t *ret_id,
                                    bool *ret_news);

/* An entry of the timeline. */
typedef struct {
    const char *kind; /* "alarm", "plan", "cut", "comment", "evidence", .. */
    sp_span by_name;
    sp_span text;
    uint64_t session;   /* 0 = none */
    uint64_t reference; /* of the event, 0 = none */
    uint64_t entry;     /* of the ledger */
    bool has_entry;
} sp_incident_note;
/* A failure is logged: nothing waits for a note. */
void sp_incident_add(sp_core *core, uint64_t id, const sp_incident_note *note);
/* Something for somebody to do; role: whose, SP_ROTA_COUNT = anybody's; due_unix_s: by when, 0 = at
 * no time. */
SP_MUST sp_err sp_incident_task(sp_core *core, uint64_t id, sp_span text, sp_rota_role role,
                                uint64_t due_unix_s, sp_span by_name);
/* Tells of tasks whose time is over, each once: ledger, timeline, whose it is, who leads. */
void sp_tasks_look(sp_core *core);
/* The wall clock was set (core/clock.h): what is to be done may take as long as it might have. In a
 * transaction of the caller. */
SP_MUST sp_err sp_incidents_clock_rows(sp_core *core, int64_t by_s);
/* Fills a role from the Rota, but not with whom it is about. *ret_name is who it is, in room;
 * empty: nobody could be found, and the ledger is told as an alarm. */
SP_MUST sp_err sp_incident_assign(sp_core *core, uint64_t id, sp_rota_role role, sp_span about,
                                  sp_span by_name, char room[SP_NAME_MAX_BYTES + 1],
                                  sp_span *ret_name);
/* The first of the Rota with an active account, in room; nobody leads what is about himself. Empty:
 * nobody can. */
sp_span sp_rota_first_who_can(sp_core *core, sp_rota_role role, sp_span about,
                              char room[SP_NAME_MAX_BYTES + 1]);
/* Tells of roles that nobody of the Rota could take now. */
void sp_rota_look(sp_core *core);
/* {"id", "title", "severity", "opened_at", "drill"}, for those outside; NULL: there is none. */
json_t *sp_incident_brief_json(sp_core *core, uint64_t id);
bool sp_incident_is_there(sp_core *core, uint64_t id);
/* It is open, and a drill or none as is asked. */
bool sp_incident_takes(sp_core *core, uint64_t id, bool drill);
/* The login name of whom it is about, in room; empty = nobody, or there is no such incident. */
sp_span sp_incident_about(sp_core *core, uint64_t id, char room[SP_NAME_MAX_BYTES + 1]);

/* Whom or what evidence is collected about; each may be empty. */
typedef struct {
    sp_span person; /* login name */
    sp_span session;
    sp_span device; /* its id, in decimal */
} sp_incident_subject;
typedef struct {
    size_t sessions;  /* that are in the timeline now */
    uint64_t entries; /* of the ledger that the timeline names */
} sp_incident_collected;
/* Puts their sessions into the timeline, and so into the evidence pack. */
SP_MUST sp_err sp_incident_collect(sp_core *core, uint64_t id, const sp_incident_subject *about,
                                   sp_span by_name, sp_incident_collected *ret_collected);

/* An alarm. Written down first; then it opens or joins an incident and sets plans off. The same one
 * told twice is one. then(self, err) once it is on the ledger; is_written: it is there already. Of
 * mode `test` only the event is written. */
void sp_alarm_take(sp_core *core, const sp_alarm *alarm, bool is_written,
                   void (*then)(void *self, sp_err err), void *self);

/* The incident that an alarm opened or joined, or the one that this was merged into; 0 = none. */
uint64_t sp_incident_of_alarm(sp_core *core, const sp_hash *id);

#endif
