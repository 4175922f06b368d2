/* SPDX-License-Identifier: Apache-2.0
 * cmocka with the headers that it wants first, and two words for our error type.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC cmocka 1.1.
 */
#ifndef SP_TESTS_CM_H
#define SP_TESTS_CM_H

#include "lib/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define assert_ok(expr) assert_int_equal((expr).code, SP_OK)
#define assert_fails(expr, want) assert_int_equal((expr).code, (want))

static inline void assert_span_text(sp_span got, const char *want)
{
    sp_span wanted = sp_span_cstr(want);
    assert_int_equal(got.len, wanted.len);
    if (wanted.len > 0) {
        assert_memory_equal(got.ptr, wanted.ptr, wanted.len);
    }
}

#endif
