/* SPDX-License-Identifier: Apache-2.0
 * <run>/status.json: how the roles are, for doctor and for people.
 * OWNS nothing. PROCESS porter. TRUST a role's own words are escaped; nothing secret is in it.
 * SPEC docs/OPERATIONS.md "Health".
 */
#include "infra/proc/clock.h"
#include "infra/proc/file.h"
#include "infra/proc/log.h"
#include "porter/porter.h"

#include <unistd.h>

enum { STATUS_MAX_BYTES = 64 * 1024, EVERY_US = 200 * 1000 };

static sp_err path_of(const sp_config *config, char **ret_path)
{
    auto_buf sp_buf path = sp_buf_make(2048);
    sp_buf_fmt(&path, "%s/status.json", config->run_dir);
    return sp_buf_take_cstr(&path, ret_path);
}

static void put_text(sp_buf *out, const char *name, const char *text)
{
    sp_buf_fmt(out, ",\"%s\":", name);
    sp_buf_json(out, sp_span_cstr(text));
}

static void put_role(sp_buf *out, const porter_role *role)
{
    sp_buf_fmt(out, "{\"role\":\"%s\",\"state\":\"%s\",\"pid\":%d,\"restarts\":%u,\"since\":%llu",
               sp_role_word(role->kind), porter_state_word(role->state), (int)role->pid,
               role->restarts, (unsigned long long)role->changed_unix_s);
    put_text(out, "status", role->status);
    put_text(out, "sandbox", role->sandbox);
    put_text(out, "last_end", role->reason);
    sp_buf_text(out, "}");
}

static const char *office_word(const porter *p)
{
    if (p->stopping) {
        return "stopping";
    }
    for (size_t i = 0; i < p->roles_count; i++) {
        if (p->roles[i].state != PORTER_READY) {
            return p->ready_once ? "degraded" : "starting";
        }
    }
    return "ready";
}

void porter_status_write(porter *p, uint64_t now_us, bool force)
{
    if (!p->dirty || (!force && now_us - p->status_written_us < EVERY_US)) {
        return;
    }
    auto_buf sp_buf out = sp_buf_make(STATUS_MAX_BYTES);
    sp_buf_fmt(&out, "{\"version\":\"" SP_VERSION "\",\"porter\":%d,\"state\":\"%s\",\"now\":%llu",
               (int)getpid(), office_word(p), (unsigned long long)(sp_now_unix_us() / 1000000));
    put_text(&out, "config", p->config->file);
    sp_buf_text(&out, ",\"roles\":[");
    for (size_t i = 0; i < p->roles_count; i++) {
        sp_buf_text(&out, i > 0 ? "," : "");
        put_role(&out, &p->roles[i]);
    }
    sp_buf_text(&out, "]}\n");
    auto_free char *path = NULL;
    sp_err err = path_of(p->config, &path);
    if (!sp_failed(err)) {
        err = sp_file_replace(path, 0644, sp_buf_borrow(&out));
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "%s/status.json cannot be written: %s", p->config->run_dir,
               sp_code_word(err.code));
    }
    p->dirty = false;
    p->status_written_us = now_us;
}

void porter_status_remove(const sp_config *config)
{
    auto_free char *path = NULL;
    if (!sp_failed(path_of(config, &path))) {
        unlink(path);
    }
}
