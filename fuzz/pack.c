/* SPDX-License-Identifier: Apache-2.0
 * The verifier of packs on packs of any bytes: a tar as the API exports it, whose files it reads
 * out of memory. Every hash fits and every signature is good here, so that what lies behind them is
 * read as well.
 * OWNS what it allocates, freed after each input. PROCESS fuzzing. TRUST none.
 * SPEC ledger/verify/verify.c, c2sp.org/tlog-tiles.
 */
#include <setjmp.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 512, NAME_BYTES = 100, SIZE_AT = 124, SIZE_DIGITS = 11, BLOCKS_MAX = 65536 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *tar;
static size_t tar_len;
static jmp_buf ended;
static void *blocks[BLOCKS_MAX];
static size_t blocks_count;

static void *fuzz_malloc(size_t size)
{
    if (blocks_count == BLOCKS_MAX) {
        return NULL;
    }
    void *block = (malloc)(size);
    blocks[blocks_count++] = block;
    return block;
}

static void fuzz_free(void *block)
{
    for (size_t i = blocks_count; block != NULL && i > 0; i--) {
        if (blocks[i - 1] == block) {
            blocks[i - 1] = blocks[--blocks_count];
            (free)(block);
            return;
        }
    }
    if (block != NULL) {
        abort(); /* freed twice, or not its own */
    }
}

static int fuzz_memcmp(const void *a, const void *b, size_t len)
{
    return len == 32 || len == 4 ? 0 : (memcmp)(a, b, len);
}

/* Exactly as long as it is, with the NUL that the reader counts on. */
static uint8_t *pack_file(const char *name, size_t max, size_t *ret_len)
{
    for (size_t at = 0; tar_len - at >= BLOCK;) {
        size_t len = 0;
        for (int i = 0; i < SIZE_DIGITS; i++) {
            uint8_t digit = tar[at + SIZE_AT + (size_t)i];
            len = len * 8 + (digit >= '0' && digit <= '7' ? (size_t)(digit - '0') : 0);
        }
        size_t left = tar_len - at - BLOCK;
        len = len < left ? len : left;
        size_t name_len = strlen(name);
        if (name_len < NAME_BYTES && (memcmp)(tar + at, name, name_len + 1) == 0) {
            uint8_t *bytes = len > max ? NULL : fuzz_malloc(len + 1);
            if (bytes != NULL) {
                memcpy(bytes, tar + at + BLOCK, len);
                bytes[len] = 0;
                *ret_len = len;
            }
            return bytes;
        }
        size_t padded = (len + BLOCK - 1) / BLOCK * BLOCK;
        at += BLOCK + (padded < left ? padded : left);
    }
    return NULL;
}

static int fuzz_decrypt(uint8_t *to, const uint8_t *from, unsigned long long len)
{
    memcpy(to, from, (size_t)len - crypto_aead_chacha20poly1305_ietf_ABYTES);
    return 0;
}

static void quiet(FILE *to, const char *format, ...)
{
    (void)to;
    (void)format;
}

#define SP_VERIFY_PACK_FILE pack_file
#define main verify_main
#define malloc fuzz_malloc
#define free fuzz_free
#define memcmp fuzz_memcmp
#define exit(status) longjmp(ended, 1 + (status))
#define fprintf(...) quiet(__VA_ARGS__)
#define vfprintf(...) ((void)0)
#define printf(...) quiet(NULL, __VA_ARGS__)
#define fputs(...) ((void)0)
#define fputc(...) ((void)0)
#define putchar(c) ((void)(c))
#undef crypto_aead_chacha20poly1305_ietf_decrypt
#define crypto_aead_chacha20poly1305_ietf_decrypt(to, a, b, from, len, d, e, f, g)                 \
    ((void)(f), (void)(g), fuzz_decrypt(to, from, len))
#define crypto_sign_verify_detached(signature, text, len, key)                                     \
    ((void)(signature), (void)(text), (void)(len), (void)(key), 0)
#include "ledger/verify/verify.c" // NOLINT: the program itself, its files replaced
#undef main
#undef malloc
#undef free

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *argv[] = {(char *)"verify", (char *)"--print", (char *)"pack", NULL};
    tar = data;
    tar_len = size;
    pack = NULL;
    failures = 0;
    if (setjmp(ended) == 0) {
        (void)verify_main(3, argv);
    }
    while (blocks_count > 0) {
        free(blocks[--blocks_count]);
    }
    return 0;
}
