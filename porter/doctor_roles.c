/* SPDX-License-Identifier: Apache-2.0
 * Doctor looks at the running roles: what the porter says of them, and what the kernel does.
 * OWNS nothing. PROCESS cli. TRUST status.json repeats roles' own words; what counts is /proc.
 * SPEC proc(5), docs/OPERATIONS.md "Doctor".
 */
#include "infra/proc/file.h"
#include "infra/proc/sandbox.h"
#include "porter/doctor.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { STATUS_MAX_BYTES = 64 * 1024, RESTARTS_WARN = 3 };

/* ---- the porter ---- */

/* The lock is held by a live porter only: the kernel takes it from a dead one. */
static bool is_held(const char *path)
{
    auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0;
}

static json_t *read_status(const sp_config *config)
{
    auto_buf sp_buf path = sp_buf_make(2048);
    sp_buf_fmt(&path, "%s/status.json", config->run_dir);
    auto_free char *name = NULL;
    auto_buf sp_buf text = sp_buf_make(STATUS_MAX_BYTES);
    if (sp_failed(sp_buf_take_cstr(&path, &name)) || sp_failed(sp_file_read(name, &text))) {
        return NULL;
    }
    sp_span bytes = sp_buf_borrow(&text);
    return json_loadb((const char *)bytes.ptr, bytes.len, 0, NULL);
}

static const char *word_in(const json_t *object, const char *key)
{
    const char *word = json_string_value(json_object_get(object, key));
    return word != NULL ? word : "";
}

/* ---- what the kernel says of a process ---- */

typedef struct {
    bool found;
    uint64_t uid;
    uint64_t seccomp;
    uint64_t no_new_privs;
    uint64_t parent;
    char caps[24];
    char name[24];
} process;

static uint64_t first_number(sp_span text)
{
    sp_span word;
    uint64_t number = UINT64_MAX;
    text = sp_span_trim(text);
    if (!sp_span_split(&text, '\t', &word) || sp_failed(sp_span_to_u64(word, INT64_MAX, &number))) {
        return UINT64_MAX;
    }
    return number;
}

static void read_line(process *p, sp_span key, sp_span value)
{
    if (sp_span_eq(key, SP_SPAN_LIT("Uid"))) {
        p->uid = first_number(value);
    } else if (sp_span_eq(key, SP_SPAN_LIT("PPid"))) {
        p->parent = first_number(value);
    } else if (sp_span_eq(key, SP_SPAN_LIT("Seccomp"))) {
        p->seccomp = first_number(value);
    } else if (sp_span_eq(key, SP_SPAN_LIT("NoNewPrivs"))) {
        p->no_new_privs = first_number(value);
    } else if (sp_span_eq(key, SP_SPAN_LIT("CapEff"))) {
        SP_IGNORE(sp_fit(p->caps, sizeof(p->caps), sp_span_trim(value))); /* empty is not zero */
    } else if (sp_span_eq(key, SP_SPAN_LIT("Name"))) {
        SP_IGNORE(sp_fit(p->name, sizeof(p->name), sp_span_trim(value)));
    }
}

static process read_process(uint64_t pid)
{
    process p = {0};
    char path[64];
    snprintf(path, sizeof(path), "/proc/%llu/status", (unsigned long long)pid);
    auto_buf sp_buf text = sp_buf_make(STATUS_MAX_BYTES);
    if (pid == 0 || sp_failed(sp_file_read(path, &text))) {
        return p;
    }
    p.found = true;
    sp_span rest = sp_buf_borrow(&text);
    sp_span line;
    while (sp_span_split(&rest, '\n', &line)) {
        size_t colon = sp_span_index(line, ':');
        read_line(&p, sp_span_slice(line, 0, colon), sp_span_slice(line, colon + 1, line.len));
    }
    return p;
}

static bool is_caged(const process *p)
{
    return p->seccomp == 2 && p->no_new_privs == 1 && strcmp(p->caps, "0000000000000000") == 0;
}

/* Calls visit for every process that is as wanted. */
static void each_process(doctor *d, bool (*wanted)(const process *p, uint64_t word), uint64_t word,
                         void (*visit)(doctor *d, uint64_t pid, const process *p))
{
    DIR *proc = opendir("/proc");
    for (const struct dirent *entry = proc != NULL ? readdir(proc) : NULL; entry != NULL;
         entry = readdir(proc)) {
        uint64_t pid = 0;
        if (sp_failed(sp_span_to_u64(sp_span_cstr(entry->d_name), INT32_MAX, &pid))) {
            continue;
        }
        process p = read_process(pid);
        if (p.found && wanted(&p, word)) {
            visit(d, pid, &p);
        }
    }
    if (proc != NULL) {
        closedir(proc);
    }
}

/* ---- roles ---- */

static void judge(doctor *d, const char *what, uint64_t pid, const process *p, uid_t uid,
                  const char *sandbox)
{
    if (p->uid != uid) {
        doctor_say(d, DOCTOR_BAD, "roles", "stop the office and look at users:",
                   "%s (process %llu) runs as user %llu, not %u", what, (unsigned long long)pid,
                   (unsigned long long)p->uid, (unsigned)uid);
    }
    if (!is_caged(p)) {
        doctor_say(d, DOCTOR_BAD, "roles", "its log says what its sandbox lacks; do not go on so",
                   "%s (process %llu) is not locked in: Seccomp %llu, NoNewPrivs %llu, CapEff %s",
                   what, (unsigned long long)pid, (unsigned long long)p->seccomp,
                   (unsigned long long)p->no_new_privs, p->caps);
        return;
    }
    if (strstr(sandbox, "landlock=none") != NULL) {
        doctor_say(d, DOCTOR_WARN, "roles", "a kernel with Landlock (5.13 or later) confines files",
                   "%s (process %llu): no Landlock on this kernel", what, (unsigned long long)pid);
    }
    doctor_say(d, DOCTOR_GOOD, "roles", NULL, "%s: process %llu, user %llu, %s", what,
               (unsigned long long)pid, (unsigned long long)p->uid,
               sandbox[0] != '\0' ? sandbox : "seccomp filter, no new privileges, no capability");
}

static bool is_child_of(const process *p, uint64_t parent)
{
    return p->parent == parent;
}

static void judge_nginx(doctor *d, uint64_t pid, const process *p)
{
    judge(d, p->name, pid, p, d->config->uids[SP_ROLE_WEB], "");
    if (p->parent == (uint64_t)d->web) {
        each_process(d, is_child_of, pid, judge_nginx);
    }
}

static void look_at_role(doctor *d, sp_role_kind role, const json_t *entry)
{
    const char *state = word_in(entry, "state");
    const char *reason = word_in(entry, "last_end");
    uint64_t pid = (uint64_t)json_integer_value(json_object_get(entry, "pid"));
    long long restarts = (long long)json_integer_value(json_object_get(entry, "restarts"));
    process p = read_process(pid);
    if (!p.found || strcmp(state, "ready") != 0) {
        doctor_say(d, DOCTOR_BAD, "roles", "its lines in the log say why", "%s is %s%s%s",
                   sp_role_word(role), state, reason[0] != '\0' ? ": it " : "", reason);
        return;
    }
    judge(d, sp_role_word(role), pid, &p, d->config->uids[role], word_in(entry, "sandbox"));
    if (restarts > 0) {
        doctor_say(d, restarts >= RESTARTS_WARN ? DOCTOR_WARN : DOCTOR_GOOD, "roles",
                   "its lines in the log say why",
                   "%s was started again %lld times; the last it %s", sp_role_word(role), restarts,
                   reason);
    }
    if (word_in(entry, "status")[0] != '\0') {
        doctor_say(d, DOCTOR_GOOD, "roles", NULL, "%s says: %s", sp_role_word(role),
                   word_in(entry, "status"));
    }
    if (role == SP_ROLE_WEB) {
        d->web = (pid_t)pid;
        each_process(d, is_child_of, pid, judge_nginx);
    }
}

static sp_role_kind role_of(const char *word)
{
    sp_role_kind role = SP_ROLE_CORE;
    while (role < SP_ROLE_COUNT && strcmp(sp_role_word(role), word) != 0) {
        role++;
    }
    return role;
}

/* Without a porter: roles that systemd started carry the name that their sandbox gave them. */
static bool has_role_name(const process *p, uint64_t unused)
{
    (void)unused;
    return strncmp(p->name, "sp-", 3) == 0 && role_of(p->name + 3) < SP_ROLE_COUNT;
}

static void judge_unit(doctor *d, uint64_t pid, const process *p)
{
    sp_role_kind role = role_of(p->name + 3);
    if (p->uid != d->config->uids[role]) {
        return; /* of another office on this machine */
    }
    judge(d, sp_role_word(role), pid, p, d->config->uids[role], "");
    if (role == SP_ROLE_WEB) {
        d->web = (pid_t)pid;
        each_process(d, is_child_of, pid, judge_nginx);
    }
}

static void count_unit(doctor *d, uint64_t pid, const process *p)
{
    sp_role_kind role = role_of(p->name + 3);
    (void)pid;
    if (p->uid == d->config->uids[role]) {
        d->units |= 1U << role;
    }
}

/* No porter: then systemd runs all roles, or nobody should. */
static void judge_units(doctor *d)
{
    each_process(d, has_role_name, 0, count_unit);
    if (d->units == 0) {
        doctor_say(
            d, DOCTOR_WARN, "office",
            "sallyport run -c FILE starts it; under systemd: systemctl start sallyport.target",
            "nobody runs this office (%s)", d->config->file);
        return;
    }
    bool whole = true;
    for (sp_role_kind role = SP_ROLE_CORE; role < SP_ROLE_COUNT; role++) {
        if (sp_config_has_role(d->config, role) && (d->units & (1U << role)) == 0) {
            whole = false;
            doctor_say(d, DOCTOR_BAD, "office", "journalctl says why", "%s does not run",
                       sp_role_word(role));
        }
    }
    if (whole) {
        doctor_say(d, DOCTOR_GOOD, "office", NULL, "%s is open, its roles run under systemd",
                   d->config->office);
    }
}

void doctor_porter(doctor *d)
{
    d->running = is_held(d->config->run_dir) && is_held(d->config->state_dir);
    json_t *status = read_status(d->config);
    const char *state = word_in(status, "state");
    if (!d->running) {
        judge_units(d);
    } else if (strcmp(state, "ready") == 0) {
        doctor_say(d, DOCTOR_GOOD, "office", NULL, "%s is open, porter %lld, version %s",
                   d->config->office,
                   (long long)json_integer_value(json_object_get(status, "porter")),
                   word_in(status, "version"));
    } else {
        doctor_say(d, DOCTOR_BAD, "office", "the roles below say why", "%s is %s",
                   d->config->office, state[0] != '\0' ? state : "starting");
    }
    json_decref(status);
}

void doctor_roles(doctor *d)
{
    if (sp_sandbox_landlock_abi() == 0) {
        doctor_say(d, DOCTOR_WARN, "roles", "boot a kernel with Landlock (lsm=landlock,...)",
                   "this kernel has no Landlock: files are guarded by users and modes only");
    }
    if (!d->running) {
        each_process(d, has_role_name, 0, judge_unit);
        return;
    }
    json_t *status = read_status(d->config);
    const json_t *roles = json_object_get(status, "roles");
    for (size_t i = 0; i < json_array_size(roles); i++) {
        const json_t *entry = json_array_get(roles, i);
        sp_role_kind role = role_of(word_in(entry, "role"));
        if (role < SP_ROLE_COUNT) {
            look_at_role(d, role, entry);
        }
    }
    json_decref(status);
}
