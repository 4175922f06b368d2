/* SPDX-License-Identifier: Apache-2.0
 * sp_span: a borrowed run of bytes. Wire text is a span, never a char *.
 * OWNS nothing: a span is valid as long as what it points into. PROCESS all.
 * TRUST the bytes may be hostile; every function is bounded by len. SPEC docs/STYLE.md "Bytes".
 */
#ifndef SP_BASE_SPAN_H
#define SP_BASE_SPAN_H

#include "lib/base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const uint8_t *ptr;
    size_t len;
} sp_span;

#define SP_SPAN_LIT(lit) ((sp_span){(const uint8_t *)("" lit), sizeof(lit) - 1})
#define SP_SPAN_EMPTY ((sp_span){NULL, 0})
/* For "%.*s" with text already known to be printable. */
#define SP_SPAN_ARG(span) (int)(span).len, (const char *)(span).ptr

/* The short ones stand here, so that they cost nothing on the path of a request. */
static inline sp_span sp_span_of(const void *ptr, size_t len)
{
    return (sp_span){ptr, len};
}

/* The bytes of a NUL-terminated string; NULL gives the empty span. */
static inline sp_span sp_span_cstr(const char *text)
{
    return text == NULL ? SP_SPAN_EMPTY : (sp_span){(const uint8_t *)text, strlen(text)};
}

static inline bool sp_span_eq(sp_span a, sp_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII case folded. */
bool sp_span_eq_nocase(sp_span a, sp_span b);
/* Constant time in the content; lengths are not secret. */
bool sp_span_eq_secret(sp_span a, sp_span b);
int sp_span_compare(sp_span a, sp_span b);

/* text[from, to), both cut to len. */
static inline sp_span sp_span_slice(sp_span text, size_t from, size_t to)
{
    to = to > text.len ? text.len : to;
    return from >= to ? SP_SPAN_EMPTY : (sp_span){text.ptr + from, to - from};
}

static inline bool sp_span_starts(sp_span text, sp_span prefix)
{
    return text.len >= prefix.len && sp_span_eq(sp_span_slice(text, 0, prefix.len), prefix);
}

static inline bool sp_span_ends(sp_span text, sp_span suffix)
{
    return text.len >= suffix.len &&
           sp_span_eq(sp_span_slice(text, text.len - suffix.len, text.len), suffix);
}

/* Index of the first byte, or len when it is not there. */
static inline size_t sp_span_index(sp_span text, uint8_t byte)
{
    const uint8_t *at = text.len == 0 ? NULL : (const uint8_t *)memchr(text.ptr, byte, text.len);
    return at == NULL ? text.len : (size_t)(at - text.ptr);
}

/* Index of the first place where needle stands, or len. An empty needle is at 0. */
size_t sp_span_find(sp_span text, sp_span needle);
/* Which word of the list it is, or count. */
size_t sp_span_which(sp_span word, const char *const *list, size_t count);
/* What stands behind the last such byte; all of it when there is none. */
sp_span sp_span_behind(sp_span text, uint8_t byte);
/* Without leading and trailing ASCII blanks. */
sp_span sp_span_trim(sp_span text);
/* Takes the piece up to sep off *rest (sep is dropped); false when *rest was empty. */
bool sp_span_split(sp_span *rest, uint8_t sep, sp_span *ret_piece);

/* Decimal, no sign, no blanks, <= max. SP_EINVALID or SP_ELIMIT. */
SP_MUST sp_err sp_span_to_u64(sp_span text, uint64_t max, uint64_t *ret_value);
/* Well-formed UTF-8 without surrogates and over-long forms (Unicode 15, 3.9). */
bool sp_span_is_utf8(sp_span text);
/* How many bytes at its beginning are printable ASCII other than the quote (") and the backslash:
 * what stands for itself in JSON and in a log. */
size_t sp_span_plain(sp_span text);
/* As much of its beginning as is UTF-8 and fits into max bytes: no character is torn. */
sp_span sp_span_cut(sp_span text, size_t max);
/* A label of a host name: 1 to 63 of a-z, 0-9 and '-', which does not stand at an end (RFC 1123).
 */
bool sp_span_is_label(sp_span text);
/* ASCII, whatever the locale. */
static inline bool sp_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}
static inline bool sp_is_lower_alnum(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || sp_is_digit(c);
}
static inline bool sp_is_alnum(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || sp_is_lower_alnum(c);
}
/* Needs no escaping anywhere in a URL (RFC 3986, 2.3). */
static inline bool sp_is_unreserved(uint8_t c)
{
    return sp_is_alnum(c) || c == '-' || c == '_' || c == '.' || c == '~';
}
/* A fast non-cryptographic hash for tables; seed it when keys are hostile. */
uint64_t sp_span_hash(sp_span text, uint64_t seed);

#endif
