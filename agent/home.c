/* SPDX-License-Identifier: Apache-2.0
 * The device's directory and its state.json.
 * OWNS what an sp_agent holds. PROCESS agent. TRUST files are the user's own, read with limits.
 * SPEC agent/agent.h.
 */
#include "agent/agent.h"

#include "infra/proc/file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATE_MAX_BYTES = 16 * 1024 };

static const char *const STATE_WORDS[] = {"new", "pending", "enrolled"};

void sp_agent_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void sp_agent_done(sp_agent *agent)
{
    sp_free(agent->portal);
    sp_free(agent->name);
    sp_free(agent->device);
    if (agent->ticket != NULL) {
        sp_wipe(agent->ticket, strlen(agent->ticket));
    }
    sp_free(agent->ticket);
    sp_free(agent->ca_sha256);
    sp_free(agent->trouble);
}

sp_err sp_agent_set(char **text, sp_span value)
{
    char *copy = NULL;
    TRY(sp_strdup(value, &copy));
    sp_free(*text);
    *text = copy;
    return sp_ok();
}

/* ---- the directory ---- */

static sp_err make_dirs(char *path)
{
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at == '/') {
            *at = '\0';
            sp_err err = sp_dir_make(path, 0700);
            *at = '/';
            TRY(err);
        }
    }
    return sp_dir_make(path, 0700);
}

static sp_err find_dir(sp_agent *agent)
{
    const char *own = getenv("SALLYPORT_AGENT_DIR");
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int len = -1;
    if (own != NULL && own[0] == '/') {
        len = snprintf(agent->dir, sizeof(agent->dir), "%s", own);
    } else if (state != NULL && state[0] == '/') {
        len = snprintf(agent->dir, sizeof(agent->dir), "%s/sallyport", state);
    } else if (home != NULL && home[0] == '/') {
        len = snprintf(agent->dir, sizeof(agent->dir), "%s/.local/state/sallyport", home);
    }
    return len <= 0 || (size_t)len >= sizeof(agent->dir) ? sp_fail(SP_ENOTFOUND) : sp_ok();
}

static bool is_private(const char *dir)
{
    struct stat st;
    return stat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
           (st.st_mode & 077) == 0;
}

sp_err sp_agent_path(const sp_agent *agent, const char *name, char ret_path[SP_AGENT_PATH_BYTES])
{
    int len = snprintf(ret_path, SP_AGENT_PATH_BYTES, "%s/%s", agent->dir, name);
    return len < 0 || len >= SP_AGENT_PATH_BYTES ? sp_fail(SP_ELIMIT) : sp_ok();
}

sp_err sp_agent_read(const sp_agent *agent, const char *name, sp_buf *out)
{
    char path[SP_AGENT_PATH_BYTES];
    TRY(sp_agent_path(agent, name, path));
    return sp_file_read(path, out);
}

sp_err sp_agent_write(const sp_agent *agent, const char *name, sp_span bytes)
{
    char path[SP_AGENT_PATH_BYTES];
    TRY(sp_agent_path(agent, name, path));
    return sp_file_replace(path, 0600, bytes);
}

void sp_agent_remove(const sp_agent *agent, const char *name)
{
    char path[SP_AGENT_PATH_BYTES];
    if (!sp_failed(sp_agent_path(agent, name, path))) {
        unlink(path);
    }
}

sp_err sp_agent_lock(const sp_agent *agent, int *ret_fd)
{
    char path[SP_AGENT_PATH_BYTES];
    TRY(sp_agent_path(agent, "lock", path));
    auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return sp_fail(SP_EIO);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        return sp_fail(errno == EWOULDBLOCK ? SP_EAGAIN : SP_EIO);
    }
    *ret_fd = SP_STEAL_FD(fd);
    return sp_ok();
}

/* ---- state.json ---- */

static sp_err take_text(const json_t *object, const char *name, char **text)
{
    const json_t *value = json_object_get(object, name);
    return sp_agent_set(text, sp_span_of(json_string_value(value), json_string_length(value)));
}

static uint64_t take_number(const json_t *object, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(object, name));
    return value < 0 ? 0 : (uint64_t)value;
}

static sp_err take_state(sp_agent *agent, const json_t *object)
{
    sp_span word = sp_span_cstr(json_string_value(json_object_get(object, "state")));
    agent->state = SP_AGENT_NEW;
    for (size_t i = 0; i < SP_COUNT(STATE_WORDS); i++) {
        if (sp_span_eq(word, sp_span_cstr(STATE_WORDS[i]))) {
            agent->state = (sp_agent_state)i;
        }
    }
    agent->renewed_unix_s = take_number(object, "renewed");
    agent->reported_unix_s = take_number(object, "reported");
    agent->in_browser = json_is_true(json_object_get(object, "in_browser"));
    TRY(take_text(object, "portal", &agent->portal));
    TRY(take_text(object, "name", &agent->name));
    TRY(take_text(object, "device", &agent->device));
    TRY(take_text(object, "ticket", &agent->ticket));
    TRY(take_text(object, "ca_sha256", &agent->ca_sha256));
    return take_text(object, "trouble", &agent->trouble);
}

static sp_err load(sp_agent *agent)
{
    auto_buf sp_buf text = sp_buf_make(STATE_MAX_BYTES);
    sp_err err = sp_agent_read(agent, "state.json", &text);
    if (err.code == SP_ENOTFOUND) {
        return take_state(agent, NULL);
    }
    TRY(err);
    json_t *object = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    sp_buf_wipe(&text);
    err = json_is_object(object) ? take_state(agent, object) : sp_fail(SP_ECORRUPT);
    json_decref(object);
    return err;
}

sp_err sp_agent_open(sp_agent *agent)
{
    sp_err err = find_dir(agent);
    if (sp_failed(err)) {
        sp_agent_say("agent: HOME is not set: set it, or SALLYPORT_AGENT_DIR");
        return err;
    }
    err = make_dirs(agent->dir);
    if (sp_failed(err) || !is_private(agent->dir)) {
        sp_agent_say("agent: %s must be a directory of yours with mode 0700 (%s)", agent->dir,
                     sp_failed(err) ? strerror(errno) : "chmod 700 it, or check its owner");
        return sp_fail(SP_EDENIED);
    }
    err = load(agent);
    if (sp_failed(err)) {
        sp_agent_say("agent: %s/state.json cannot be read (%s): remove it and enroll again",
                     agent->dir, sp_code_word(err.code));
    }
    return err;
}

sp_err sp_agent_save(const sp_agent *agent)
{
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:b}", "state",
                  STATE_WORDS[agent->state], "portal", agent->portal, "name", agent->name, "device",
                  agent->device, "ticket", agent->ticket, "ca_sha256", agent->ca_sha256, "trouble",
                  agent->trouble, "renewed", (json_int_t)agent->renewed_unix_s, "reported",
                  (json_int_t)agent->reported_unix_s, "in_browser", agent->in_browser);
    auto_wiped char *text = object == NULL ? NULL : json_dumps(object, JSON_INDENT(2));
    json_decref(object);
    if (text == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    return sp_agent_write(agent, "state.json", sp_span_cstr(text));
}
