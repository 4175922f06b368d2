/* SPDX-License-Identifier: Apache-2.0
 * Values of the bootstrap file: texts, numbers, paths, addresses, and what is said of wrong ones.
 * OWNS nothing. PROCESS porter, every role, cli. TRUST see config.h. SPEC
 * infra/proc/config_parts.h.
 */
#include "infra/proc/config_parts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { PORT_MOST = 65535 };

void config_complain(config_loader *l, struct fy_node *node, const char *text, sp_span quoted)
{
    struct fy_token *token = node != NULL ? fy_node_get_scalar_token(node) : NULL;
    if (token == NULL && l->at != NULL) {
        token = fy_node_get_scalar_token(l->at);
    }
    const struct fy_mark *mark = token != NULL ? fy_token_start_mark(token) : NULL;
    unsigned line = mark != NULL ? (unsigned)mark->line + 1 : 0;
    unsigned column = mark != NULL ? (unsigned)mark->column + 1 : 0;
    sp_span key = SP_SPAN_EMPTY;
    if (l->at != NULL) {
        key.ptr = (const uint8_t *)fy_node_get_scalar(l->at, &key.len);
    }
    const char *mid = key.len > 0 ? ": " : "";
    if (quoted.len > 0) {
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, line, column, "%.*s%s'%.*s' %s",
                     SP_SPAN_ARG(key), mid, SP_SPAN_ARG(quoted), text);
    } else {
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, line, column, "%.*s%s%s", SP_SPAN_ARG(key),
                     mid, text);
    }
}

/* ---- texts, numbers, paths ---- */

bool config_text(config_loader *l, struct fy_node *node, sp_span *ret_text)
{
    size_t len = 0;
    const char *text =
        fy_node_is_scalar(node) && !fy_node_is_alias(node) ? fy_node_get_scalar(node, &len) : NULL;
    if (text == NULL || len == 0 || len > CONFIG_TEXT_MAX_BYTES) {
        config_complain(l, node, "expected a text of 1 to 1024 bytes", SP_SPAN_EMPTY);
        return false;
    }
    sp_span span = sp_span_of(text, len);
    for (size_t i = 0; i < len; i++) {
        if (span.ptr[i] < 0x20 || span.ptr[i] == 0x7f) {
            config_complain(l, node, "holds a control character", SP_SPAN_EMPTY);
            return false;
        }
    }
    if (!sp_span_is_utf8(span)) {
        config_complain(l, node, "is not UTF-8", SP_SPAN_EMPTY);
        return false;
    }
    *ret_text = span;
    return true;
}

void config_keep(config_loader *l, struct fy_node *node, sp_span text, char **to)
{
    sp_free(*to);
    *to = NULL;
    if (sp_failed(sp_strdup(text, to))) {
        config_complain(l, node, "no memory left", SP_SPAN_EMPTY);
    }
}

bool config_number(config_loader *l, struct fy_node *value, uint64_t least, uint64_t most,
                   uint64_t *ret_number)
{
    sp_span text;
    if (!config_text(l, value, &text)) {
        return false;
    }
    if (sp_failed(sp_span_to_u64(text, most, ret_number)) || *ret_number < least) {
        char wanted[80];
        snprintf(wanted, sizeof(wanted), "is not a number from %llu to %llu",
                 (unsigned long long)least, (unsigned long long)most);
        config_complain(l, value, wanted, text);
        return false;
    }
    return true;
}

void config_path(config_loader *l, struct fy_node *value, char **to)
{
    sp_span text;
    if (!config_text(l, value, &text)) {
        return;
    }
    if (text.ptr[0] != '/' || sp_span_find(text, SP_SPAN_LIT("/../")) < text.len) {
        config_complain(l, value, "is not an absolute path without '..'", text);
        return;
    }
    while (text.len > 1 && text.ptr[text.len - 1] == '/') {
        text.len--;
    }
    config_keep(l, value, text, to);
}

/* ---- addresses ---- */

sp_err sp_config_address(const char *listen, struct sockaddr_storage *ret_address,
                         socklen_t *ret_size)
{
    sp_span text = sp_span_cstr(listen);
    bool bracketed = text.len > 0 && text.ptr[0] == '[';
    size_t colon = bracketed ? sp_span_find(text, SP_SPAN_LIT("]:")) + 1 : sp_span_index(text, ':');
    if (colon >= text.len) {
        return sp_fail(SP_EINVALID);
    }
    uint64_t port = 0;
    TRY(sp_span_to_u64(sp_span_slice(text, colon + 1, text.len), PORT_MOST, &port));
    sp_span host = bracketed ? sp_span_slice(text, 1, colon - 1) : sp_span_slice(text, 0, colon);
    char host_text[INET6_ADDRSTRLEN];
    TRY(sp_fit(host_text, sizeof(host_text), host));
    sp_set(ret_address, 0, sizeof(*ret_address));
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (port == 0) {
        return sp_fail(SP_EINVALID);
    }
    if (!bracketed && inet_pton(AF_INET, host_text, &v4.sin_addr) == 1) {
        sp_copy(ret_address, &v4, sizeof(v4));
        *ret_size = sizeof(v4);
        return sp_ok();
    }
    if (bracketed && inet_pton(AF_INET6, host_text, &v6.sin6_addr) == 1) {
        sp_copy(ret_address, &v6, sizeof(v6));
        *ret_size = sizeof(v6);
        return sp_ok();
    }
    return sp_fail(SP_EINVALID);
}

unsigned config_port_of(const char *listen)
{
    uint64_t port = 0;
    const char *colon = strrchr(listen, ':');
    sp_span digits = sp_span_cstr(colon != NULL ? colon + 1 : "");
    return sp_failed(sp_span_to_u64(digits, PORT_MOST, &port)) ? 0 : (unsigned)port;
}

static void read_address(config_loader *l, struct fy_node *item, char **items, size_t *count)
{
    sp_span text;
    if (!config_text(l, item, &text)) {
        return;
    }
    if (*count == SP_LISTEN_MAX) {
        config_complain(l, item, "is one address too many: 16 at most", text);
        return;
    }
    char *copy = NULL;
    config_keep(l, item, text, &copy);
    struct sockaddr_storage address;
    socklen_t size = 0;
    if (copy == NULL || sp_failed(sp_config_address(copy, &address, &size))) {
        config_complain(l, item, "is not an address and port, such as 0.0.0.0:443 or [::]:443",
                        text);
        sp_free(copy);
        return;
    }
    for (size_t i = 0; i < *count; i++) {
        if (sp_span_eq(sp_span_cstr(items[i]), text)) {
            config_complain(l, item, "stands there twice", text);
        }
    }
    items[(*count)++] = copy;
}

void config_addresses(config_loader *l, struct fy_node *value, char **items, size_t *count)
{
    if (!fy_node_is_sequence(value)) {
        read_address(l, value, items, count);
        return;
    }
    void *at = NULL;
    for (struct fy_node *item = fy_node_sequence_iterate(value, &at); item != NULL;
         item = fy_node_sequence_iterate(value, &at)) {
        read_address(l, item, items, count);
    }
}

bool config_is_loopback(const char *text)
{
    struct sockaddr_storage at;
    socklen_t size = 0;
    if (sp_failed(sp_config_address(text, &at, &size))) {
        return false;
    }
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&at;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)&at;
    return at.ss_family == AF_INET ? ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET
                                   : IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) != 0;
}
