/* SPDX-License-Identifier: Apache-2.0
 * Finding people and devices by name.
 * OWNS nothing. PROCESS cli. TRUST none. SPEC cli/find.h.
 */
#include "cli/find.h"

#include "cli/args.h"
#include "cli/table.h"

enum { PATH_MAX_BYTES = 4096 };

static int list_matching(sp_client *client, const char *base, const char *name, json_t **ret_items)
{
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    auto_free char *text = NULL;
    sp_buf_fmt(&path, "%s?q=", base);
    sp_buf_percent(&path, sp_span_cstr(name));
    if (sp_failed(sp_buf_take_cstr(&path, &text))) {
        return SP_EXIT_FAILED;
    }
    return sp_client_list(client, text, ret_items);
}

static bool has(const json_t *object, const char *key, const char *value)
{
    return sp_span_eq(sp_span_cstr(sp_json_text(object, key)), sp_span_cstr(value));
}

int sp_find_person(sp_client *client, const char *name, json_t **ret_person)
{
    json_t *items = NULL;
    int status = list_matching(client, "/api/v1/admin/people", name, &items);
    if (status != SP_EXIT_OK) {
        return status;
    }
    for (size_t i = 0; i < json_array_size(items); i++) {
        if (has(json_array_get(items, i), "name", name)) {
            *ret_person = json_incref(json_array_get(items, i));
        }
    }
    json_decref(items);
    if (*ret_person == NULL) {
        sp_complain("there is no person '%s'. sallyport person list shows all.", name);
        return SP_EXIT_FAILED;
    }
    return SP_EXIT_OK;
}

int sp_find_device(sp_client *client, const char *name, json_t **ret_device)
{
    json_t *items = NULL;
    json_t *found = NULL;
    size_t count = 0;
    int status = sp_client_list(client, "/api/v1/admin/devices", &items);
    if (status != SP_EXIT_OK) {
        return status;
    }
    for (size_t i = 0; i < json_array_size(items); i++) {
        json_t *device = json_array_get(items, i);
        bool by_id = has(device, "id", name);
        if (by_id || has(device, "name", name)) {
            found = device;
            count = by_id ? 1 : count + 1;
        }
        if (by_id) {
            break;
        }
    }
    *ret_device = count == 1 ? json_incref(found) : NULL;
    json_decref(items);
    if (count != 1) {
        sp_complain(count == 0 ? "there is no device '%s'. sallyport device list shows all."
                               : "more than one device is called '%s': name it by its id.",
                    name);
        return SP_EXIT_FAILED;
    }
    return SP_EXIT_OK;
}

int sp_call_on(sp_client *client, const char *method, const char *base, const json_t *object,
               const char *verb, json_t *body, json_t **ret_answer)
{
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    auto_free char *text = NULL;
    sp_buf_fmt(&path, "%s/", base);
    sp_buf_percent(&path, sp_span_cstr(sp_json_text(object, "id")));
    sp_buf_fmt(&path, "/%s", verb);
    if (sp_failed(sp_buf_take_cstr(&path, &text))) {
        json_decref(body);
        return SP_EXIT_FAILED;
    }
    return sp_client_call(client, method, text, body, ret_answer);
}
