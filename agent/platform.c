/* SPDX-License-Identifier: Apache-2.0
 * What this computer is.
 * OWNS nothing. PROCESS agent. TRUST see platform.h. SPEC os-release(5), uname(2).
 */
#include "agent/platform.h"

#include "infra/proc/file.h"

#include <sys/utsname.h>

enum { OS_RELEASE_MAX_BYTES = 8 * 1024, TEXT_MAX_BYTES = 63 };

/* The value of a key of os-release, without its quotes; empty when it is not there. */
static sp_span value_of(sp_span text, sp_span key)
{
    sp_span line;
    while (sp_span_split(&text, '\n', &line)) {
        if (sp_span_starts(line, key)) {
            sp_span value = sp_span_trim(sp_span_slice(line, key.len, line.len));
            bool quoted = value.len >= 2 && (value.ptr[0] == '"' || value.ptr[0] == '\'') &&
                          value.ptr[value.len - 1] == value.ptr[0];
            return quoted ? sp_span_slice(value, 1, value.len - 1) : value;
        }
    }
    return SP_SPAN_EMPTY;
}

static void set_text(json_t *object, const char *name, sp_span text)
{
    text = sp_span_cut(text, TEXT_MAX_BYTES);
    if (text.len > 0) {
        json_object_set_new(object, name, json_stringn((const char *)text.ptr, text.len));
    }
}

json_t *sp_platform_json(void)
{
    struct utsname name = {0};
    auto_buf sp_buf os_release = sp_buf_make(OS_RELEASE_MAX_BYTES);
    json_t *object = json_pack("{s:s, s:s}", "os", "linux", "agent", SP_VERSION);
    if (object == NULL) {
        return NULL;
    }
    if (!sp_failed(sp_file_read("/etc/os-release", &os_release))) {
        set_text(object, "version",
                 value_of(sp_buf_borrow(&os_release), SP_SPAN_LIT("PRETTY_NAME=")));
    }
    if (uname(&name) == 0) {
        set_text(object, "arch", sp_span_cstr(name.machine));
        set_text(object, "hostname", sp_span_cstr(name.nodename));
    }
    return object;
}
