/* SPDX-License-Identifier: Apache-2.0
 * Recordings on a terminal: played, as text, and followed while they are made.
 * OWNS nothing. PROCESS cli. TRUST recordings are what a machine printed: nothing of them reaches
 * the terminal but through lib/record/safe.h. SPEC docs/man/sallyport-session.1; asciicast v2.
 */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/handlers.h"
#include "cli/table.h"
#include "infra/proc/clock.h"
#include "lib/record/cast.h"
#include "lib/record/safe.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
    PATH_MAX_BYTES = 2048,
    OUT_MAX_BYTES = 64 << 20,
    EVENT_MAX_BYTES = 1 << 20,
    ESC = 0x1b,
    SPEED_MAX = 1000,
    PAUSE_MAX_S = 3600,
    PAUSE_OTHERWISE_S = 2,
    BEAT_US = 3000 * 1000,
    POLL_US = 700 * 1000,
    RUNS_BYTES = 160
};
#define RECORDINGS "/api/v1/ssh/recordings/"
#define CONNECTIONS "/api/v1/ssh/connections/"

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    stopped = number;
}

static void take_signals(void)
{
    struct sigaction act = {.sa_handler = on_signal};
    sigemptyset(&act.sa_mask);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
}

/* ---- the stream, line by line ---- */

typedef enum { AS_TERMINAL, AS_TEXT, AS_EVENTS, AS_JSON } way;

typedef struct {
    way way;
    bool paced;
    double speed;
    double pause_s;
    double shown_s; /* time of the last event */
    bool has_header;
    sp_safe safe;
    sp_buf room; /* bytes of the event that is being shown */
} player;

static void wait_until(player *p, double at_s)
{
    double gap = at_s - p->shown_s;
    if (p->paced && gap > 0 && stopped == 0) {
        double wait_s = (gap < p->pause_s ? gap : p->pause_s) / p->speed;
        time_t whole_s = (time_t)wait_s;
        struct timespec left = {whole_s, (long)((wait_s - (double)whole_s) * 1e9)};
        fflush(stdout);
        nanosleep(&left, NULL); /* Ctrl-C ends it early */
    }
    p->shown_s = at_s > p->shown_s ? at_s : p->shown_s;
}

/* What sp_safe let through, without its sequences, each of which is whole. */
static void print_plain(sp_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c != ESC) {
            if (c >= 0x20 || c == '\n' || c == '\t') {
                putchar(c);
            }
            continue;
        }
        uint8_t next = i + 1 < text.len ? text.ptr[i + 1] : 0;
        i += next == '(' || next == ')' ? 2 : 1; /* a character set; else one letter */
        while (next == '[' && i + 1 < text.len) {
            i++;
            if (text.ptr[i] >= 0x40) {
                break;
            }
        }
    }
}

static void show_output(player *p, sp_span bytes)
{
    auto_buf sp_buf out = sp_buf_make(OUT_MAX_BYTES);
    sp_safe_output(&p->safe, bytes, &out);
    sp_span safe = sp_buf_borrow(&out);
    if (p->way == AS_TEXT) {
        print_plain(safe);
    } else {
        fwrite(safe.ptr, 1, safe.len, stdout);
    }
}

static void show_moment(uint64_t at_us, sp_span text)
{
    auto_buf sp_buf line = sp_buf_make(OUT_MAX_BYTES);
    unsigned whole_s = (unsigned)(at_us / 1000000);
    sp_safe_name(text, &line);
    printf("%02u:%02u:%02u  %.*s\n", whole_s / 3600, whole_s / 60 % 60, whole_s % 60,
           SP_SPAN_ARG(sp_buf_borrow(&line)));
}

static void show_event(player *p, const sp_cast_event *event)
{
    if (p->way == AS_EVENTS) {
        if (event->code == 'm') {
            show_moment(event->at_us, event->data);
        }
    } else if (event->code == 'o') {
        wait_until(p, (double)event->at_us / 1e6);
        show_output(p, event->data);
    }
}

static void compare_size(const sp_cast_told *told)
{
    struct winsize size;
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
        (size.ws_col < told->width || size.ws_row < told->height)) {
        sp_complain("it was %u columns by %u lines: a larger window shows it as it was",
                    told->width, told->height);
    }
}

static bool print_json(sp_span line)
{
    json_t *value = json_loadb((const char *)line.ptr, line.len, JSON_ALLOW_NUL, NULL);
    bool known = value != NULL;
    if (known) {
        json_dumpf(value, stdout, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
        printf("\n");
    }
    json_decref(value);
    return known;
}

static bool show_line(player *p, sp_span line)
{
    sp_cast_told told;
    sp_cast_event event;
    if (p->way == AS_JSON) {
        return print_json(line);
    }
    if (!p->has_header && line.ptr[0] == '{') {
        p->has_header = true;
        bool good = !sp_failed(sp_cast_read_header(line, &told));
        if (good && p->way == AS_TERMINAL) {
            compare_size(&told);
        }
        return good;
    }
    if (sp_failed(sp_cast_read_event(line, &p->room, &event))) {
        return false;
    }
    show_event(p, &event);
    return true;
}

static int show_page(player *p, sp_span text)
{
    sp_span line = SP_SPAN_EMPTY;
    while (text.len > 0 && stopped == 0 && sp_span_split(&text, '\n', &line)) {
        if (line.len > 0 && !show_line(p, line)) {
            sp_complain("the office's answer is no recording");
            return SP_EXIT_FAILED;
        }
    }
    fflush(stdout);
    return SP_EXIT_OK;
}

static void player_done(player *p)
{
    if (p->way == AS_TERMINAL && isatty(STDOUT_FILENO)) {
        printf("%.*s", SP_SPAN_ARG(sp_safe_reset()));
        fflush(stdout);
    }
    sp_buf_done(&p->room);
}

/* ---- from the office ---- */

typedef struct {
    const char *id;
    const char *channel; /* NULL = the first */
    uint64_t next;
    bool end;
    bool more; /* the last page had something */
} stream;

static int next_page(sp_client *client, stream *s, player *p)
{
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    auto_free char *text = NULL;
    sp_span page = SP_SPAN_EMPTY;
    sp_buf_text(&path, RECORDINGS);
    sp_buf_percent(&path, sp_span_cstr(s->id));
    sp_buf_fmt(&path, "?from=%llu", (unsigned long long)s->next);
    if (s->channel != NULL) {
        sp_buf_text(&path, "&channel=");
        sp_buf_percent(&path, sp_span_cstr(s->channel));
    }
    if (sp_failed(sp_buf_take_cstr(&path, &text))) {
        return SP_EXIT_USAGE;
    }
    int status = sp_client_text(client, text, &page);
    if (status != SP_EXIT_OK) {
        return status;
    }
    uint64_t next = sp_client_header(client, "X-Sallyport-Next");
    s->end = sp_client_header(client, "X-Sallyport-End") != 0;
    s->more = page.len > 0 && next > s->next;
    s->next = next > s->next ? next : s->next;
    return show_page(p, page);
}

/* ---- replay ---- */

static bool read_number(const sp_given *given, const char *word, double least, double most,
                        double *ret)
{
    const char *text = sp_given_value(given, word);
    char *end = NULL;
    double value = text == NULL ? *ret : strtod(text, &end);
    if (text != NULL && (end == text || *end != '\0' || !(value >= least && value <= most))) {
        sp_complain("%s: a number from %g to %g is expected, not '%s'", word, least, most, text);
        return false;
    }
    *ret = value;
    return true;
}

/* The lines stopped and nobody said that it was over. */
static void say_no_end(sp_client *client, const char *id)
{
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    auto_free char *text = NULL;
    json_t *info = NULL;
    sp_buf_text(&path, RECORDINGS);
    sp_buf_percent(&path, sp_span_cstr(id));
    sp_buf_text(&path, "/info");
    if (sp_failed(sp_buf_take_cstr(&path, &text)) ||
        sp_client_call(client, "GET", text, NULL, &info) != SP_EXIT_OK) {
        return;
    }
    const char *to = json_string_value(json_object_get(info, "complete_to"));
    if (to != NULL) {
        fflush(stdout);
        fprintf(stderr,
                "The gate's worker ended before this connection did: the recording is complete to "
                "%s UTC and has no statement of what it covers.\n",
                sp_short_time(to));
    }
    json_decref(info);
}

int sp_session_replay(const sp_given *given)
{
    player p = {.speed = 1, .pause_s = PAUSE_OTHERWISE_S, .room = sp_buf_make(EVENT_MAX_BYTES)};
    stream s = {.id = given->words[0], .channel = sp_given_value(given, "--channel")};
    auto_client sp_client *client = NULL;
    if (!read_number(given, "--speed", 0.01, SPEED_MAX, &p.speed) ||
        !read_number(given, "--max-pause", 0, PAUSE_MAX_S, &p.pause_s)) {
        return SP_EXIT_USAGE;
    }
    p.way = given->json                                 ? AS_JSON
            : sp_given_value(given, "--events") != NULL ? AS_EVENTS
            : sp_given_value(given, "--text") != NULL   ? AS_TEXT
                                                        : AS_TERMINAL;
    p.paced = p.way == AS_TERMINAL && isatty(STDOUT_FILENO);
    int status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        take_signals();
    }
    while (status == SP_EXIT_OK && stopped == 0) {
        status = next_page(client, &s, &p);
        if (s.end || !s.more) {
            break;
        }
    }
    player_done(&p);
    if (status == SP_EXIT_OK && !s.end && stopped == 0) {
        say_no_end(client, s.id);
    }
    return status;
}

/* ---- watch ---- */

static int say_watching(sp_client *client, const char *id, const char *method, json_t **ret_now)
{
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    auto_free char *text = NULL;
    sp_buf_text(&path, CONNECTIONS);
    sp_buf_percent(&path, sp_span_cstr(id));
    sp_buf_text(&path, "/watch");
    if (sp_failed(sp_buf_take_cstr(&path, &text))) {
        return SP_EXIT_USAGE;
    }
    return sp_client_try(client, method, text, NULL, ret_now);
}

/* The number of the shell, or of what else runs; false: nothing does yet. */
static bool pick_channel(const json_t *connection, char to[24])
{
    const json_t *best = NULL;
    const json_t *one = NULL;
    size_t at = 0;
    json_array_foreach(json_object_get(connection, "channels"), at, one)
    {
        bool shell = sp_same(sp_json_text(one, "kind"), "shell");
        best = best == NULL || shell ? one : best;
    }
    snprintf(to, 24, "%lld", (long long)json_integer_value(json_object_get(best, "number")));
    return best != NULL;
}

static void say_who(const json_t *connection)
{
    fprintf(stderr, "Watching ");
    sp_print_safe(stderr, sp_json_text(connection, "person.name"));
    fprintf(stderr, " on ");
    sp_print_safe(stderr, sp_json_text(connection, "resource"));
    fprintf(stderr, " as ");
    sp_print_safe(stderr, sp_json_text(connection, "account"));
    fprintf(stderr, ". Ctrl-C leaves; sallyport session kill ID ends it.\n");
}

typedef struct {
    sp_client *client;
    const sp_given *given;
    stream s;
    player p;
    char channel[24];
    uint64_t beaten_us;
    bool greeted;
    bool over;
} watching;

/* Says that somebody looks, every three seconds. */
static int beat(watching *w)
{
    json_t *now = NULL;
    if (w->beaten_us != 0 && sp_now_steady_us() - w->beaten_us < BEAT_US) {
        return SP_EXIT_OK;
    }
    int status = say_watching(w->client, w->s.id, "POST", &now);
    w->beaten_us = sp_now_steady_us();
    if (status != SP_EXIT_OK && sp_client_status(w->client) == 404 && w->greeted) {
        w->over = true;
        status = SP_EXIT_OK;
    } else if (status != SP_EXIT_OK) {
        sp_complain("%s: %s", w->s.id,
                    now == NULL ? "the office does not answer" : sp_json_text(now, "detail"));
    } else {
        if (!w->greeted) {
            say_who(now);
        }
        w->greeted = true;
        if (w->s.channel == NULL && pick_channel(now, w->channel)) {
            w->s.channel = w->channel;
        }
    }
    json_decref(now);
    return status;
}

int sp_session_watch(const sp_given *given)
{
    watching w = {.given = given,
                  .s = {.id = given->words[0], .channel = sp_given_value(given, "--channel")},
                  .p = {.way = given->json ? AS_JSON : AS_TERMINAL,
                        .speed = 1,
                        .room = sp_buf_make(EVENT_MAX_BYTES)}};
    auto_client sp_client *client = NULL;
    int status = sp_client_open(&client);
    if (status != SP_EXIT_OK) {
        return status;
    }
    w.client = client;
    take_signals();
    while (status == SP_EXIT_OK && stopped == 0 && !w.s.end && !w.over) {
        status = beat(&w);
        if (status == SP_EXIT_OK && !w.over && w.s.channel != NULL) {
            status = next_page(client, &w.s, &w.p);
        }
        if (status == SP_EXIT_OK && !w.s.more && !w.s.end) {
            usleep(POLL_US);
        }
    }
    player_done(&w.p);
    if (w.over || w.s.end) {
        sp_complain("the connection has ended");
    } else if (w.greeted) {
        json_t *answer = NULL;
        (void)say_watching(client, w.s.id, "DELETE", &answer); /* it ends by itself as well */
        json_decref(answer);
    }
    return status;
}

/* ---- for the table of commands ---- */

const char *sp_ssh_runs(const json_t *row)
{
    static char text[RUNS_BYTES];
    size_t used = 0;
    size_t at = 0;
    const json_t *one = NULL;
    text[0] = '\0';
    json_array_foreach(json_object_get(row, "channels"), at, one)
    {
        const char *kind = json_string_value(json_object_get(one, "kind"));
        const char *object = json_string_value(json_object_get(one, "object"));
        int len = snprintf(text + used, sizeof(text) - used, "%s%s%s%.60s", used > 0 ? ", " : "",
                           kind == NULL ? "" : kind, object == NULL || object[0] == '\0' ? "" : " ",
                           object == NULL ? "" : object);
        used += len > 0 ? (size_t)len : 0;
        if (used >= sizeof(text)) {
            break;
        }
    }
    return text;
}

void sp_freeze_body(const sp_given *given, const json_t *found, json_t *body)
{
    (void)given;
    (void)found;
    json_object_set_new(body, "frozen", json_true());
}

void sp_thaw_body(const sp_given *given, const json_t *found, json_t *body)
{
    (void)given;
    (void)found;
    json_object_set_new(body, "frozen", json_false());
}
