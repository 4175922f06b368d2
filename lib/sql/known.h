/* SPDX-License-Identifier: Apache-2.0
 * What was judged before, by the bytes of its text: a driver sends the same few texts all day.
 *
 * Story: one cache a worker. sp_sql_cache_judge() answers as sp_sql_judge_text() would, from memory
 * when these very bytes were judged by the same `version`: a number that the caller never uses
 * twice and that names all a judgement depends on (the catalogue, its search path, the policy it is
 * bound to). A text is kept when it comes for the second time, so that texts that come once cost
 * nothing but a look; what carries a secret, is faulty or long is not kept at all, and a session
 * that made names of its own is always judged anew. Only what a text does is remembered: whether it
 * may run is decided each time. Queries that differ only in the value of whole numbers (alike.h)
 * share one judgement.
 *
 * OWNS its entries, by reference. PROCESS database gate; one thread. TRUST the texts are hostile:
 * the whole is bounded, an entry counts only when all bytes are equal. SPEC lib/sql/judge.h.
 */
#ifndef SP_SQL_KNOWN_H
#define SP_SQL_KNOWN_H

#include "lib/sql/masking.h"

enum {
    SP_SQL_SHOWN_BYTES = 2048,
    SP_SQL_KNOWN_TEXT_BYTES = 16 * 1024, /* a longer text is not kept */
    SP_SQL_KNOWN_BYTES = 64 * 1024,      /* nor one whose judgement is larger */
    SP_SQL_CACHE_BYTES = 4 << 20,        /* all that is kept, besides 32 KiB of table */
    SP_SQL_CACHE_SETS = 256,
    SP_SQL_CACHE_WAYS = 4,
    SP_SQL_CACHE_SEEN = 4096 /* texts that came once are remembered by four bytes each */
};

/* A text with what it was judged to be; shared, so only its masking changes. */
typedef struct {
    unsigned refs;
    uint64_t version; /* what it was judged by */
    bool is_alike;    /* text and shown stand for all that are alike: in the cache only */
    bool is_shown;    /* it may be written down byte for byte: shown is text */
    sp_span text;     /* as it came */
    sp_span shown;    /* as it may be written down */
    sp_sql_judgement *judgement;
    size_t bytes; /* of memory */
    struct {
        uint64_t tags; /* that are masked; 0 = not found out yet */
        sp_sql_masking_mode mode;
    } masking;
} sp_sql_known;

/* A copy of the judgement, which is fine, with one reference. */
SP_MUST sp_err sp_sql_known_new(sp_span text, const sp_sql_judgement *judgement, uint64_t version,
                                sp_sql_known **ret_known);
sp_sql_known *sp_sql_known_ref(sp_sql_known *known);
void sp_sql_known_unref(sp_sql_known *known);
void sp_sql_known_auto_unref(sp_sql_known **known);
#define auto_known __attribute__((cleanup(sp_sql_known_auto_unref)))

/* How its answers are masked, as sp_sql_masking_text() would say; found out once. known NULL, or a
 * session with names of its own: anew. */
sp_sql_masking sp_sql_known_masking(sp_sql_judge *judge, const sp_sql_context *context,
                                    sp_span text, uint64_t mask_tags, sp_sql_known *known);

typedef struct sp_sql_cache sp_sql_cache;
/* seed: nobody outside knows it. */
SP_MUST sp_err sp_sql_cache_new(uint64_t seed, sp_sql_cache **ret_cache);
void sp_sql_cache_free(sp_sql_cache *cache);
/* What it holds. */
size_t sp_sql_cache_bytes(const sp_sql_cache *cache);

/* *ret_known has a reference for the caller, and the judgement is that one's; NULL: the judgement
 * is valid until the next call on the judge or the cache. by_itself: the caller has use for a known
 * one; else a text is not kept beside one that is like it, which is as good. */
const sp_sql_judgement *sp_sql_cache_judge(sp_sql_cache *cache, sp_sql_judge *judge,
                                           const sp_sql_context *context, uint64_t version,
                                           sp_span text, bool by_itself, sp_sql_known **ret_known);

/* A text whose judgement was answered just now without a known one, as it may be written down:
 * itself, where that judgement is of texts that are like it and stand as they came (words about
 * something secret have no digits, and digits are all they differ in). Empty: it has to be
 * redacted. */
sp_span sp_sql_cache_shown(const sp_sql_cache *cache, const sp_sql_judgement *judgement,
                           sp_span text);

/* As sp_sql_known_masking(), for a text that was judged by this version: known NULL may still be
 * like one whose masking is known. */
sp_sql_masking sp_sql_cache_masking(sp_sql_cache *cache, sp_sql_judge *judge,
                                    const sp_sql_context *context, uint64_t version, sp_span text,
                                    uint64_t mask_tags, sp_sql_known *known);

#endif
