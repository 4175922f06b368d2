/* SPDX-License-Identifier: Apache-2.0
 * What gates, core and the command line say to the ledger over ledger.sock.
 *
 * Story, gate: a worker makes a ring (lib/proto/ring.h), connects and says ATTACH with the ring's
 * fd. From then on it writes events into the ring; when sp_ring_must_wake() says so it sends WAKE.
 * Once a second it calls sp_ring_beat(). What must be on disk before it may go on: FLUSH, whose
 * reply comes when everything committed before it is durable. Before it ends it says DETACH and
 * waits for the reply; a worker that is gone without it leaves a GAP entry (what it had written is
 * drained all the same). When the connection breaks it connects again and attaches the same ring:
 * the ledger goes on where the disk ends.
 *
 * Story, core: APPEND carries events with a source id and numbers of core's own; the reply means on
 * disk; without one core sends them again. RETAIN and ERASE shorten, never below the legal floor.
 *
 * Kind         from            request -> reply
 * ATTACH       gates           attach + ring fd -> attached
 * WAKE         gates           (id 0) -                    no reply
 * FLUSH        gates           - -> -                      after the disk
 * DETACH       gates           - -> -                      after the disk
 * APPEND       core vault root append -> appended          after the disk
 * SEARCH       core root       search -> found
 * ENTRY        core root       entry_ask -> entry
 * PROOF        core root       entry_ask -> proof
 * CHECKPOINT   core root       - -> signed note            makes a new one when there is news
 * CONSISTENCY  core root       sizes -> hashes
 * COSIGN       core root       cosignature line -> -
 * TAIL         core root       search (filters only) -> -  then pushes EVENT
 * EVENT        (push)          found, with one item or more
 * STATS        core root       - -> stats
 * RETAIN       core            retain -> -
 * ERASE        core            erase -> erased
 * VERIFY       core root       - -> -                      starts; STATS tells how far and the end
 * STATE        (push)          state                       to core: recording works, or not
 * TILE         core root       tile_ask -> hashes          a piece of the tree, for a pack
 * COUNTS       core root       - -> counts                 decisions by the hour
 * FOLLOW       watch courier   follow -> followed          every entry from there on, in order
 * METERS       core root       - -> meters                 what only grows, for monitoring
 *
 * OWNS nothing: spans point into the body. PROCESS as above. TRUST bodies are hostile: every field
 * is bounded. SPEC docs/ARCHITECTURE.md "Events"; ledger/README.md.
 */
#ifndef SP_PROTO_LEDGER_MSG_H
#define SP_PROTO_LEDGER_MSG_H

#include "lib/base/sha256.h"
#include "lib/proto/event.h"
#include "lib/proto/msg.h"

typedef enum {
    SP_LEDGER_ATTACH = 0x0300,
    SP_LEDGER_WAKE,
    SP_LEDGER_FLUSH,
    SP_LEDGER_DETACH,
    SP_LEDGER_APPEND,
    SP_LEDGER_SEARCH,
    SP_LEDGER_ENTRY,
    SP_LEDGER_PROOF,
    SP_LEDGER_CHECKPOINT,
    SP_LEDGER_CONSISTENCY,
    SP_LEDGER_COSIGN,
    SP_LEDGER_TAIL,
    SP_LEDGER_EVENT,
    SP_LEDGER_STATS,
    SP_LEDGER_RETAIN,
    SP_LEDGER_ERASE,
    SP_LEDGER_VERIFY,
    SP_LEDGER_STATE,
    SP_LEDGER_TILE,
    SP_LEDGER_COUNTS,
    SP_LEDGER_FOLLOW,
    SP_LEDGER_METERS,
    SP_LEDGER_KIND_END
} sp_ledger_kind;

enum {
    SP_LEDGER_APPEND_MAX = 64, /* events in one APPEND */
    SP_LEDGER_TEXT_MAX_BYTES = 256,
    SP_LEDGER_PAGE_MAX = 200,              /* items in one reply */
    SP_LEDGER_PAGE_MAX_BYTES = 100 * 1024, /* their JSON */
    SP_LEDGER_RING_MAX_BYTES = 64 * 1024 * 1024,
    SP_LEDGER_NOTE_MAX_BYTES = 8 * 1024, /* a checkpoint with its cosignatures */
    SP_LEDGER_PROOF_MAX = 64,
    SP_LEDGER_FLOOR_DAYS = 183 /* nothing is erased before this age, whoever asks */
};

/* The ring may hold decisions, ends and recordings of that gate; with anything else it is read no
 * further. */
typedef struct {
    uint64_t source; /* the ring's source_id: random, of this worker's life */
    uint8_t gate;    /* sp_gate, of the sender */
    sp_span name;    /* "web worker 1", <= SP_NAME_MAX_BYTES; begins with the sender's role */
} sp_ledger_attach;

typedef struct {
    uint64_t durable_seq; /* highest number of that source on disk, 0 = none */
} sp_ledger_attached;

/* Events numbered first_seq, first_seq + 1 ... of a source of the sender's own (a random id, made
 * when it starts; numbers from 1 without gaps). */
typedef struct {
    uint64_t source;
    uint64_t first_seq;
    uint16_t count;
    sp_span events; /* walk with sp_ledger_append_next() */
} sp_ledger_append;

typedef struct {
    uint64_t entry; /* index in the tree of the entry that holds the last of them; UINT64_MAX when
                       they were on disk before */
} sp_ledger_appended;

/* Who reads, and what for: a READ event is written, unless the reader asks for his own events only,
 * or for the page behind the one that he has just got of the very same search. Root on the command
 * line is reader 0. */
typedef struct {
    uint32_t reader;
    sp_span reader_name; /* <= SP_NAME_MAX_BYTES */
    sp_span purpose;     /* one line, <= SP_LEDGER_TEXT_MAX_BYTES */
} sp_ledger_reader;

/* Newest first. Zero or empty = any. Bits of kinds: 1 << sp_event_kind; of verdicts: 1 <<
 * sp_verdict; of gates: 1 << sp_gate. */
typedef struct {
    sp_ledger_reader reader;
    uint64_t from_unix_us;
    uint64_t to_unix_us;
    uint64_t session;
    uint64_t reference;
    uint64_t device;
    uint32_t person;
    uint32_t kinds;
    uint8_t verdicts;
    uint8_t gates;
    sp_span resource;      /* exact name, <= SP_NAME_MAX_BYTES */
    sp_span text;          /* found anywhere in the event's JSON, ASCII case folded */
    uint64_t before_entry; /* cursor of the page before; UINT64_MAX = from the newest */
    uint16_t before_at;
    uint16_t limit; /* 0 = 50 */
    bool goes_on;   /* core's word, never a browser's: part of a reading that is written down */
} sp_ledger_search;

typedef struct {
    uint64_t entry; /* index in the tree */
    uint16_t at;    /* index in the entry's batch */
    sp_span json;   /* one complete OCSF event */
} sp_ledger_item;

typedef struct {
    bool more;             /* older ones may match: ask again with the cursor; pushed: some were
                              left out, under a flood */
    uint64_t before_entry; /* the cursor */
    uint16_t before_at;
    uint64_t searched; /* entries looked into */
    uint16_t count;
    sp_span items; /* walk with sp_ledger_found_next() */
} sp_ledger_found;

typedef struct {
    sp_ledger_reader reader;
    uint64_t entry;
    uint64_t tree_size; /* PROOF: 0 = of the last checkpoint */
} sp_ledger_entry_ask;

typedef enum {
    SP_ENTRY_SEALED,   /* sealed, opened for this answer */
    SP_ENTRY_OPEN,     /* of the ledger itself, nothing personal, never sealed */
    SP_ENTRY_REDACTED, /* erased or expired: the hash is all that is left */
    SP_ENTRY_STATE_COUNT
} sp_ledger_entry_state;

typedef struct {
    uint64_t entry;
    uint8_t state; /* sp_ledger_entry_state */
    sp_hash leaf;
    sp_span record; /* the sealed bytes that the leaf hash covers; empty when redacted */
    sp_span json;   /* the OCSF batch; empty when redacted */
    sp_span secret; /* opens this record and no other; empty unless sealed */
} sp_ledger_entry;

typedef struct {
    uint64_t entry;
    uint64_t tree_size;
    sp_hash leaf;
    uint16_t count;
    sp_hash path[SP_LEDGER_PROOF_MAX]; /* RFC 6962 2.1.1 */
    sp_span note;                      /* the signed checkpoint of that size */
} sp_ledger_proof;

/* CONSISTENCY: from old to new (0 = the last checkpoint's size). The reply uses sp_ledger_proof
 * with entry = old size. */
typedef struct {
    uint64_t old_size;
    uint64_t new_size;
} sp_ledger_sizes;

typedef enum {
    SP_LEDGER_VERIFY_NEVER,
    SP_LEDGER_VERIFY_RUNNING,
    SP_LEDGER_VERIFY_GOOD,
    SP_LEDGER_VERIFY_BAD,
    SP_LEDGER_VERIFY_STATE_COUNT
} sp_ledger_verify_state;

typedef struct {
    uint64_t entries;
    uint64_t events; /* since the ledger started */
    uint64_t bytes;  /* of all segments */
    uint64_t checkpoint_size;
    uint64_t checkpoint_unix_us;
    uint64_t first_entry; /* before it everything has expired */
    uint64_t indexed;     /* entries in the search index */
    uint64_t lost;        /* events known to be lost, since the ledger started */
    uint64_t verified;    /* entries looked at by the last or running VERIFY */
    uint64_t verified_unix_us;
    uint32_t sources; /* attached now */
    uint32_t retention_days;
    uint8_t verify;       /* sp_ledger_verify_state */
    bool recording;       /* false: disk full or failing */
    sp_span trouble;      /* why, one sentence; empty when all is well */
    sp_span verifier_key; /* of the checkpoints (C2SP vkey) */
} sp_ledger_stats;

typedef struct {
    bool recording;
    sp_span trouble;
} sp_ledger_state;

/* count hashes of a tile level (0 = leaves), from number index on: 32 bytes each in the reply. */
enum { SP_LEDGER_TILE_LEVELS = 8, SP_LEDGER_TILE_MAX = 256 };
typedef struct {
    uint8_t level;
    uint64_t index;
    uint16_t count; /* 1.. SP_LEDGER_TILE_MAX */
} sp_ledger_tile_ask;

/* Decisions in each hour of the last week; the last one is the hour that runs. */
enum { SP_LEDGER_HOURS = 7 * 24 };
typedef struct {
    uint64_t last_hour; /* hours since 1970 */
    bool complete;      /* false: still being read back after a start, older hours grow yet */
    uint64_t counts[SP_LEDGER_HOURS][SP_GATE_COUNT][SP_VERDICT_COUNT];
} sp_ledger_counts;

/* METERS: numbers that only grow while the ledger runs, of events that became durable. A start of
 * the ledger begins them at zero. */
typedef struct {
    uint64_t started_unix_us;
    uint64_t kinds[SP_EVENT_KIND_COUNT];
    uint64_t decided[SP_GATE_COUNT][SP_VERDICT_COUNT];
    uint64_t bytes_in[SP_GATE_COUNT];
    uint64_t bytes_out[SP_GATE_COUNT];
    uint64_t alarms[SP_SEVERITY_COUNT];
    uint64_t delay_us; /* from when they happened until they were on disk, summed over events */
    uint64_t delayed;  /* how many events that sum is of */
} sp_ledger_meters;

/* FOLLOW: entries from one number on, opened, as many as fit, only such as are on disk. While there
 * are none the reply waits, a few seconds at most, and is then empty. One question at a time is all
 * the credit there is: who is slow is read to from disk. SP_ENOTFOUND: the ledger is shorter than
 * that, it was put back. */
typedef struct {
    uint64_t from;
    uint8_t as_they_came; /* 1: new ones may be told by their events; 0: all of them as JSON */
} sp_ledger_follow;

typedef struct {
    uint64_t next; /* ask from here */
    uint64_t size; /* entries there are */
    uint16_t count;
    sp_span items; /* walk with sp_ledger_followed_next() */
} sp_ledger_followed;

typedef struct {
    uint64_t entry;
    sp_span json;   /* the OCSF batch; empty: erased, or it does not open */
    sp_span events; /* instead of it, of a new one, when that was asked for: its events as they
                       came, in the order of the entry; walk with sp_ledger_opened_next() */
} sp_ledger_opened;

/* Days that entries are kept; below SP_LEDGER_FLOOR_DAYS is SP_EDENIED. 0 = for ever. */
typedef struct {
    uint32_t days;
    uint64_t policy_version; /* of the Retention document */
} sp_ledger_retain;

typedef enum {
    SP_ERASE_ENTRY,   /* one entry */
    SP_ERASE_SUBJECT, /* all of a person's entries that are old enough */
    SP_ERASE_WHAT_COUNT
} sp_ledger_erase_what;

/* SP_EDENIED when anything named is younger than the floor, SP_ENOTFOUND. The redaction entry is
 * open to everybody who has the ledger: by number and by the approval, never by a name. */
typedef struct {
    uint8_t what;      /* sp_ledger_erase_what */
    bool look;         /* only say what it would take out: nothing is erased or written */
    uint64_t which;    /* entry, or person */
    uint32_t by;       /* the audit administrator: core's number */
    uint64_t approval; /* the ask that another one agreed to; 0 = none */
    sp_span why;       /* <= SP_LEDGER_TEXT_MAX_BYTES; not empty; must name nobody */
} sp_ledger_erase;

typedef struct {
    uint64_t redaction; /* the entry that says so; of a look 0 */
    uint64_t erased;    /* how many entries */
    uint32_t person;    /* whose they are; 0: nobody's, or what nobody can read any more */
} sp_ledger_erased;

/* Writers append a body; a failure stays in the buffer. Readers need the whole body: SP_ESHORT,
 * SP_ELIMIT, SP_EINVALID. */
void sp_ledger_attach_write(const sp_ledger_attach *attach, sp_buf *out);
SP_MUST sp_err sp_ledger_attach_read(sp_span body, sp_ledger_attach *ret_attach);
void sp_ledger_attached_write(const sp_ledger_attached *attached, sp_buf *out);
/* Head first, then sp_event_encode'd events one by one with sp_ledger_append_add(). */
void sp_ledger_append_write(uint64_t source, uint64_t first_seq, uint16_t count, sp_buf *out);
void sp_ledger_append_add(const sp_event *event, sp_buf *out);
SP_MUST sp_err sp_ledger_append_read(sp_span body, sp_ledger_append *ret_append);
/* The next encoded event off *rest (start with append.events); false at the end. The bytes were
 * bounded by sp_ledger_append_read(), not yet decoded. */
bool sp_ledger_append_next(sp_span *rest, sp_span *ret_event);
void sp_ledger_appended_write(const sp_ledger_appended *appended, sp_buf *out);
void sp_ledger_search_write(const sp_ledger_search *search, sp_buf *out);
SP_MUST sp_err sp_ledger_search_read(sp_span body, sp_ledger_search *ret_search);
/* items: count runs of sp_ledger_item_write(). */
void sp_ledger_found_write(const sp_ledger_found *found, sp_buf *out);
void sp_ledger_item_write(const sp_ledger_item *item, sp_buf *out);
SP_MUST sp_err sp_ledger_found_read(sp_span body, sp_ledger_found *ret_found);
bool sp_ledger_found_next(sp_span *rest, sp_ledger_item *ret_item);
void sp_ledger_entry_ask_write(const sp_ledger_entry_ask *ask, sp_buf *out);
SP_MUST sp_err sp_ledger_entry_ask_read(sp_span body, sp_ledger_entry_ask *ret_ask);
void sp_ledger_entry_write(const sp_ledger_entry *entry, sp_buf *out);
SP_MUST sp_err sp_ledger_entry_read(sp_span body, sp_ledger_entry *ret_entry);
void sp_ledger_proof_write(const sp_ledger_proof *proof, sp_buf *out);
SP_MUST sp_err sp_ledger_proof_read(sp_span body, sp_ledger_proof *ret_proof);
void sp_ledger_sizes_write(const sp_ledger_sizes *sizes, sp_buf *out);
SP_MUST sp_err sp_ledger_sizes_read(sp_span body, sp_ledger_sizes *ret_sizes);
void sp_ledger_stats_write(const sp_ledger_stats *stats, sp_buf *out);
SP_MUST sp_err sp_ledger_stats_read(sp_span body, sp_ledger_stats *ret_stats);
void sp_ledger_state_write(const sp_ledger_state *state, sp_buf *out);
SP_MUST sp_err sp_ledger_state_read(sp_span body, sp_ledger_state *ret_state);
void sp_ledger_tile_ask_write(const sp_ledger_tile_ask *ask, sp_buf *out);
SP_MUST sp_err sp_ledger_tile_ask_read(sp_span body, sp_ledger_tile_ask *ret_ask);
void sp_ledger_counts_write(const sp_ledger_counts *counts, sp_buf *out);
SP_MUST sp_err sp_ledger_counts_read(sp_span body, sp_ledger_counts *ret_counts);
void sp_ledger_retain_write(const sp_ledger_retain *retain, sp_buf *out);
SP_MUST sp_err sp_ledger_retain_read(sp_span body, sp_ledger_retain *ret_retain);
void sp_ledger_erase_write(const sp_ledger_erase *erase, sp_buf *out);
SP_MUST sp_err sp_ledger_erase_read(sp_span body, sp_ledger_erase *ret_erase);
void sp_ledger_erased_write(const sp_ledger_erased *erased, sp_buf *out);
SP_MUST sp_err sp_ledger_erased_read(sp_span body, sp_ledger_erased *ret_erased);

void sp_ledger_meters_write(const sp_ledger_meters *meters, sp_buf *out);
SP_MUST sp_err sp_ledger_meters_read(sp_span body, sp_ledger_meters *ret_meters);

void sp_ledger_follow_write(const sp_ledger_follow *follow, sp_buf *out);
SP_MUST sp_err sp_ledger_follow_read(sp_span body, sp_ledger_follow *ret_follow);
/* items: count runs of sp_ledger_opened_write(). */
void sp_ledger_followed_write(const sp_ledger_followed *followed, sp_buf *out);
void sp_ledger_opened_write(const sp_ledger_opened *opened, sp_buf *out);
SP_MUST sp_err sp_ledger_followed_read(sp_span body, sp_ledger_followed *ret_followed);
bool sp_ledger_followed_next(sp_span *rest, sp_ledger_opened *ret_opened);
/* events: runs of sp_buf_bytes(). False at the end, or where there is none any more. */
bool sp_ledger_opened_next(sp_span *rest, sp_span *ret_event);

#endif
