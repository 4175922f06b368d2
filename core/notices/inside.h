/* SPDX-License-Identifier: Apache-2.0
 * What the files of core/notices share.
 * OWNS see each struct. PROCESS core. TRUST see notices.h. SPEC core/notices/README.md.
 */
#ifndef SP_CORE_NOTICES_INSIDE_H
#define SP_CORE_NOTICES_INSIDE_H

#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/http/router.h"
#include "core/identity/identity.h"
#include "core/identity/people.h"
#include "core/notices/notices.h"
#include "infra/ipc/line.h"
#include "lib/policy/notices.h"
#include "lib/proto/courier_msg.h"

enum {
    NOTICE_WHY_BYTES = 200,
    NOTICE_DIGEST_MAX = 20,
    NOTICE_SLICE = 500, /* people that become deliveries in one turn of the loop */
    NOTICE_OPEN_MAX = 1000,
    NOTICE_OPEN_FOR_GRAVE = 200, /* of them, for what is high or critical */
    NOTICE_KEPT_DAYS = 400
};

typedef enum { NOTICE_EXPANDING, NOTICE_SENDING, NOTICE_FINISHED, NOTICE_STATE_COUNT } notice_stage;
typedef enum {
    DELIVERY_WAITING,
    DELIVERY_HANDED,
    DELIVERY_UNREACHED,
    DELIVERY_STATE_COUNT
} delivery_stage;

/* A notice as it was sent: what documents said then stays. */
typedef struct {
    uint64_t id;
    uint64_t incident;
    uint64_t created_unix_s;
    uint64_t expires_unix_s;
    uint32_t within_s;
    uint8_t stage;    /* notice_stage */
    uint8_t severity; /* sp_severity */
    bool drill;
    bool banner;
    bool by_all;
    bool escalated;
    sp_span name;
    sp_span audience;
    sp_span then;
    sp_span sender;
    sp_span channels; /* one a line, in order */
    sp_span cursor;   /* the last person who has become a delivery */
    json_t *texts;    /* {"title":[en,zh],"body":[..],"brief":[..]} */
    json_t *values;   /* [[name, kind, text]] */
    sp_arena arena;
} notice_row;

typedef struct {
    uint64_t id;
    uint64_t notice;
    uint32_t person; /* 0: a post to a group */
    uint8_t stage;   /* delivery_stage */
    uint8_t severity;
    uint32_t attempts; /* on this channel */
    uint64_t next_unix_s;
    uint64_t acked_unix_s;
    sp_span person_name;
    sp_span channel; /* empty: none is left */
    sp_span address; /* mailbox, or id in the chat */
    sp_span tried;   /* channels given up, one a line */
    sp_span why;     /* the last failure */
} delivery_row;

/* How far a notice is. Everybody in the audience is in exactly one of waiting, handed, unreached
 * once expanded is true; acknowledged ones are in one of them too, and count as reached. */
typedef struct {
    uint64_t people;
    uint64_t waiting;
    uint64_t handed;
    uint64_t unreached;
    uint64_t acknowledged;
    bool expanded;
} sp_notice_state;

/* ---- rows.c ---- */
SP_MUST sp_err notice_rows_start(sp_store *store);
/* In a transaction of the caller; sets id. */
SP_MUST sp_err notice_row_add(sp_store *store, notice_row *notice);
SP_MUST sp_err notice_row_load(sp_store *store, uint64_t id, notice_row *ret_notice);
void notice_row_done(notice_row *notice);
#define auto_notice __attribute__((cleanup(notice_row_done)))
SP_MUST sp_err notice_row_stage(sp_store *store, uint64_t id, notice_stage stage, sp_span cursor);
SP_MUST sp_err notice_counts(sp_store *store, uint64_t id, sp_notice_state *ret_state);
/* Ids of notices in that stage, oldest first; at most max. */
SP_MUST sp_err notice_ids(sp_store *store, notice_stage stage, uint64_t *ret_ids, size_t max,
                          size_t *ret_count);
SP_MUST sp_err delivery_add(sp_store *store, const delivery_row *delivery);
/* Copied into the arena. */
SP_MUST sp_err delivery_load(sp_store *store, sp_arena *arena, uint64_t id,
                             delivery_row *ret_delivery);
/* Stage, channel, address, attempts, next, tried and why of it (and of those in its digest). */
SP_MUST sp_err delivery_keep(sp_store *store, const delivery_row *delivery, uint64_t now_unix_s);
/* Deliveries of a channel that are due, the gravest first. Copied into the arena. */
SP_MUST sp_err delivery_due(sp_store *store, sp_arena *arena, sp_span channel, uint64_t now_unix_s,
                            size_t max, delivery_row *ret_rows, size_t *ret_count);

/* What is due on its channel for the same person or group, and not grave; itself among it. */
SP_MUST sp_err delivery_companions(sp_store *store, sp_arena *arena, const delivery_row *of,
                                   uint64_t now_unix_s, delivery_row *ret_rows, size_t max,
                                   size_t *ret_count);

/* ---- reach.c: on which ways a person can be told ---- */
typedef struct {
    char name[SP_NAME_MAX_BYTES + 1];
    char display[SP_DISPLAY_MAX_BYTES + 1];
    char mail[256];
    char locale[8];
    uint32_t id;
} notice_person;
SP_MUST sp_err notice_person_load(sp_store *store, uint32_t id, notice_person *ret_person);
/* The next channel for a person: the own ones in order, then the notice's, without those in tried.
 * Channel empty: none is left. Spans live in the arena. */
SP_MUST sp_err notice_choose(sp_core *core, sp_arena *arena, const notice_row *notice,
                             const notice_person *person, delivery_row *delivery);
/* When it may go out on its channel: at once, or with others at the end of the channel's interval.
 */
void notice_schedule(sp_core *core, const notice_row *notice, delivery_row *delivery);
SP_MUST sp_err notice_reach_routes(sp_core *core);

/* ---- text.c ---- */
typedef struct {
    sp_buf title;
    sp_buf text;
    sp_buf html;
} notice_text;
void notice_text_done(notice_text *text);
#define auto_notice_text __attribute__((cleanup(notice_text_done)))
/* As somebody gets it by a channel of that kind; en, zh: in which languages. link: https://... */
SP_MUST sp_err notice_render(sp_core *core, const notice_row *notice, sp_span reader, sp_span link,
                             sp_channel_kind kind, bool en, bool zh, notice_text *ret_text);
/* "<delivery>.<signature>" */
void notice_token(sp_core *core, const delivery_row *delivery, sp_buf *out);
bool notice_token_ok(sp_core *core, const delivery_row *delivery, sp_span signature);

/* ---- send.c ---- */
/* A notice without documents: escalations and tests. In a transaction of the caller. */
SP_MUST sp_err notice_send_again(sp_core *core, const notice_row *notice, sp_span audience);
/* The texts of the document and the values (samples where there are none). SP_ENOTFOUND. */
SP_MUST sp_err notice_freeze(sp_core *core, const sp_notice_ask *ask, notice_row *row);
/* One slice of every audience that is not expanded yet. True: there is more. */
bool notice_expand(sp_core *core);

/* ---- queue.c ---- */
typedef struct notice_queue notice_queue;
SP_MUST sp_err notice_queue_new(sp_core *core, notice_queue **ret_queue);
void notice_queue_free(notice_queue *queue);
void notice_queue_tick(notice_queue *queue);
/* Something new is due. */
void notice_queue_wake(notice_queue *queue);
/* For the API: [{name, via, waiting, under_way, paused_until, last_error...}] */
json_t *notice_queue_json(notice_queue *queue);
/* The courier has it; of several that went out as one, the number of the first is asked for, which
 * stands in `digest` of the others. */
bool notice_is_moving(const notice_queue *queue, uint64_t leader);
bool notice_courier_is_up(const notice_queue *queue);

/* ---- ack.c ---- */
void notice_escalate(sp_core *core);
void notice_finish(sp_core *core);
SP_MUST sp_err notice_ack_routes(sp_core *core);

/* ---- api.c, channels.c ---- */
SP_MUST sp_err notice_api_routes(sp_core *core);
SP_MUST sp_err notice_channel_routes(sp_core *core);

struct sp_notices {
    sp_core *core;
    notice_queue *queue;
    uv_timer_t timer;
    unsigned ticks;
    bool expanding;
};

/* An event of kind NOTICE; spans must live until it was told. */
sp_event notice_event(const char *method, const notice_row *notice, sp_span detail);

#endif
