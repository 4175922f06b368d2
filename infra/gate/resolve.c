/* SPDX-License-Identifier: Apache-2.0
 * Names of upstreams.
 * OWNS see resolve.h. PROCESS gate workers: the loop's thread; those that ask touch nothing but
 * their own question, which comes back over a list with a lock. TRUST see resolve.h.
 * SPEC infra/gate/resolve.h.
 */
#include "infra/gate/resolve.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { STACK_BYTES = 256 * 1024 };
#define FRESH_US UINT64_C(60000000)
#define STALE_US UINT64_C(3600000000)
#define AGAIN_US UINT64_C(2000000) /* after a failure */

/* A question, and what came of it. */
typedef struct question {
    struct question *next;
    char host[SP_RESOLVE_HOST_BYTES];
    sp_dial_address address;
    bool found;
} question;

typedef struct {
    char host[SP_RESOLVE_HOST_BYTES]; /* empty = free */
    sp_dial_address address;          /* len 0 = none */
    uint64_t found_us;
    uint64_t asked_us;
    bool is_asking;
    sp_resolve_wait *waiting;
} answer;

static struct {
    sp_loop *loop;
    sp_watch watch; /* the eventfd */
    unsigned asking;
    answer answers[SP_RESOLVE_NAMES_MAX];
    pthread_mutex_t lock; /* over done */
    question *done;
} here = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- addresses as they stand, and the system's resolver ---- */

static bool look_up(const char *host, int flags, sp_dial_address *ret_address)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, NULL, &hints, &found) != 0) {
        return false;
    }
    sp_copy(&ret_address->at, found->ai_addr, found->ai_addrlen);
    ret_address->len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static void put_port(sp_dial_address *to, uint16_t port)
{
    if (to->at.ss_family == AF_INET) {
        ((struct sockaddr_in *)(void *)&to->at)->sin_port = htons(port);
    } else {
        ((struct sockaddr_in6 *)(void *)&to->at)->sin6_port = htons(port);
    }
}

static void *ask(void *self)
{
    static const uint64_t one = 1;
    question *q = self;
    q->found = look_up(q->host, AI_ADDRCONFIG, &q->address);
    pthread_mutex_lock(&here.lock);
    q->next = here.done;
    here.done = q;
    (void)!write(here.watch.fd, &one, sizeof(one)); /* full: it is readable already */
    pthread_mutex_unlock(&here.lock);
    return NULL;
}

static sp_err start_asking(answer *a)
{
    question *q = NULL;
    pthread_t thread;
    pthread_attr_t attributes;
    if (here.asking >= SP_RESOLVE_THREADS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(sp_alloc(1, sizeof(*q), &q));
    sp_copy(q->host, a->host, sizeof(q->host));
    bool good = pthread_attr_init(&attributes) == 0;
    if (good) {
        good = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
               pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0 &&
               pthread_create(&thread, &attributes, ask, q) == 0;
        pthread_attr_destroy(&attributes);
    }
    if (!good) {
        sp_free(q);
        return sp_fail(SP_ENOMEM);
    }
    here.asking++;
    a->is_asking = true;
    a->asked_us = sp_loop_now_us(here.loop);
    return sp_ok();
}

/* ---- what is known ---- */

static answer *answer_of(const char *host)
{
    for (size_t i = 0; i < SP_RESOLVE_NAMES_MAX; i++) {
        if (strcmp(here.answers[i].host, host) == 0) {
            return &here.answers[i];
        }
    }
    return NULL;
}

/* A place for a new name: the one that was asked for longest ago. NULL: all are being asked for. */
static answer *place_for(const char *host)
{
    answer *oldest = NULL;
    for (size_t i = 0; i < SP_RESOLVE_NAMES_MAX; i++) {
        answer *a = &here.answers[i];
        if (!a->is_asking && (oldest == NULL || a->asked_us < oldest->asked_us)) {
            oldest = a;
        }
    }
    if (oldest != NULL) {
        *oldest = (answer){.is_asking = false};
        SP_IGNORE(sp_fit(oldest->host, sizeof(oldest->host), sp_span_cstr(host))); /* it fits */
    }
    return oldest;
}

static bool is_known(const answer *a, uint64_t now_us)
{
    return a->address.len > 0 && now_us < a->found_us + STALE_US;
}

static void tell(answer *a)
{
    bool known = is_known(a, sp_loop_now_us(here.loop));
    while (a->waiting != NULL) {
        sp_resolve_wait *wait = a->waiting;
        sp_dial_address address = a->address;
        put_port(&address, wait->port);
        sp_resolve_forget(wait);
        wait->on_found(wait, known ? sp_ok() : sp_fail(SP_ENOTFOUND), known ? &address : NULL);
    }
}

static void take(question *q)
{
    answer *a = answer_of(q->host);
    here.asking--;
    if (a != NULL) { /* always: a name that is asked for keeps its place */
        a->is_asking = false;
        if (q->found) {
            a->address = q->address;
            a->found_us = sp_loop_now_us(here.loop);
        }
        tell(a);
    }
    sp_free(q);
}

static void on_done(sp_watch *watch, unsigned ready)
{
    uint64_t count = 0;
    (void)ready;
    while (read(watch->fd, &count, sizeof(count)) == (ssize_t)sizeof(count)) {
    }
    pthread_mutex_lock(&here.lock);
    question *done = here.done;
    here.done = NULL;
    pthread_mutex_unlock(&here.lock);
    while (done != NULL) {
        question *next = done->next;
        take(done);
        done = next;
    }
}

/* ---- asking ---- */

sp_err sp_resolve_prepare(sp_loop *loop)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) {
        return sp_fail(SP_EIO);
    }
    here.loop = loop;
    here.watch.on_ready = on_done;
    return sp_watch_start(loop, &here.watch, fd);
}

static void join(answer *a, sp_resolve_wait *wait)
{
    wait->next = a->waiting;
    wait->back = &a->waiting;
    if (wait->next != NULL) {
        wait->next->back = &wait->next;
    }
    a->waiting = wait;
}

sp_err sp_resolve(const char *host, uint16_t port, sp_resolve_wait *wait,
                  sp_dial_address *ret_address)
{
    uint64_t now_us = sp_loop_now_us(here.loop);
    if (look_up(host, AI_NUMERICHOST, ret_address)) {
        put_port(ret_address, port);
        return sp_ok();
    }
    if (host[0] == '\0' || strlen(host) >= SP_RESOLVE_HOST_BYTES) {
        return sp_fail(SP_ENOTFOUND);
    }
    answer *a = answer_of(host);
    a = a == NULL ? place_for(host) : a;
    if (a == NULL) {
        return sp_fail(SP_ELIMIT);
    }
    bool known = is_known(a, now_us);
    bool fresh = known && now_us < a->found_us + FRESH_US;
    bool rests = a->asked_us != 0 && now_us < a->asked_us + AGAIN_US;
    sp_err err = fresh || a->is_asking ? sp_ok() : rests ? sp_fail(SP_ENOTFOUND) : start_asking(a);
    if (known) { /* whether it can be asked for again or not */
        *ret_address = a->address;
        put_port(ret_address, port);
        return sp_ok();
    }
    TRY(err);
    wait->port = port;
    join(a, wait);
    return sp_fail(SP_EAGAIN);
}

void sp_resolve_forget(sp_resolve_wait *wait)
{
    if (wait->back != NULL) {
        *wait->back = wait->next;
        if (wait->next != NULL) {
            wait->next->back = wait->back;
        }
        wait->back = NULL;
    }
}
