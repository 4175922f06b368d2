/* SPDX-License-Identifier: Apache-2.0
 * Cookies on the wire.
 * OWNS nothing. PROCESS web gate, core. TRUST headers are hostile. SPEC lib/web/cookie.h.
 *
 * Names are compared without regard to case: browsers protect the __Host- prefix that way, and an
 * upstream that folds case must not find ours under another spelling.
 */
#include "lib/web/cookie.h"

#include "lib/base/mem.h"

static bool is_ours(sp_span pair)
{
    sp_span name = sp_span_trim(sp_span_slice(pair, 0, sp_span_index(pair, '=')));
    return sp_span_eq_nocase(name, SP_SPAN_LIT(SP_WEB_COOKIE_NAME));
}

/* All names that begin like ours: the session's, and the one that shows the way into it. */
static bool is_kept_apart(sp_span pair)
{
    sp_span name = sp_span_trim(sp_span_slice(pair, 0, sp_span_index(pair, '=')));
    sp_span head = SP_SPAN_LIT(SP_WEB_COOKIE_NAME);
    return sp_span_eq_nocase(sp_span_slice(name, 0, head.len), head);
}

void sp_web_cookie_find(sp_span header, sp_web_cookie *found)
{
    sp_span rest = header;
    sp_span pair;
    while (sp_span_split(&rest, ';', &pair)) {
        if (is_ours(pair)) {
            size_t equals = sp_span_index(pair, '=');
            found->value = sp_span_trim(sp_span_slice(pair, equals + 1, pair.len));
            found->count++;
        }
    }
}

bool sp_web_cookie_is_good(const sp_web_cookie *cookie)
{
    if (cookie->count != 1 || cookie->value.len != SP_WEB_COOKIE_BYTES) {
        return false;
    }
    for (size_t i = 0; i < cookie->value.len; i++) {
        uint8_t c = cookie->value.ptr[i];
        if (!sp_is_alnum(c) && c != '-' && c != '_') {
            return false;
        }
    }
    return true;
}

sp_span sp_web_cookie_strip(sp_span header, uint8_t *room)
{
    size_t len = 0;
    sp_span rest = header;
    sp_span pair;
    while (sp_span_split(&rest, ';', &pair)) {
        sp_span kept = sp_span_trim(pair);
        if (kept.len == 0 || is_kept_apart(pair)) {
            continue;
        }
        if (len > 0) {
            room[len++] = ';';
            room[len++] = ' ';
        }
        sp_copy(room + len, kept.ptr, kept.len);
        len += kept.len;
    }
    return (sp_span){room, len};
}

bool sp_web_cookie_is_set(sp_span set_cookie)
{
    return is_kept_apart(sp_span_slice(set_cookie, 0, sp_span_index(set_cookie, ';')));
}
