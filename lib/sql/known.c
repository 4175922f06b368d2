/* SPDX-License-Identifier: Apache-2.0
 * A table of sets, each with a few places, the one that was used last in front.
 * OWNS its entries, by reference. PROCESS database gate. TRUST the texts are hostile.
 * SPEC lib/sql/known.h.
 */
#include "lib/sql/known.h"

#include "lib/base/mem.h"
#include "lib/sql/alike.h"
#include "lib/sql/redact.h"

typedef struct {
    uint64_t hash;
    sp_sql_known *known; /* NULL = free, and so are those behind it */
} place;

struct sp_sql_cache {
    uint64_t seed;
    size_t bytes;
    uint32_t hand; /* the set that gives way next when all is full */
    place sets[SP_SQL_CACHE_SETS][SP_SQL_CACHE_WAYS];
    uint32_t seen[SP_SQL_CACHE_SEEN];
    sp_sql_known *lent; /* whose judgement was answered last, for a text that is like it */
    uint8_t room[SP_SQL_ALIKE_BYTES];
};

/* ---- hashes ---- */

/* Of both halves of the product something is in the result, which nobody foresees who does not know
 * one of the factors. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Eight bytes at a time: it is taken of every text, and of some twice. */
static uint64_t hash_of(sp_span text, uint64_t seed)
{
    uint64_t hash =
        mix(seed ^ UINT64_C(0x9E3779B97F4A7C15), text.len ^ UINT64_C(0xC2B2AE3D27D4EB4F));
    uint64_t eight = 0;
    size_t at = 0;
    for (; text.len - at >= sizeof(eight); at += sizeof(eight)) {
        sp_copy(&eight, text.ptr + at, sizeof(eight));
        hash = mix(eight ^ seed, hash ^ UINT64_C(0x165667B19E3779F9));
    }
    eight = 0;
    sp_copy(&eight, text.ptr + at, text.len - at);
    hash = mix(eight ^ seed, hash ^ UINT64_C(0x165667B19E3779F9));
    return mix(hash ^ seed, UINT64_C(0x9E3779B97F4A7C15));
}

/* ---- entries ---- */

sp_err sp_sql_known_new(sp_span text, const sp_sql_judgement *judgement, uint64_t version,
                        sp_sql_known **ret_known)
{
    bool is_secret = (judgement->flags & SP_SQL_IS_SECRET) != 0;
    auto_buf sp_buf shown = sp_buf_make(SP_SQL_SHOWN_BYTES);
    sp_sql_redact(text, is_secret, SP_SQL_SHOWN_BYTES - 16, &shown);
    auto_free sp_sql_judgement *copy = NULL;
    TRY(sp_sql_judgement_copy(judgement, &copy));
    sp_sql_known *made = NULL;
    size_t bytes = sizeof(*made) + text.len + shown.len;
    TRY(sp_alloc(1, bytes, &made));
    uint8_t *room = (uint8_t *)made + sizeof(*made);
    sp_copy(room, text.ptr, text.len);
    sp_copy(room + text.len, shown.ptr, shown.len);
    *made = (sp_sql_known){.refs = 1,
                           .version = version,
                           .text = {room, text.len},
                           .shown = {room + text.len, shown.len},
                           .is_shown = sp_span_eq(text, sp_buf_borrow(&shown)),
                           .bytes = bytes + sp_sql_judgement_bytes(judgement),
                           .judgement = SP_STEAL(copy)};
    *ret_known = made;
    return sp_ok();
}

sp_sql_known *sp_sql_known_ref(sp_sql_known *known)
{
    known->refs++;
    return known;
}

void sp_sql_known_unref(sp_sql_known *known)
{
    if (known != NULL && --known->refs == 0) {
        sp_free(known->judgement);
        sp_free(known);
    }
}

void sp_sql_known_auto_unref(sp_sql_known **known)
{
    sp_sql_known_unref(*known);
}

static bool has_own_names(const sp_sql_context *context)
{
    return context->is_temporary != NULL || context->was_temporary != NULL ||
           context->is_made != NULL || context->is_other != NULL || context->is_early;
}

sp_sql_masking sp_sql_known_masking(sp_sql_judge *judge, const sp_sql_context *context,
                                    sp_span text, uint64_t mask_tags, sp_sql_known *known)
{
    bool may_keep = known != NULL && !has_own_names(context);
    if (may_keep && known->masking.tags == mask_tags && mask_tags != 0) {
        return (sp_sql_masking){.mode = known->masking.mode};
    }
    sp_sql_masking found = sp_sql_masking_text(judge, context, text, mask_tags);
    bool holds = !found.copies && !(known != NULL && known->is_alike && found.by_number);
    if (may_keep && found.mode != SP_SQL_MASKING_REFUSED && holds) {
        known->masking.tags = mask_tags;
        known->masking.mode = found.mode;
    }
    return found;
}

/* ---- the table ---- */

sp_err sp_sql_cache_new(uint64_t seed, sp_sql_cache **ret_cache)
{
    sp_sql_cache *cache = NULL;
    TRY(sp_alloc(1, sizeof(*cache), &cache));
    cache->seed = seed;
    *ret_cache = cache;
    return sp_ok();
}

static void drop_last(sp_sql_cache *cache, place *set)
{
    for (unsigned at = SP_SQL_CACHE_WAYS; at-- > 0;) {
        if (set[at].known != NULL) {
            cache->bytes -= set[at].known->bytes;
            sp_sql_known_unref(set[at].known);
            set[at].known = NULL;
            return;
        }
    }
}

void sp_sql_cache_free(sp_sql_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    for (unsigned i = 0; i < SP_SQL_CACHE_SETS * SP_SQL_CACHE_WAYS; i++) {
        drop_last(cache, cache->sets[i / SP_SQL_CACHE_WAYS]);
    }
    sp_sql_known_unref(cache->lent);
    sp_free(cache);
}

size_t sp_sql_cache_bytes(const sp_sql_cache *cache)
{
    return cache->bytes;
}

static void to_front(place *set, unsigned at)
{
    place found = set[at];
    for (; at > 0; at--) {
        set[at] = set[at - 1];
    }
    set[0] = found;
}

static sp_sql_known *find(place *set, uint64_t hash, uint64_t version, sp_span text)
{
    for (unsigned at = 0; at < SP_SQL_CACHE_WAYS && set[at].known != NULL; at++) {
        sp_sql_known *known = set[at].known;
        if (set[at].hash == hash && known->version == version && sp_span_eq(known->text, text)) {
            to_front(set, at);
            return known;
        }
    }
    return NULL;
}

/* Whether it came before, as far as is remembered. */
static bool is_seen(sp_sql_cache *cache, uint64_t hash)
{
    uint32_t *at = &cache->seen[(hash >> 8) % SP_SQL_CACHE_SEEN];
    uint32_t mark = (uint32_t)(hash >> 32) | 1U;
    bool seen = *at == mark;
    *at = mark;
    return seen;
}

static bool may_keep(sp_span text, const sp_sql_judgement *judgement)
{
    return judgement->fault == SP_SQL_FINE && text.len <= SP_SQL_KNOWN_TEXT_BYTES &&
           (judgement->flags & SP_SQL_IS_SECRET) == 0 && !sp_sql_names_secret(text);
}

/* Without memory, or when it is too large, nothing is kept. */
static void keep(sp_sql_cache *cache, place *set, uint64_t hash, sp_sql_known *known)
{
    if (known->bytes > SP_SQL_KNOWN_BYTES) {
        return;
    }
    if (set[SP_SQL_CACHE_WAYS - 1].known != NULL) {
        drop_last(cache, set);
    }
    while (cache->bytes + known->bytes > SP_SQL_CACHE_BYTES) {
        drop_last(cache, cache->sets[cache->hand++ % SP_SQL_CACHE_SETS]);
    }
    unsigned at = 0;
    while (set[at].known != NULL) {
        at++;
    }
    set[at] = (place){.hash = hash, .known = sp_sql_known_ref(known)};
    to_front(set, at);
    cache->bytes += known->bytes;
}

/* ---- texts that differ in their numbers ---- */

typedef struct {
    sp_span text; /* empty: the text is like no other */
    uint64_t hash;
    place *set;
} likeness;

/* Valid until the next one. */
static likeness likeness_of(sp_sql_cache *cache, uint64_t version, sp_span text)
{
    likeness like = {.text = SP_SPAN_EMPTY};
    if (sp_sql_alike(text, cache->room)) {
        like.text = sp_span_of(cache->room, text.len);
        like.hash = hash_of(like.text, ~(cache->seed + version)); /* not the text's own */
        like.set = cache->sets[like.hash % SP_SQL_CACHE_SETS];
    }
    return like;
}

static sp_sql_known *find_alike(const likeness *like, uint64_t version)
{
    sp_sql_known *known =
        like->text.len == 0 ? NULL : find(like->set, like->hash, version, like->text);
    return known != NULL && known->is_alike ? known : NULL;
}

static void keep_alike(sp_sql_cache *cache, const likeness *like, const sp_sql_judgement *judgement,
                       uint64_t version)
{
    sp_sql_known *known = NULL;
    if (like->text.len > 0 && is_seen(cache, like->hash) && sp_sql_is_by_no_number(judgement) &&
        may_keep(like->text, judgement) &&
        !sp_failed(sp_sql_known_new(like->text, judgement, version, &known))) {
        known->is_alike = true;
        keep(cache, like->set, like->hash, known);
        sp_sql_known_unref(known);
    }
}

static const sp_sql_judgement *lend(sp_sql_cache *cache, sp_sql_known *known)
{
    sp_sql_known *before = cache->lent;
    cache->lent = sp_sql_known_ref(known);
    sp_sql_known_unref(before);
    return known->judgement;
}

/* ---- what it is for ---- */

const sp_sql_judgement *sp_sql_cache_judge(sp_sql_cache *cache, sp_sql_judge *judge,
                                           const sp_sql_context *context, uint64_t version,
                                           sp_span text, bool by_itself, sp_sql_known **ret_known)
{
    *ret_known = NULL;
    if (has_own_names(context) || text.len > SP_SQL_KNOWN_TEXT_BYTES) {
        return sp_sql_judge_text(judge, context, text);
    }
    /* another version is another text: what moved away gives way by itself */
    uint64_t hash = hash_of(text, cache->seed + version);
    place *set = cache->sets[hash % SP_SQL_CACHE_SETS];
    sp_sql_known *known = find(set, hash, version, text);
    if (known != NULL) {
        *ret_known = sp_sql_known_ref(known);
        return known->judgement;
    }
    const likeness like = likeness_of(cache, version, text);
    sp_sql_known *alike = find_alike(&like, version);
    const sp_sql_judgement *judgement =
        alike != NULL ? lend(cache, alike) : sp_sql_judge_text(judge, context, text);
    if (alike == NULL) {
        keep_alike(cache, &like, judgement, version);
    }
    if ((alike == NULL || by_itself) && is_seen(cache, hash) && may_keep(text, judgement) &&
        !sp_failed(sp_sql_known_new(text, judgement, version, &known))) {
        keep(cache, set, hash, known);
        *ret_known = known;
        return known->judgement;
    }
    return judgement;
}

sp_span sp_sql_cache_shown(const sp_sql_cache *cache, const sp_sql_judgement *judgement,
                           sp_span text)
{
    const sp_sql_known *lent = cache->lent;
    bool is_of_lent = lent != NULL && judgement == lent->judgement && text.len == lent->text.len;
    return is_of_lent && lent->is_shown ? text : SP_SPAN_EMPTY;
}

sp_sql_masking sp_sql_cache_masking(sp_sql_cache *cache, sp_sql_judge *judge,
                                    const sp_sql_context *context, uint64_t version, sp_span text,
                                    uint64_t mask_tags, sp_sql_known *known)
{
    if (known == NULL && !has_own_names(context)) {
        const likeness like = likeness_of(cache, version, text);
        known = find_alike(&like, version);
    }
    return sp_sql_known_masking(judge, context, text, mask_tags, known);
}
