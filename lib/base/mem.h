/* SPDX-License-Identifier: Apache-2.0
 * Memory: allocation, cleanup attributes, moving bytes, wiping secrets.
 * OWNS what the caller allocates. PROCESS all. TRUST sizes may be hostile: products are checked.
 * SPEC docs/STYLE.md "Cleanup". Outside lib/base nobody calls malloc, memcpy or memcmp.
 */
#ifndef SP_BASE_MEM_H
#define SP_BASE_MEM_H

#include "lib/base/span.h"

/* Zeroed memory for count items of size bytes; SP_ENOMEM also when the product overflows. */
SP_MUST sp_err sp_alloc(size_t count, size_t size, void *ret_ptr_to_ptr);
/* Grows or shrinks *ptr_to_ptr; on failure it stays as it was. New bytes are not initialised. */
SP_MUST sp_err sp_resize(void *ptr_to_ptr, size_t count, size_t size);
/* A NUL-terminated copy. SP_EINVALID when the text holds a NUL. */
SP_MUST sp_err sp_strdup(sp_span text, char **ret_copy);
/* Takes also what a library made with malloc (jansson's texts, realpath, getline). */
void sp_free(void *ptr);

/* Copies len bytes; the two must not overlap. len 0 allows NULL. */
static inline void sp_copy(void *to, const void *from, size_t len)
{
    if (len > 0) {
        memcpy(to, from, len);
    }
}

static inline void sp_move(void *to, const void *from, size_t len)
{
    if (len > 0) {
        memmove(to, from, len);
    }
}

static inline void sp_set(void *to, uint8_t byte, size_t len)
{
    if (len > 0) {
        memset(to, byte, len);
    }
}

/* Zeroes in a way that the compiler keeps. */
void sp_wipe(void *ptr, size_t len);
/* Copies text into a fixed array and ends it with NUL. SP_ELIMIT when it does not fit. */
SP_MUST sp_err sp_fit(char *to, size_t size_bytes, sp_span text);

void sp_auto_free_(void *ptr_to_ptr);
void sp_auto_wiped_(char **text);
void sp_auto_close_(const int *fd);

/* A large local of a hot path that is written before it is read: not zeroed first, as all others
 * are. */
#define SP_UNSET __attribute__((uninitialized))

#define auto_free __attribute__((cleanup(sp_auto_free_)))
/* A text that may hold a secret: zeroed up to its NUL, then freed. */
#define auto_wiped __attribute__((cleanup(sp_auto_wiped_)))
#define auto_close __attribute__((cleanup(sp_auto_close_)))

/* Hands a pointer out of an auto_free variable. */
#define SP_STEAL(p)                                                                                \
    __extension__({                                                                                \
        __typeof__(p) stolen_ = (p);                                                               \
        (p) = NULL;                                                                                \
        stolen_;                                                                                   \
    })
/* Hands an fd out of an auto_close variable. */
#define SP_STEAL_FD(fd)                                                                            \
    __extension__({                                                                                \
        int stolen_fd_ = (fd);                                                                     \
        (fd) = -1;                                                                                 \
        stolen_fd_;                                                                                \
    })

#define SP_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A secret of at most SP_SECRET_MAX bytes, wiped when it goes out of scope; never printed. */
#define SP_SECRET_MAX 256
typedef struct {
    size_t len;
    uint8_t bytes[SP_SECRET_MAX];
} sp_secret;
void sp_secret_wipe(sp_secret *secret);
SP_MUST sp_err sp_secret_set(sp_secret *secret, sp_span bytes);
static inline sp_span sp_secret_borrow(const sp_secret *secret)
{
    return (sp_span){secret->bytes, secret->len};
}
#define auto_secret __attribute__((cleanup(sp_secret_wipe)))

#endif
