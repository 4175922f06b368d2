/* SPDX-License-Identifier: Apache-2.0
 * The one place that calls the C library's allocator and raw memory functions.
 * OWNS nothing itself. PROCESS all. TRUST sizes may be hostile. SPEC lib/base/mem.h.
 */
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SMALL_BYTES = 1024 };

sp_err sp_alloc(size_t count, size_t size, void *ret_ptr_to_ptr)
{
    size_t bytes = 0;
    if (__builtin_mul_overflow(count == 0 ? 1 : count, size == 0 ? 1 : size, &bytes)) {
        return sp_fail(SP_ENOMEM);
    }
    /* glibc's calloc passes by the thread's own cache of small blocks, which is twice as fast */
    void *ptr = bytes > SMALL_BYTES ? calloc(1, bytes) : malloc(bytes);
    if (ptr == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    if (bytes <= SMALL_BYTES) {
        memset(ptr, 0, bytes);
    }
    memcpy(ret_ptr_to_ptr, &ptr, sizeof(ptr));
    return sp_ok(); // cppcheck-suppress memleak ; handed out through ret_ptr_to_ptr
}

sp_err sp_resize(void *ptr_to_ptr, size_t count, size_t size)
{
    void *old = NULL;
    memcpy(&old, ptr_to_ptr, sizeof(old));
    void *grown = reallocarray(old, count == 0 ? 1 : count, size == 0 ? 1 : size);
    if (grown == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    memcpy(ptr_to_ptr, &grown, sizeof(grown));
    return sp_ok(); // cppcheck-suppress memleak ; handed out through ptr_to_ptr
}

sp_err sp_strdup(sp_span text, char **ret_copy)
{
    if (sp_span_index(text, 0) != text.len) {
        return sp_fail(SP_EINVALID);
    }
    char *copy = NULL;
    TRY(sp_alloc(text.len + 1, 1, &copy));
    sp_copy(copy, text.ptr, text.len);
    *ret_copy = copy;
    return sp_ok();
}

void sp_free(void *ptr)
{
    free(ptr);
}

void sp_wipe(void *ptr, size_t len)
{
    if (len > 0) {
        explicit_bzero(ptr, len);
    }
}

sp_err sp_fit(char *to, size_t size_bytes, sp_span text)
{
    if (text.len >= size_bytes) {
        return sp_fail(SP_ELIMIT);
    }
    sp_copy(to, text.ptr, text.len);
    to[text.len] = '\0';
    return sp_ok();
}

void sp_auto_free_(void *ptr_to_ptr)
{
    void *ptr = NULL;
    memcpy(&ptr, ptr_to_ptr, sizeof(ptr));
    free(ptr);
}

void sp_auto_wiped_(char **text)
{
    sp_wipe(*text, sp_span_cstr(*text).len);
    free(*text);
}

void sp_auto_close_(const int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

void sp_secret_wipe(sp_secret *secret)
{
    sp_wipe(secret, sizeof(*secret));
}

sp_err sp_secret_set(sp_secret *secret, sp_span bytes)
{
    if (bytes.len > SP_SECRET_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    sp_secret_wipe(secret);
    sp_copy(secret->bytes, bytes.ptr, bytes.len);
    secret->len = bytes.len;
    return sp_ok();
}
