/* SPDX-License-Identifier: Apache-2.0
 * What the watch and core say to each other over core.sock.
 *
 * Story: the watch follows the ledger (FOLLOW in lib/proto/ledger_msg.h) and runs the office's
 * detections over it. It connects to core and says HELLO; the reply, and each DETECTIONS push when
 * documents change, says which program is in force (lib/detect/program.h); it is fetched in PIECEs,
 * and begun again when it changes meanwhile. When a detection speaks, the watch sends ALARM and
 * keeps it until the reply says that it is on the ledger; after a break it is sent again. Its id is
 * a hash of what the alarm is about, so that core writes it once, however often it is told. STATUS
 * is how far the watch is, once a second.
 *
 * Kind         from   request -> reply
 * HELLO        watch  - -> detections
 * DETECTIONS   (push) detections
 * PIECE        watch  piece -> bytes                SP_ECONFLICT: another version is in force
 * ALARM        watch  alarm -> -                    after it is on the ledger
 * STATUS       watch  status -> -
 *
 * OWNS nothing: spans point into the body. PROCESS core serves, the watch asks. TRUST the watch
 * reads what hostile people wrote: every field is bounded, texts are UTF-8. SPEC
 * docs/ARCHITECTURE.md "Watch".
 */
#ifndef SP_PROTO_WATCH_MSG_H
#define SP_PROTO_WATCH_MSG_H

#include "lib/base/sha256.h"
#include "lib/proto/event.h"
#include "lib/proto/msg.h"

typedef enum {
    SP_CORE_WATCH_HELLO = 0x0500,
    SP_CORE_DETECTIONS,
    SP_CORE_ALARM,
    SP_CORE_WATCH_PIECE,
    SP_CORE_WATCH_STATUS,
    SP_CORE_WATCH_KIND_END
} sp_core_watch_kind;

enum {
    SP_ALARM_TITLE_MAX_BYTES = 200,
    SP_ALARM_KEYS_MAX_BYTES = 512,
    SP_ALARM_EVIDENCE_MAX = 32,
    SP_WATCH_TEXT_MAX_BYTES = 256,
    SP_DETECTIONS_MAX_BYTES = 8 * 1024 * 1024,
    SP_DETECTIONS_PIECE_BYTES = 96 * 1024
};

typedef enum {
    SP_ALARM_LIVE,
    SP_ALARM_DRILL, /* of a drill: nothing is cut */
    SP_ALARM_TEST,  /* of a detection run over the past */
    SP_ALARM_MODE_COUNT
} sp_alarm_mode;

/* Where in the ledger it stands. */
typedef struct {
    uint64_t entry;
    uint64_t reference; /* of the event, 0 = none */
    uint16_t at;        /* index in the entry's batch */
} sp_alarm_evidence;

typedef struct {
    sp_hash id; /* of detection, its version, keys and start: the same alarm has the same one */
    uint64_t first_unix_us;
    uint64_t last_unix_us;
    uint64_t count;   /* events, or distinct values, that it speaks of */
    uint64_t session; /* of the last event, as all that follows; 0 or empty = none */
    uint64_t device;  /* core's number */
    uint32_t person;  /* core's number */
    uint8_t severity; /* sp_severity */
    uint8_t mode;     /* sp_alarm_mode */
    uint8_t gate;     /* sp_gate */
    uint8_t class_level;
    uint8_t evidence_count; /* <= SP_ALARM_EVIDENCE_MAX */
    uint8_t peer[16];       /* as in sp_event */
    sp_span detection;      /* <= SP_NAME_MAX_BYTES, as all names */
    sp_span title;          /* English; the document has the other languages */
    sp_span person_name;
    sp_span device_name;
    sp_span resource;
    sp_span class_name;
    sp_span keys;                                      /* "person=ann peer=192.0.2.7" */
    sp_span plan;                                      /* suggested, may be empty */
    sp_alarm_evidence evidence[SP_ALARM_EVIDENCE_MAX]; /* the last ones, oldest first */
} sp_alarm;

/* The program in force; 0 bytes: none yet. */
typedef struct {
    uint64_t policy_version;
    uint64_t bytes;
} sp_detections;

/* At most SP_DETECTIONS_PIECE_BYTES from there on. */
typedef struct {
    uint64_t policy_version;
    uint64_t from;
} sp_detections_piece;

typedef struct {
    uint64_t next_entry;   /* first entry that was not looked at */
    uint64_t events;       /* looked at since it started */
    uint64_t alarms;       /* told since it started */
    uint64_t lag_ms;       /* age of the last event looked at, when entries wait; else 0 */
    uint64_t late;         /* events older than what is still open, not counted */
    uint64_t evicted;      /* keys dropped because a table was full, though they still counted */
    uint64_t memory_bytes; /* of its tables */
    uint32_t detections;   /* that run */
    bool degraded;         /* trouble says how */
    bool forgets;          /* keys were dropped within the last minute */
    sp_span trouble;       /* one sentence, empty when all is well */
} sp_watch_status;

/* Writers append a body; a failure stays in the buffer. Readers need the whole body: SP_ESHORT,
 * SP_ELIMIT, SP_EINVALID. */
void sp_alarm_write(const sp_alarm *alarm, sp_buf *out);
SP_MUST sp_err sp_alarm_read(sp_span body, sp_alarm *ret_alarm);
void sp_detections_write(const sp_detections *detections, sp_buf *out);
SP_MUST sp_err sp_detections_read(sp_span body, sp_detections *ret_detections);
void sp_detections_piece_write(const sp_detections_piece *piece, sp_buf *out);
SP_MUST sp_err sp_detections_piece_read(sp_span body, sp_detections_piece *ret_piece);
void sp_watch_status_write(const sp_watch_status *status, sp_buf *out);
SP_MUST sp_err sp_watch_status_read(sp_span body, sp_watch_status *ret_status);

/* Words: live, drill, test. */
const char *sp_alarm_mode_word(sp_alarm_mode mode);
/* The reference of an alarm's event: 60 bits of its id. */
uint64_t sp_alarm_reference(const sp_hash *id);
/* The ledger's event of an alarm: kind, severity, who and what; object = keys, rule = detection,
 * count. detail is appended to ret_detail, {"id","title","mode","plan","first","last","evidence"},
 * and must outlive the event. */
void sp_alarm_event(const sp_alarm *alarm, sp_buf *ret_detail, sp_event *ret_event);

#endif
