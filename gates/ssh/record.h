/* SPDX-License-Identifier: Apache-2.0
 * What is said and written down: refusals, events, recordings, alarms.
 * OWNS nothing. PROCESS ssh gate workers. TRUST texts may quote clients and targets.
 * SPEC gates/ssh/gate.h, lib/proto/event.h.
 */
#ifndef SP_GATES_SSH_RECORD_H
#define SP_GATES_SSH_RECORD_H

#include "gates/ssh/limits.h"
#include "gates/ssh/side.h"
#include "lib/policy/decide.h"
#include "lib/proto/event.h"

#include <openssl/evp.h>

typedef enum { SG_IN, SG_OUT, SG_ERR, SG_STREAM_COUNT } sg_stream; /* to the target; from it */

/* ---- refusals ---- */

typedef struct {
    sp_reason reason;
    uint64_t reference;
    char text[SG_TEXT_BYTES];
} sg_refusal;

/* ---- say.c ---- */
__attribute__((format(printf, 3, 4))) void sg_refusal_make(sg_refusal *refusal, sp_reason reason,
                                                           const char *format, ...);
/* "sallyport: TEXT (reference XXXX-XXXX-XXXX)", lines ended as a terminal wants it. */
void sg_refusal_line(const sg_refusal *refusal, bool terminal, sp_buf *out);
/* UTF-8 of whatever bytes: what is none, control characters and what a screen would hide or turn
 * around are shown as \xNN. */
void sg_text_clean(sp_span bytes, size_t max_bytes, sp_buf *out);

/* ---- record.c ---- */
sp_event sg_event_of(const sg_conn *conn, sp_event_kind kind);
void sg_record_connect(sg_conn *conn, const sp_decision *decision);
/* Writes the decision down; its number in the ring, 0 = could not. */
uint64_t sg_record_channel(sg_channel *channel, const sp_decision *decision, sp_action action,
                           const sg_refusal *refusal);
/* Its command is longer than an entry's object shows. */
bool sg_record_is_cut(const sg_channel *channel);
void sg_record_channel_end(sg_channel *channel);
/* What it has printed since it was told last, where files may not leave: detections add that up. */
void sg_record_carried(sg_channel *channel);
/* The same, once a minute. */
void sg_record_carried_tick(sg_channel *channel);
typedef struct {
    const char *method; /* "sftp file" */
    sp_span path;
    const char *name; /* its own, where the path may be its folder; or NULL */
    bool comes;       /* to the machine */
    uint64_t bytes;
    uint64_t since_us;
    bool reads;       /* parts of it may have been read, in requests of the client's */
    bool to_end;      /* what was read went on to its end */
    EVP_MD_CTX *hash; /* of all of it, which it ends; NULL: not all of it passed in order */
} sg_file_note;
/* Where its rule says `record`: what cannot be written down ends the connection. */
void sg_record_failed(sg_channel *channel);
/* Of one that cannot be written down see sg_record_failed. */
void sg_record_file(sg_channel *channel, const sg_file_note *note);
void sg_record_refusal(sg_conn *conn, const sg_refusal *refusal);
/* Each refusal is an entry: of whom there are too many, the connection ends (sg_conn_step). */
void sg_record_count_refused(sg_conn *conn);
void sg_record_end(sg_conn *conn);
const char *sg_method_of(const sg_channel *channel);

/* ---- recording.c ---- */
/* It runs from now on; false: it cannot be recorded. */
bool sg_recording_begin(sg_channel *channel);
void sg_recording_passed(sg_channel *channel, sg_stream stream, sp_span bytes);
void sg_recording_resized(sg_channel *channel);
void sg_recording_mark(sg_channel *channel, sp_span text);
/* Nothing may pass until what passed is on disk. */
bool sg_recording_waits(const sg_channel *channel);
void sg_recording_end(sg_channel *channel);

/* ---- alarm.c ---- */
bool sg_alarm_begin(sg_channel *channel);
/* What goes to the machine next. False: the connection is frozen now, and it waits. */
bool sg_alarm_typed(sg_channel *channel, sp_span bytes);
void sg_alarm_printed(sg_channel *channel, sp_span bytes);
/* Once a second, and when core is back: what it was not told yet. */
void sg_alarm_tell(sg_conn *conn, bool again);
void sg_alarm_resized(sg_channel *channel);
void sg_alarm_end(sg_channel *channel);

#endif
