/* SPDX-License-Identifier: Apache-2.0
 * sallyport-demo: runs the demo office until Ctrl-C, and the small commands beside it.
 *     sallyport-demo run BASE       sallyport-demo drill BASE       sallyport-demo code BASE NAME
 *     sallyport-demo enrol BASE NAME [--approve]      sallyport-demo attack BASE [--fast]
 * BASE/ports holds the ports that demo/run chose: HTTPS, lab, code, hr, files, orders, database
 * gate, SSH gate, workstation, orders-host. OWNS the processes. PROCESS sallyport-demo. TRUST none.
 * SPEC demo/demo.h.
 */
#include "demo/drill.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/file.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    START_S = 60,
    STOP_S = 50,
    TICK_US = 50 * 1000,
    JSON_MAX_BYTES = 1 << 20,
    PORT_MOST = 65535
};

void demo_path(const demo *d, const char *name, char to[DEMO_PATH_BYTES])
{
    snprintf(to, DEMO_PATH_BYTES, "%s/%s", d->base, name);
}

void demo_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
}

json_t *demo_read_json(const demo *d, const char *name)
{
    char path[DEMO_PATH_BYTES];
    demo_path(d, name, path);
    auto_buf sp_buf text = sp_buf_make(JSON_MAX_BYTES);
    if (sp_failed(sp_file_read(path, &text))) {
        return NULL;
    }
    sp_span bytes = sp_buf_borrow(&text);
    return json_loadb((const char *)bytes.ptr, bytes.len, 0, NULL);
}

sp_err demo_write_json(const demo *d, const char *name, const json_t *value, unsigned mode)
{
    char path[DEMO_PATH_BYTES];
    demo_path(d, name, path);
    auto_wiped char *text = json_dumps(value, JSON_INDENT(1));
    if (text == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    return sp_file_replace(path, mode, sp_span_cstr(text));
}

static sp_err read_ports(demo *d)
{
    char path[DEMO_PATH_BYTES];
    demo_path(d, "ports", path);
    auto_buf sp_buf text = sp_buf_make(256);
    TRY(sp_file_read(path, &text));
    unsigned *const to[] = {&d->port,       &d->lab_port,    &d->code_port, &d->web_port,
                            &d->files_port, &d->orders_port, &d->db_port,   &d->ssh_port,
                            &d->work_port,  &d->host_port};
    sp_span rest = sp_buf_borrow(&text);
    for (size_t i = 0; i < SP_COUNT(to); i++) {
        sp_span word;
        uint64_t port = 0;
        if (!sp_span_split(&rest, ' ', &word)) {
            return sp_fail(SP_ESHORT);
        }
        TRY(sp_span_to_u64(sp_span_trim(word), PORT_MOST, &port));
        *to[i] = (unsigned)port;
    }
    return sp_ok();
}

/* ---- signals ---- */

static volatile sig_atomic_t asked;

static void on_signal(int number)
{
    asked = number;
}

static void take_signals(void)
{
    struct sigaction act = {.sa_handler = on_signal};
    sigemptyset(&act.sa_mask);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* ---- the office ---- */

static bool is_ready(const demo *d)
{
    json_t *status = demo_read_json(d, "sock/status.json");
    const char *state = json_string_value(json_object_get(status, "state"));
    bool ready = state != NULL && sp_span_eq(sp_span_cstr(state), SP_SPAN_LIT("ready")) &&
                 json_integer_value(json_object_get(status, "porter")) == d->office;
    json_decref(status);
    return ready;
}

static bool answers(unsigned port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0;
}

static bool ended(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG) == pid;
}

static sp_err start_office(demo *d)
{
    char program[DEMO_PATH_BYTES];
    char config[DEMO_PATH_BYTES];
    char log[DEMO_PATH_BYTES];
    struct stat before = {0};
    demo_path(d, "program/bin/sallyport", program);
    demo_path(d, "sallyport.yaml", config);
    demo_path(d, "log/sallyport.log", log);
    d->log_from = stat(log, &before) == 0 ? before.st_size : 0;
    const char *const argv[] = {program, "run", "-c", config, NULL};
    TRY(demo_spawn(d, argv, "log/sallyport.log", "/", 0, &d->office));
    uint64_t end_us = sp_now_steady_us() + (uint64_t)START_S * 1000000;
    while (asked == 0 && !is_ready(d)) {
        if (ended(d->office)) {
            d->office = 0;
            return sp_fail(SP_ECLOSED);
        }
        if (sp_now_steady_us() > end_us) {
            return sp_fail(SP_ETIMEOUT);
        }
        usleep(TICK_US);
    }
    return sp_ok();
}

static void wait_apps(const demo *d)
{
    const unsigned ports[DEMO_APPS] = {d->lab_port,    d->code_port, d->web_port,
                                       d->orders_port, d->work_port, d->host_port};
    uint64_t end_us = sp_now_steady_us() + (uint64_t)START_S * 1000000;
    for (size_t i = 0; i < DEMO_APPS; i++) {
        while (asked == 0 && !answers(ports[i])) {
            if (sp_now_steady_us() > end_us) {
                demo_say("the application %s does not answer: see %s/log", demo_app_name(i),
                         d->base);
                break;
            }
            usleep(TICK_US);
        }
    }
}

/* Until Ctrl-C, or the office ends by itself. */
static bool watch(demo *d)
{
    while (asked == 0) {
        usleep(4 * TICK_US);
        if (ended(d->office)) {
            d->office = 0;
            demo_say("the office ended by itself: see %s/log/sallyport.log", d->base);
            return false;
        }
        for (size_t i = 0; i < DEMO_APPS; i++) {
            if (d->apps[i] > 0 && ended(d->apps[i])) {
                d->apps[i] = 0;
                demo_say("the application %s ended: see %s/log", demo_app_name(i), d->base);
            }
        }
    }
    return true;
}

static bool open_office(demo *d, bool guide)
{
    sp_err err = demo_apps_start(d);
    if (!sp_failed(err)) {
        err = start_office(d);
    }
    if (sp_failed(err)) {
        demo_say("the office does not start: the end of %s/log/sallyport.log says why", d->base);
        return false;
    }
    wait_apps(d);
    if (asked == 0 && sp_failed(demo_save_ca(d))) {
        demo_say("the portal shows no certificate: see %s/log/sallyport.log", d->base);
        return false;
    }
    if (asked == 0 && sp_failed(demo_apps_trust(d))) {
        demo_say("the office does not show the authority that its machines trust");
        return false;
    }
    json_t *accounts = asked == 0 ? demo_accounts(d) : NULL;
    if (accounts != NULL && guide) {
        demo_guide(d, accounts);
    }
    json_decref(accounts);
    return accounts != NULL || asked != 0;
}

static int run(demo *d, bool drill)
{
    take_signals();
    bool good = open_office(d, !drill);
    if (good && asked == 0) {
        good = drill ? demo_drill(d) == EXIT_SUCCESS : watch(d);
    }
    if (asked != 0) {
        demo_say("\nstopping ...");
    }
    demo_end(d->office, STOP_S);
    demo_apps_stop(d);
    demo_say("closed; nothing is left running.");
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    sp_span word = sp_span_cstr(argc > 2 ? argv[1] : "");
    demo d = {.base = argc > 2 ? argv[2] : ""};
    if (argc < 3 || sp_failed(sp_crypto_start()) || curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK ||
        sp_failed(read_ports(&d))) {
        fprintf(stderr,
                "usage: sallyport-demo run|drill|attack|code|enrol BASE [NAME] (by demo/run)\n");
        return EXIT_FAILURE;
    }
    if (sp_span_eq(word, SP_SPAN_LIT("run"))) {
        return run(&d, false);
    }
    if (sp_span_eq(word, SP_SPAN_LIT("drill"))) {
        return run(&d, true);
    }
    if (sp_span_eq(word, SP_SPAN_LIT("attack"))) {
        return demo_attack(&d, argc > 3);
    }
    if (sp_span_eq(word, SP_SPAN_LIT("code")) && argc == 4) {
        return demo_code(&d, argv[3]);
    }
    if (sp_span_eq(word, SP_SPAN_LIT("enrol")) && argc >= 4) {
        return demo_enrol(&d, argv[3], argc > 4);
    }
    return EXIT_FAILURE;
}
