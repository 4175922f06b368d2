/* SPDX-License-Identifier: Apache-2.0
 * Passwords.
 * OWNS queued jobs. PROCESS core. TRUST see password.h. SPEC core/identity/password.h.
 */
#include "core/identity/password.h"

#include "lib/base/mem.h"

#include <sodium.h>

#ifdef SP_QUICK_HASHING
enum { MEMORY_BYTES = 64 * 1024, PASSES = 1 };
#else
enum { MEMORY_BYTES = 64 * 1024 * 1024, PASSES = 3 };
#endif

typedef struct job {
    struct job *next;
    sp_passwords *passwords;
    uv_work_t work;
    sp_on_hashed on_hashed;
    sp_on_checked on_checked;
    void *self;
    bool is_decoy;
    bool ok;
    char hash[SP_PASSWORD_HASH_BYTES];
    size_t len;
    char password[];
} job;

struct sp_passwords {
    uv_loop_t *loop;
    job *first;
    job *last;
    size_t waiting;
    size_t running;
    bool freed;
    char decoy[SP_PASSWORD_HASH_BYTES];
};

static bool hash_into(char to[SP_PASSWORD_HASH_BYTES], const char *password, size_t len)
{
    return crypto_pwhash_str_alg(to, password, len, PASSES, MEMORY_BYTES,
                                 crypto_pwhash_ALG_ARGON2ID13) == 0;
}
_Static_assert(crypto_pwhash_STRBYTES == SP_PASSWORD_HASH_BYTES, "room for a hash");

sp_err sp_passwords_new(uv_loop_t *loop, sp_passwords **ret_passwords)
{
    auto_free sp_passwords *passwords = NULL;
    TRY(sp_alloc(1, sizeof(*passwords), &passwords));
    passwords->loop = loop;
    uint8_t nobody[32];
    randombytes_buf(nobody, sizeof(nobody));
    if (!hash_into(passwords->decoy, (const char *)nobody, sizeof(nobody))) {
        return sp_fail(SP_ENOMEM);
    }
    *ret_passwords = SP_STEAL(passwords);
    return sp_ok();
}

static void job_free(job *done)
{
    sp_wipe(done->password, done->len);
    sp_wipe(done->hash, sizeof(done->hash));
    sp_free(done);
}

void sp_passwords_free(sp_passwords *passwords)
{
    if (passwords == NULL) {
        return;
    }
    passwords->freed = true;
    while (passwords->first != NULL) {
        job *next = passwords->first->next;
        job_free(passwords->first);
        passwords->first = next;
    }
    if (passwords->running == 0) {
        sp_free(passwords);
    }
}

/* In a thread of the pool. */
static void do_work(uv_work_t *work)
{
    job *at = work->data;
    if (at->on_hashed != NULL) {
        at->ok = hash_into(at->hash, at->password, at->len);
    } else {
        bool same = crypto_pwhash_str_verify(at->hash, at->password, at->len) == 0;
        at->ok = same && !at->is_decoy;
    }
}

static void start_next(sp_passwords *passwords);

static void after_work(uv_work_t *work, int status)
{
    job *at = work->data;
    sp_passwords *passwords = at->passwords;
    passwords->running--;
    if (passwords->freed) {
        job_free(at);
        if (passwords->running == 0) {
            sp_free(passwords);
        }
        return;
    }
    sp_err err = status == 0 ? sp_ok() : sp_fail(SP_EIO);
    start_next(passwords);
    if (at->on_hashed != NULL) {
        at->on_hashed(at->self, !sp_failed(err) && !at->ok ? sp_fail(SP_ENOMEM) : err, at->hash);
    } else {
        at->on_checked(at->self, err, at->ok);
    }
    job_free(at);
}

static void start_next(sp_passwords *passwords)
{
    while (passwords->first != NULL && passwords->running < SP_PASSWORD_JOBS_AT_ONCE) {
        job *at = passwords->first;
        passwords->first = at->next;
        passwords->last = at->next == NULL ? NULL : passwords->last;
        passwords->waiting--;
        passwords->running++;
        uv_queue_work(passwords->loop, &at->work, do_work,
                      after_work); /* fails only without work */
    }
}

static sp_err enqueue(sp_passwords *passwords, sp_span password, const job *kind)
{
    job *fresh = NULL;
    if (password.len > SP_PASSWORD_MAX_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    if (passwords->waiting >= SP_PASSWORD_JOBS_MAX) {
        return sp_fail(SP_EAGAIN);
    }
    TRY(sp_alloc(1, sizeof(*fresh) + password.len + 1, &fresh));
    *fresh = *kind;
    fresh->passwords = passwords;
    fresh->work.data = fresh;
    fresh->len = password.len;
    sp_copy(fresh->password, password.ptr, password.len);
    if (passwords->last != NULL) {
        passwords->last->next = fresh;
    } else {
        passwords->first = fresh;
    }
    passwords->last = fresh;
    passwords->waiting++;
    start_next(passwords);
    return sp_ok();
}

sp_err sp_password_hash(sp_passwords *passwords, sp_span password, sp_on_hashed on_hashed,
                        void *self)
{
    return enqueue(passwords, password, &(job){.on_hashed = on_hashed, .self = self});
}

sp_err sp_password_check(sp_passwords *passwords, sp_span password, const char *hash,
                         sp_on_checked on_checked, void *self)
{
    job kind = {.on_checked = on_checked, .self = self, .is_decoy = hash == NULL};
    TRY(sp_fit(kind.hash, sizeof(kind.hash), sp_span_cstr(hash == NULL ? passwords->decoy : hash)));
    return enqueue(passwords, password, &kind);
}
