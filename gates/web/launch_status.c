/* SPDX-License-Identifier: Apache-2.0
 * The status page: what core last published, kept beside nginx's files and written as pages that
 * nginx serves by itself, so that staff can read them whatever else is down.
 * OWNS <state>/web/status. PROCESS web role. TRUST core; a kept file that is damaged is as none.
 * SPEC docs/OPERATIONS.md "Status page".
 */
#include "gates/web/launch.h"
#include "infra/proc/clock.h"
#include "infra/proc/file.h"
#include "infra/proc/log.h"
#include "lib/proto/msg.h"
#include "lib/web/status_page.h"

enum { KEPT_MAX_BYTES = SP_MSG_MAX_BYTES };

static void write_file(const launcher *self, const char *name, sp_span bytes)
{
    char path[LAUNCH_PATH_BYTES];
    launch_path(self, name, path);
    sp_err err = sp_file_replace(path, 0600, bytes);
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "the status page %s cannot be written: %s", path,
               sp_code_word(err.code));
    }
}

static void write_pages(launcher *self)
{
    static const struct {
        const char *name;
        bool chinese;
        void (*write)(const sp_web_status *status, sp_buf *out);
    } pages[] = {{"status/en.html", false, sp_web_status_html},
                 {"status/zh.html", true, sp_web_status_html},
                 {"status/status.json", false, sp_web_status_json}};
    sp_status_page page = {.count = 0};
    if (self->status.len > 0 &&
        sp_failed(sp_status_page_read(sp_buf_borrow(&self->status), &page))) {
        page = (sp_status_page){.count = 0};
    }
    for (size_t i = 0; i < SP_COUNT(pages); i++) {
        auto_buf sp_buf text = sp_buf_make(SP_STATUS_PAGE_MAX_BYTES);
        const sp_web_status status = {.page = &page,
                                      .office = sp_span_cstr(self->config->office),
                                      .away_since_unix_s = self->away_since_unix_s,
                                      .chinese = pages[i].chinese};
        pages[i].write(&status, &text);
        write_file(self, pages[i].name, sp_buf_borrow(&text));
    }
}

void launch_status_told(launcher *self, sp_span body)
{
    sp_status_page page;
    if (sp_failed(sp_status_page_read(body, &page))) {
        sp_log(SP_LOG_WARN, "core told a status that cannot be read");
        return;
    }
    sp_buf_reset(&self->status);
    sp_buf_span(&self->status, body);
    write_file(self, "status/told", body);
    write_pages(self);
}

void launch_status_core(launcher *self, bool there)
{
    uint64_t now_s = sp_now_unix_us() / 1000000;
    uint64_t since = there ? 0 : (self->away_since_unix_s != 0 ? self->away_since_unix_s : now_s);
    if (since != self->away_since_unix_s) {
        self->away_since_unix_s = since;
        write_pages(self);
    }
}

void launch_status_start(launcher *self)
{
    char path[LAUNCH_PATH_BYTES];
    self->status = sp_buf_make(KEPT_MAX_BYTES);
    launch_path(self, "status/told", path);
    if (sp_failed(sp_file_read(path, &self->status))) {
        sp_buf_reset(&self->status);
    }
    write_pages(self);
}
