/* SPDX-License-Identifier: Apache-2.0
 * Running programs of this computer.
 * OWNS the child until it ended. PROCESS cli. TRUST cli/here.h. SPEC posix_spawnp(3).
 */
#include "cli/here.h"

#include "cli/args.h"
#include "infra/proc/file.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIGNAL_BASE = 128, NOT_FOUND = 127, STATE_MAX_BYTES = 64 * 1024 };

extern char **environ;

bool sp_agent_dir(char ret_dir[SP_PATH_BYTES])
{
    const char *own = getenv("SALLYPORT_AGENT_DIR");
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int len = -1;
    if (own != NULL && own[0] == '/') {
        len = snprintf(ret_dir, SP_PATH_BYTES, "%s", own);
    } else if (state != NULL && state[0] == '/') {
        len = snprintf(ret_dir, SP_PATH_BYTES, "%s/sallyport", state);
    } else if (home != NULL && home[0] == '/') {
        len = snprintf(ret_dir, SP_PATH_BYTES, "%s/.local/state/sallyport", home);
    }
    return len > 0 && len < SP_PATH_BYTES;
}

static bool path_in(char to[SP_PATH_BYTES], const char *dir, const char *name)
{
    int len = snprintf(to, SP_PATH_BYTES, "%s/%s", dir, name);
    return len > 0 && len < SP_PATH_BYTES;
}

static bool is_of(const char *dir, const char *url)
{
    char path[SP_PATH_BYTES];
    auto_buf sp_buf text = sp_buf_make(STATE_MAX_BYTES);
    if (!path_in(path, dir, "state.json") || sp_failed(sp_file_read(path, &text))) {
        return false;
    }
    sp_span bytes = sp_buf_borrow(&text);
    json_t *state = json_loadb((const char *)bytes.ptr, bytes.len, 0, NULL);
    const char *portal = json_string_value(json_object_get(state, "portal"));
    bool same = portal != NULL && sp_same(portal, url);
    json_decref(state);
    return same;
}

bool sp_agent_device(const char *url, char ret_cert[SP_PATH_BYTES], char ret_key[SP_PATH_BYTES])
{
    char dir[SP_PATH_BYTES];
    return sp_agent_dir(dir) && path_in(ret_cert, dir, "device.pem") &&
           path_in(ret_key, dir, "device.key") && access(ret_cert, R_OK) == 0 &&
           access(ret_key, R_OK) == 0 && (url == NULL || is_of(dir, url));
}

bool sp_is_local(const char *host)
{
    return sp_span_ends(sp_span_cstr(host), SP_SPAN_LIT(".localhost"));
}

int sp_run_program(const char *program, const char *package, char *const argv[])
{
    pid_t pid = 0;
    int status = 0;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction interrupt;
    struct sigaction quit;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGQUIT);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    sigaction(SIGINT, &ignore, &interrupt); /* psql cancels a statement by them */
    sigaction(SIGQUIT, &ignore, &quit);
    int err = posix_spawnp(&pid, program, NULL, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    if (err != 0) {
        sp_complain("%s cannot be started: %s. It is in the package %s", program, strerror(err),
                    package);
        status = NOT_FOUND << 8;
    } else {
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    }
    sigaction(SIGINT, &interrupt, NULL);
    sigaction(SIGQUIT, &quit, NULL);
    return WIFEXITED(status) ? WEXITSTATUS(status) : SIGNAL_BASE + WTERMSIG(status);
}
