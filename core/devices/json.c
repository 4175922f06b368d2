/* SPDX-License-Identifier: Apache-2.0
 * A device as the API shows it.
 * OWNS nothing. PROCESS core. TRUST rows hold texts of devices: JSON escapes them.
 * SPEC docs/api/openapi.yaml "Device".
 */
#include "core/http/json.h"
#include "core/devices/devices.h"
#include "core/identity/people.h"

static const char *state_word(uint8_t state)
{
    static const char *const words[] = {"free", "pending", "active", "quarantined", "revoked"};
    _Static_assert(SP_COUNT(words) == SP_DEVICE_COUNT, "a word for each state");
    return words[state < SP_DEVICE_COUNT ? state : SP_DEVICE_FREE];
}

static json_t *time_or_null(uint64_t when_unix_s)
{
    return when_unix_s == 0 ? json_null() : sp_json_time(when_unix_s);
}

static json_t *hex_of(sp_span bytes)
{
    auto_buf sp_buf hex = sp_buf_make(128);
    sp_buf_hex(&hex, bytes);
    return sp_json_span(sp_buf_borrow(&hex));
}

static json_t *person_of(const sp_core *core, uint32_t id)
{
    sp_person person;
    if (sp_failed(sp_people_get(core->store, id, &person))) {
        return json_pack("{s:o,s:s,s:s}", "id", sp_json_id(id), "name", "", "display_name", "");
    }
    return json_pack("{s:o,s:s,s:s}", "id", sp_json_id(id), "name", person.name, "display_name",
                     person.display);
}

static json_t *stored_json(sp_span text, json_t *otherwise)
{
    json_t *value = json_loadb((const char *)text.ptr, text.len, JSON_DECODE_ANY, NULL);
    if (value == NULL) {
        return otherwise;
    }
    json_decref(otherwise);
    return value;
}

static void set_certificate(json_t *object, sp_core *core, const sp_device *device,
                            const sp_hash *current)
{
    auto_arena sp_arena arena = sp_arena_make(64 * 1024);
    sp_device_cert cert;
    bool has = !sp_failed(sp_cert_current(core->store, device->id, &arena, &cert));
    json_object_set_new(object, "certificate_expires_at",
                        has ? sp_json_time(cert.not_after_unix_s) : json_null());
    if (has) {
        json_object_set_new(object, "fingerprint", hex_of(sp_hash_borrow(&cert.fingerprint)));
    }
    bool here = has && current != NULL && sp_hash_eq(current, &cert.fingerprint);
    json_object_set_new(object, "current", json_boolean(here));
}

json_t *sp_device_json(sp_core *core, const sp_device *device, const sp_hash *current)
{
    json_t *object = json_object();
    json_object_set_new(object, "id", sp_json_id(device->id));
    json_object_set_new(object, "name", sp_json_span(device->name));
    json_object_set_new(object, "state", json_string(state_word(device->state)));
    json_object_set_new(object, "why", sp_json_span(device->why));
    json_object_set_new(object, "cloned", json_boolean(device->cloned));
    json_object_set_new(object, "owner", json_string(sp_owner_word((sp_owner)device->owner)));
    json_object_set_new(object, "posture",
                        json_string(sp_posture_word((sp_posture)device->posture)));
    json_object_set_new(object, "posture_at", time_or_null(device->posture_unix_s));
    json_object_set_new(object, "checks", stored_json(device->checks, json_array()));
    json_object_set_new(object, "person", person_of(core, device->person));
    json_object_set_new(object, "platform",
                        stored_json(device->platform, json_pack("{s:s}", "os", "unknown")));
    json_object_set_new(object, "key_storage", sp_json_span(device->key_storage));
    json_object_set_new(object, "key_fingerprint", hex_of(device->key_hash));
    json_object_set_new(object, "created_at", sp_json_time(device->created_unix_s));
    json_object_set_new(object, "seen_at", time_or_null(device->seen_unix_s));
    json_object_set_new(object, "decided_by", sp_json_span(device->decided_by));
    set_certificate(object, core, device, current);
    return object;
}

enum { CURSOR_BYTES = 256 };

typedef struct {
    sp_request *req;
    const sp_device_filter *filter;
    json_t *items;
    sp_hash current;
    bool has_current;
    uint64_t limit;
    sp_buf last; /* the place of the last one taken: "1.17.thinkpad" */
    bool more;
} list_walk;

static bool passes(const sp_device *device, const sp_device_filter *filter)
{
    return (filter->person == 0 || filter->person == device->person) &&
           (filter->state == SP_DEVICE_FREE || filter->state == device->state) &&
           (filter->name.len == 0 || sp_span_find(device->name, filter->name) < device->name.len);
}

static bool list_device(void *self, const sp_device *device)
{
    list_walk *walk = self;
    if (!passes(device, walk->filter)) {
        return true;
    }
    if (json_array_size(walk->items) >= walk->limit) {
        walk->more = true;
        return false;
    }
    sp_buf_reset(&walk->last);
    sp_buf_fmt(&walk->last, "%u.%llu.", device->state == SP_DEVICE_PENDING ? 0U : 1U,
               (unsigned long long)device->id);
    sp_buf_span(&walk->last, device->name);
    json_array_append_new(walk->items, sp_device_json(sp_request_core(walk->req), device,
                                                      walk->has_current ? &walk->current : NULL));
    return true;
}

static bool read_place(sp_span cursor, sp_device_place *ret_place)
{
    sp_span rest = cursor;
    sp_span rank = SP_SPAN_EMPTY;
    sp_span id = SP_SPAN_EMPTY;
    uint64_t number = 0;
    *ret_place = (sp_device_place){.name = SP_SPAN_EMPTY};
    if (cursor.len == 0) {
        return true;
    }
    if (!sp_span_split(&rest, '.', &rank) || !sp_span_split(&rest, '.', &id) ||
        sp_failed(sp_span_to_u64(rank, 1, &number)) ||
        sp_failed(sp_span_to_u64(id, INT64_MAX, &ret_place->id))) {
        return false;
    }
    ret_place->rank = (uint8_t)number;
    ret_place->name = rest;
    return true;
}

static void answer_list(sp_request *req, list_walk *walk, sp_err err)
{
    auto_free char *next = NULL;
    if (!sp_failed(err) && walk->more) {
        err = sp_buf_take_cstr(&walk->last, &next);
    }
    if (sp_failed(err)) {
        json_decref(walk->items);
        sp_answer_failed(req, err);
        return;
    }
    sp_answer_page(req, walk->items, next);
}

void sp_devices_answer(sp_request *req, const sp_device_filter *filter)
{
    list_walk walk = {.req = req, .filter = filter, .last = sp_buf_make(CURSOR_BYTES)};
    sp_device_place place;
    if (!read_place(sp_request_query(req, "cursor"), &place)) {
        sp_answer_invalid(req, "cursor", "the value of next");
        return;
    }
    if (!sp_request_limit(req, &walk.limit)) {
        return;
    }
    walk.items = json_array();
    walk.has_current = sp_request_certificate(req, &walk.current);
    sp_err err = sp_device_after(sp_request_core(req)->store, &place, list_device, &walk);
    answer_list(req, &walk, err);
    sp_buf_done(&walk.last);
}

/* A person has few: all at once. */
void sp_devices_answer_own(sp_request *req, uint32_t person)
{
    const sp_device_filter all = {.person = person};
    list_walk walk = {.req = req,
                      .filter = &all,
                      .items = json_array(),
                      .limit = UINT64_MAX,
                      .last = sp_buf_make(CURSOR_BYTES)};
    walk.has_current = sp_request_certificate(req, &walk.current);
    sp_err err = sp_device_each_of(sp_request_core(req)->store, person, list_device, &walk);
    answer_list(req, &walk, err);
    sp_buf_done(&walk.last);
}
