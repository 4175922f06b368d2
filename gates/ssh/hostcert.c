/* SPDX-License-Identifier: Apache-2.0
 * Certificates of machines' host keys: fetched, and kept for as long as they serve.
 *
 * libssh strikes host certificates from what it offers, and the host signs what was offered, so
 * libssh's own key exchange never shows one. It is fetched beside it, over a connection of its own
 * that ends as soon as it was shown (lib/proto/ssh_ask.h): a public statement of its authority, so
 * it does not matter who brings it.
 *
 * A worker fetches a machine's certificate once; those who want the same meanwhile wait for it.
 * What is kept is judged again at each use (infra/gate/hostcert.h) and fetched anew when it does
 * not do any more, or the machine shows another key.
 *
 * OWNS the certificates, and fetches until they end. PROCESS ssh gate workers. TRUST what a machine
 * sends is hostile: bytes, time and number are bounded. SPEC gates/ssh/gate.h.
 */
#include "infra/gate/hostcert.h"
#include "gates/ssh/gate.h"
#include "infra/crypto/random.h"
#include "lib/proto/ssh_ask.h"
#include "lib/proto/ssh_cert.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

enum {
    KEPT_MAX = 256, /* certificates, of SP_SSH_CERT_MAX_BYTES at most */
    FETCHES_MAX = 64,
    FETCH_US = 10000000,
    PLACE_BYTES = SP_RESOLVE_HOST_BYTES + 8,
    SENT_MAX_BYTES = 4096,
    READ_BYTES = 16384
};

typedef struct {
    char place[PLACE_BYTES]; /* host and port; empty = free */
    sp_buf blob;
} kept;

typedef struct fetch fetch;
struct fetch {
    fetch *next;
    char place[PLACE_BYTES];
    sp_ssh_ask ask;
    sp_buf out;
    sp_watch watch;
    sp_timer timer;
    sp_resolve_wait resolving;
    sp_deferred again; /* there may be more to read */
    sp_deferred free;
    bool connected;
    sg_hostcert_wait *waiting;
};

static struct {
    kept kept[KEPT_MAX];
    size_t next; /* that gives way */
    fetch *fetches;
    unsigned count;
} own;

#define FETCH_OF(pointer, member) ((fetch *)(void *)((char *)(pointer)-offsetof(fetch, member)))

static sp_err place_of(sp_span host, uint16_t port, char *to)
{
    int len = snprintf(to, PLACE_BYTES, "%.*s %u", SP_SPAN_ARG(host), (unsigned)port);
    return len > 0 && len < PLACE_BYTES ? sp_ok() : sp_fail(SP_ELIMIT);
}

/* ---- what is kept ---- */

static kept *find_kept(const char *place)
{
    for (size_t i = 0; i < KEPT_MAX; i++) {
        if (own.kept[i].place[0] != '\0' &&
            sp_span_eq(sp_span_cstr(own.kept[i].place), sp_span_cstr(place))) {
            return &own.kept[i];
        }
    }
    return NULL;
}

static void keep(const char *place, sp_span blob)
{
    kept *one = find_kept(place);
    if (one == NULL) {
        one = &own.kept[own.next];
        own.next = (own.next + 1) % KEPT_MAX;
    }
    sp_buf_done(&one->blob);
    one->blob = sp_buf_make(SP_SSH_CERT_MAX_BYTES);
    sp_buf_span(&one->blob, blob);
    bool well = !sp_failed(sp_buf_error(&one->blob)) &&
                !sp_failed(sp_fit(one->place, sizeof(one->place), sp_span_cstr(place)));
    if (!well) {
        one->place[0] = '\0';
    }
}

sp_span sg_hostcert_known(sp_span host, uint16_t port)
{
    char place[PLACE_BYTES];
    const kept *one = sp_failed(place_of(host, port, place)) ? NULL : find_kept(place);
    return one == NULL ? SP_SPAN_EMPTY : sp_buf_borrow(&one->blob);
}

/* ---- the end of a fetch ---- */

static void unlink_wait(sg_hostcert_wait *wait)
{
    *wait->back = wait->next;
    if (wait->next != NULL) {
        wait->next->back = wait->back;
    }
    wait->next = NULL;
    wait->back = NULL;
}

void sg_hostcert_forget(sg_hostcert_wait *wait)
{
    if (wait->back != NULL) {
        unlink_wait(wait);
    }
}

static void free_fetch(sp_deferred *deferred)
{
    fetch *f = FETCH_OF(deferred, free);
    sp_ssh_ask_done(&f->ask);
    sp_buf_done(&f->out);
    sp_free(f);
}

/* Nobody may ask for it any more; those who wait are told. */
static void end_fetch(fetch *f, const char *why, bool is_grave, sp_span blob)
{
    for (fetch **at = &own.fetches; *at != NULL; at = &(*at)->next) {
        if (*at == f) {
            *at = f->next;
            own.count--;
            break;
        }
    }
    sp_timer_clear(sg_here.loop, &f->timer);
    sp_resolve_forget(&f->resolving);
    sp_loop_undefer(sg_here.loop, &f->again);
    if (f->watch.fd >= 0) {
        int fd = f->watch.fd;
        sp_watch_stop(sg_here.loop, &f->watch);
        close(fd);
    }
    while (f->waiting != NULL) {
        sg_hostcert_wait *wait = f->waiting;
        unlink_wait(wait);
        wait->on_end(wait, &(sg_hostcert){.why = why, .is_grave = is_grave, .blob = blob});
    }
    sp_loop_defer(sg_here.loop, &f->free);
}

static void fail(fetch *f, const char *why)
{
    end_fetch(f, why, false, SP_SPAN_EMPTY);
}

static void on_late(sp_timer *timer)
{
    fail(FETCH_OF(timer, timer), "the target did not show its host certificate in time");
}

static void shown(fetch *f, sp_span blob)
{
    const char *why = sp_hostcert_verify(blob);
    if (why == NULL) {
        keep(f->place, blob);
    }
    end_fetch(f, why, true, blob);
}

/* ---- its connection ---- */

static bool send_all(fetch *f)
{
    while (f->out.len > 0) {
        ssize_t sent = write(f->watch.fd, f->out.ptr, f->out.len);
        if (sent <= 0) {
            return sent < 0 && (errno == EAGAIN || errno == EINTR);
        }
        sp_buf_drop(&f->out, (size_t)sent);
    }
    return true;
}

/* False: it has ended. */
static bool take(fetch *f, sp_span bytes)
{
    sp_span blob = SP_SPAN_EMPTY;
    sp_ssh_ask_state state = sp_ssh_ask_feed(&f->ask, bytes, &f->out, &blob);
    if (state == SP_SSH_ASK_SHOWN) {
        shown(f, blob);
    } else if (state != SP_SSH_ASK_WAITS) {
        end_fetch(f, sp_ssh_ask_word(state), state == SP_SSH_ASK_NONE, SP_SPAN_EMPTY);
    } else if (!send_all(f)) {
        fail(f, sp_ssh_ask_word(SP_SSH_ASK_LEFT));
    } else {
        return true;
    }
    return false;
}

/* One piece a turn, so that others have theirs between; until there is no more. */
static void read_piece(fetch *f)
{
    uint8_t SP_UNSET room[READ_BYTES];
    ssize_t got = read(f->watch.fd, room, sizeof(room));
    bool goes_on = got > 0 ? take(f, sp_span_of(room, (size_t)got)) : got < 0 && errno == EINTR;
    if (goes_on) {
        sp_loop_defer(sg_here.loop, &f->again);
    } else if (got == 0 || (got < 0 && errno != EAGAIN)) {
        fail(f, sp_ssh_ask_word(SP_SSH_ASK_LEFT));
    }
}

static void on_again(sp_deferred *deferred)
{
    read_piece(FETCH_OF(deferred, again));
}

static void on_ready(sp_watch *watch, unsigned ready)
{
    fetch *f = FETCH_OF(watch, watch);
    (void)ready;
    if (!f->connected) {
        sp_err err = sp_dial_finish(watch->fd);
        if (err.code == SP_EAGAIN) {
            return;
        }
        if (sp_failed(err)) {
            fail(f, "the target cannot be reached");
            return;
        }
        f->connected = true;
    }
    if (!send_all(f)) {
        fail(f, sp_ssh_ask_word(SP_SSH_ASK_LEFT));
        return;
    }
    read_piece(f);
}

/* ---- its beginning ---- */

static sp_err dial(fetch *f, const sp_dial_address *address)
{
    int fd = -1;
    TRY(sp_dial(address, &fd));
    sp_err err = sp_watch_start(sg_here.loop, &f->watch, fd);
    if (sp_failed(err)) {
        close(fd);
    }
    return err;
}

static void on_found(sp_resolve_wait *wait, sp_err err, const sp_dial_address *address)
{
    fetch *f = FETCH_OF(wait, resolving);
    err = sp_failed(err) ? err : dial(f, address);
    if (sp_failed(err)) {
        fail(f, err.code == SP_ENOTFOUND ? "the name of this machine's address is not known here"
                                         : "the target cannot be reached");
    }
}

static sp_err begin(sp_span host, uint16_t port, fetch *f)
{
    char name[SP_RESOLVE_HOST_BYTES];
    uint8_t random[SP_SSH_ASK_RANDOM_BYTES];
    sp_dial_address address;
    TRY(sp_fit(name, sizeof(name), host));
    sp_random(random, sizeof(random));
    sp_ssh_ask_start(&f->ask, random, &f->out);
    TRY(sp_buf_error(&f->out));
    TRY(sp_timer_set(sg_here.loop, &f->timer, FETCH_US));
    sp_err err = sp_resolve(name, port, &f->resolving, &address);
    if (sp_failed(err)) {
        return err.code == SP_EAGAIN ? sp_ok() : err;
    }
    return dial(f, &address);
}

static sp_err fetch_new(sp_span host, uint16_t port, const char *place, fetch **ret_fetch)
{
    fetch *f = NULL;
    if (own.count == FETCHES_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(sp_alloc(1, sizeof(*f), &f));
    f->out = sp_buf_make(SENT_MAX_BYTES);
    f->watch = (sp_watch){.on_ready = on_ready, .fd = -1};
    f->timer.on_time = on_late;
    f->resolving.on_found = on_found;
    f->again.call = on_again;
    f->free.call = free_fetch;
    sp_err err = sp_fit(f->place, sizeof(f->place), sp_span_cstr(place));
    f->next = own.fetches;
    own.fetches = f;
    own.count++;
    err = sp_failed(err) ? err : begin(host, port, f);
    if (sp_failed(err)) {
        end_fetch(f, NULL, false, SP_SPAN_EMPTY); /* nobody waits yet */
        return err;
    }
    *ret_fetch = f;
    return sp_ok();
}

sp_err sg_hostcert_fetch(sp_span host, uint16_t port, sg_hostcert_wait *wait)
{
    char place[PLACE_BYTES];
    TRY(place_of(host, port, place));
    fetch *f = own.fetches;
    while (f != NULL && !sp_span_eq(sp_span_cstr(f->place), sp_span_cstr(place))) {
        f = f->next;
    }
    if (f == NULL) {
        TRY(fetch_new(host, port, place, &f));
    }
    wait->next = f->waiting;
    wait->back = &f->waiting;
    if (wait->next != NULL) {
        wait->next->back = &wait->next;
    }
    f->waiting = wait;
    return sp_ok();
}
