/* SPDX-License-Identifier: Apache-2.0
 * The error type of every fallible function.
 * OWNS nothing. PROCESS all. TRUST none. SPEC docs/STYLE.md "Errors".
 *
 * A function that can fail is declared  SP_MUST sp_err f(...)  and its result cannot be ignored:
 *     TRY(f(x));                       returns the error to the caller
 *     if (sp_failed(e)) ...            handles it here
 * The code says what kind of failure it was, never why in prose: prose belongs to a sp_diag.
 */
#ifndef SP_BASE_ERR_H
#define SP_BASE_ERR_H

#include <stdbool.h>

#define SP_MUST __attribute__((warn_unused_result))

typedef enum {
    SP_OK = 0,
    SP_ENOMEM,       /* out of memory */
    SP_EINVALID,     /* malformed input */
    SP_ESHORT,       /* input ended too early */
    SP_ELIMIT,       /* a stated maximum would be passed */
    SP_ENOTFOUND,    /* no such thing */
    SP_EEXISTS,      /* already there */
    SP_EDENIED,      /* not allowed */
    SP_ECONFLICT,    /* the state has moved on */
    SP_EIO,          /* the operating system said no */
    SP_EAGAIN,       /* not now: try again when told */
    SP_ETIMEOUT,     /* took too long */
    SP_EUNSUPPORTED, /* known, but not served here */
    SP_ECORRUPT,     /* stored bytes do not verify */
    SP_ECLOSED,      /* the peer is gone */
    SP_EINTERNAL,    /* a bug of ours */
    SP_CODE_COUNT
} sp_code;

typedef struct {
    sp_code code;
} sp_err;

static inline sp_err sp_ok(void)
{
    return (sp_err){SP_OK};
}

static inline sp_err sp_fail(sp_code code)
{
    return (sp_err){code};
}

static inline bool sp_failed(sp_err err)
{
    return err.code != SP_OK;
}

/* A short English word for a code, for logs: "limit", "malformed". Static storage. */
const char *sp_code_word(sp_code code);

/* The only macro that returns. */
#define TRY(expr)                                                                                  \
    do {                                                                                           \
        sp_err try_err_ = (expr);                                                                  \
        if (__builtin_expect(sp_failed(try_err_), 0)) {                                            \
            return try_err_;                                                                       \
        }                                                                                          \
    } while (0)

/* Marks a result that is deliberately not looked at; say why beside it. */
#define SP_IGNORE(expr)                                                                            \
    do {                                                                                           \
        sp_err ignored_ = (expr);                                                                  \
        (void)ignored_;                                                                            \
    } while (0)

#endif
