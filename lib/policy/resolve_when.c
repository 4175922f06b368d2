/* SPDX-License-Identifier: Apache-2.0
 * Conditions of time and place: hours, days, zones, networks, and points in time.
 * OWNS nothing. PROCESS core, cli. TRUST texts passed the schema; their form is checked here.
 * SPEC RFC 3339, RFC 4632, RFC 4291.
 */
#include "lib/policy/schema.h"
#include "lib/policy/set.h"

enum { ALL_DAYS = 0x7f, DAY_MINUTES = 1440 };

/* ---- addresses ---- */

static sp_err parse_range(sp_span text, snap_range *ret_range, const char **ret_fault)
{
    sp_address_range range;
    sp_err err = sp_address_range_parse(text, &range);
    if (sp_failed(err)) {
        *ret_fault = err.code == SP_ECONFLICT
                         ? "the address has bits beyond the length of the network; clear them, or "
                           "write a longer one"
                         : "not an address or a network; write 203.0.113.0/24 or 2001:db8::/32";
        return err;
    }
    ret_range->bits = range.bits;
    sp_copy(ret_range->address, range.address, sizeof(ret_range->address));
    return sp_ok();
}

static sp_err put_ranges(compiling *c, const char *file, const doc_texts *networks)
{
    for (size_t i = 0; i < networks->count; i++) {
        const doc_text *text = &networks->items[i];
        snap_range parsed = {0};
        const char *fault = NULL;
        if (sp_failed(parse_range(text->text, &parsed, &fault))) {
            sp_diags_add(c->diags, SP_DIAG_ERROR, file, text->line, text->column, "'%.*s': %s",
                         SP_SPAN_ARG(text->text), fault);
            continue;
        }
        snap_range *room = NULL;
        TRY(vec_add(&c->set->sections[SNAP_RANGES], 1, &room));
        *room = parsed;
    }
    return sp_ok();
}

/* A key in the arena, for tables of things that are stored once. */
static sp_err keep(sp_policy_set *set, sp_buf *key, sp_span *ret_key)
{
    TRY(sp_buf_error(key));
    return sp_arena_copy(&set->arena, sp_buf_borrow(key), ret_key);
}

sp_err set_network(compiling *c, const char *file, const doc_when *when, uint32_t *ret_network)
{
    sp_policy_set *set = c->set;
    *ret_network = SP_NONE;
    if (when->networks.count == 0) {
        return sp_ok();
    }
    auto_buf sp_buf key = sp_buf_make((size_t)1 << 21);
    for (size_t i = 0; i < when->networks.count; i++) {
        sp_buf_span(&key, when->networks.items[i].text);
        sp_buf_byte(&key, ' ');
    }
    TRY(sp_buf_error(&key));
    if (name_get(&set->networks, sp_buf_borrow(&key), ret_network)) {
        return sp_ok();
    }
    snap_run *run = NULL;
    sp_span kept = SP_SPAN_EMPTY;
    uint32_t at = (uint32_t)set->sections[SNAP_RANGES].count;
    TRY(put_ranges(c, file, &when->networks));
    TRY(keep(set, &key, &kept));
    TRY(name_put(&set->networks, kept, (uint32_t)set->sections[SNAP_NETWORKS].count, ret_network));
    TRY(vec_add(&set->sections[SNAP_NETWORKS], 1, &run));
    *run = (snap_run){at, (uint32_t)set->sections[SNAP_RANGES].count - at};
    return sp_ok();
}

/* ---- zones and hours ---- */

static sp_span office_zone(const sp_policy_set *set)
{
    DOC_EACH(&set->docs, SP_DOC_OFFICE, doc_office, office)
    {
        if (office->time_zone.line != 0) {
            return office->time_zone.text;
        }
    }
    return SP_SPAN_LIT("UTC");
}

static sp_err load_zone(const compiling *c, sp_span name, sp_zone *ret_zone)
{
    if (sp_span_eq(name, SP_SPAN_LIT("UTC"))) {
        *ret_zone = (sp_zone){.count = 1};
        return sp_ok();
    }
    if (c->input->zone == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    TRY(c->input->zone(c->input->zone_ctx, name, ret_zone));
    return ret_zone->count == 0 || ret_zone->count > SP_ZONE_STEPS_MAX ? sp_fail(SP_EINVALID)
                                                                       : sp_ok();
}

/* SP_ENOTFOUND: no such zone. */
static sp_err put_zone(compiling *c, sp_span name, uint32_t *ret_zone)
{
    sp_policy_set *set = c->set;
    if (name_get(&set->zones, name, ret_zone)) {
        return sp_ok();
    }
    sp_zone zone = {0};
    TRY(load_zone(c, name, &zone));
    uint32_t at = (uint32_t)set->sections[SNAP_STEPS].count;
    for (size_t i = 0; i < zone.count; i++) {
        snap_step *step = NULL;
        TRY(vec_add(&set->sections[SNAP_STEPS], 1, &step));
        *step = (snap_step){zone.steps[i].from_unix_s, zone.steps[i].offset_s, 0};
    }
    snap_run *run = NULL;
    sp_span kept = SP_SPAN_EMPTY;
    TRY(sp_arena_copy(&set->arena, name, &kept));
    TRY(name_put(&set->zones, kept, (uint32_t)set->sections[SNAP_ZONES].count, ret_zone));
    TRY(vec_add(&set->sections[SNAP_ZONES], 1, &run));
    *run = (snap_run){at, (uint32_t)zone.count};
    return sp_ok();
}

/* "08:00"; up to 24:00 when it is an end. */
static sp_err parse_clock(sp_span text, bool is_end, uint16_t *ret_minute)
{
    uint64_t hour = 0;
    uint64_t minute = 0;
    if (text.len != 5 || text.ptr[2] != ':') {
        return sp_fail(SP_EINVALID);
    }
    TRY(sp_span_to_u64(sp_span_slice(text, 0, 2), 24, &hour));
    TRY(sp_span_to_u64(sp_span_slice(text, 3, 5), 59, &minute));
    uint64_t total = hour * 60 + minute;
    if (total > DAY_MINUTES || (!is_end && total == DAY_MINUTES)) {
        return sp_fail(SP_EINVALID);
    }
    *ret_minute = (uint16_t)total;
    return sp_ok();
}

typedef struct {
    uint16_t from;
    uint16_t to;
    sp_span zone;
} hours;

static sp_err parse_hours(sp_span text, hours *ret_hours)
{
    size_t blank = sp_span_index(text, ' ');
    sp_span window = sp_span_slice(text, 0, blank);
    if (window.len != 11 || window.ptr[5] != '-') {
        return sp_fail(SP_EINVALID);
    }
    TRY(parse_clock(sp_span_slice(window, 0, 5), false, &ret_hours->from));
    TRY(parse_clock(sp_span_slice(window, 6, 11), true, &ret_hours->to));
    if (blank < text.len) {
        ret_hours->zone = sp_span_trim(sp_span_slice(text, blank, text.len));
    }
    return ret_hours->from == ret_hours->to ? sp_fail(SP_EINVALID) : sp_ok();
}

static sp_err put_schedule(compiling *c, const snap_schedule *schedule, uint32_t *ret_schedule)
{
    sp_policy_set *set = c->set;
    auto_buf sp_buf key = sp_buf_make(64);
    sp_buf_fmt(&key, "%u %u %u %u", schedule->zone, (unsigned)schedule->from_minute,
               (unsigned)schedule->to_minute, (unsigned)schedule->days);
    TRY(sp_buf_error(&key));
    if (name_get(&set->schedules, sp_buf_borrow(&key), ret_schedule)) {
        return sp_ok();
    }
    snap_schedule *room = NULL;
    sp_span kept = SP_SPAN_EMPTY;
    TRY(keep(set, &key, &kept));
    TRY(name_put(&set->schedules, kept, (uint32_t)set->sections[SNAP_SCHEDULES].count,
                 ret_schedule));
    TRY(vec_add(&set->sections[SNAP_SCHEDULES], 1, &room));
    *room = *schedule;
    return sp_ok();
}

sp_err set_schedule(compiling *c, const char *file, const doc_when *when, uint32_t *ret_schedule)
{
    *ret_schedule = SP_NONE;
    if (when->hours.line == 0 && when->days == 0) {
        return sp_ok();
    }
    hours h = {0, DAY_MINUTES, office_zone(c->set)};
    if (when->hours.line != 0 && sp_failed(parse_hours(when->hours.text, &h))) {
        sp_diags_add(c->diags, SP_DIAG_ERROR, file, when->hours.line, when->hours.column,
                     "hours: '%.*s' found, but they are written \"08:00-21:00\" or "
                     "\"08:00-21:00 Asia/Shanghai\"",
                     SP_SPAN_ARG(when->hours.text));
        return sp_ok();
    }
    snap_schedule schedule = {.from_minute = h.from,
                              .to_minute = h.to,
                              .days = when->days == 0 ? ALL_DAYS : (uint8_t)when->days};
    sp_err err = put_zone(c, h.zone, &schedule.zone);
    if (sp_failed(err) && err.code != SP_ENOMEM && err.code != SP_ELIMIT) {
        sp_diags_add(c->diags, SP_DIAG_ERROR, file, when->hours.line, when->hours.column,
                     "unknown time zone '%.*s'; zones are named as in the tz database, "
                     "Asia/Shanghai",
                     SP_SPAN_ARG(h.zone));
        return sp_ok();
    }
    TRY(err);
    return put_schedule(c, &schedule, ret_schedule);
}

/* ---- points in time ---- */

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2 ? 1 : 0;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static sp_err number_at(sp_span text, size_t at, size_t len, uint64_t max, int64_t *ret)
{
    uint64_t value = 0;
    if (at + len > text.len) {
        return sp_fail(SP_EINVALID);
    }
    TRY(sp_span_to_u64(sp_span_slice(text, at, at + len), max, &value));
    *ret = (int64_t)value;
    return sp_ok();
}

static sp_err parse_offset(sp_span text, int64_t *ret_offset_s)
{
    int64_t hour = 0;
    int64_t minute = 0;
    *ret_offset_s = 0;
    if (sp_span_eq(text, SP_SPAN_LIT("Z"))) {
        return sp_ok();
    }
    if (text.len != 6 || (text.ptr[0] != '+' && text.ptr[0] != '-') || text.ptr[3] != ':') {
        return sp_fail(SP_EINVALID);
    }
    TRY(number_at(text, 1, 2, 23, &hour));
    TRY(number_at(text, 4, 2, 59, &minute));
    *ret_offset_s = (hour * 60 + minute) * (text.ptr[0] == '-' ? -60 : 60);
    return sp_ok();
}

sp_err sp_policy_parse_time(sp_span text, uint64_t *ret_unix_s)
{
    int64_t f[6] = {0};
    static const struct {
        uint8_t at;
        uint8_t len;
        uint16_t max;
    } FIELDS[] = {{0, 4, 9999}, {5, 2, 12}, {8, 2, 31}, {11, 2, 23}, {14, 2, 59}, {17, 2, 60}};
    sp_span marks = SP_SPAN_LIT("--T::");
    for (size_t i = 0; i < SP_COUNT(FIELDS); i++) {
        TRY(number_at(text, FIELDS[i].at, FIELDS[i].len, FIELDS[i].max, &f[i]));
        if (i > 0 && text.ptr[FIELDS[i].at - 1] != marks.ptr[i - 1]) {
            return sp_fail(SP_EINVALID);
        }
    }
    int64_t offset = 0;
    TRY(parse_offset(sp_span_slice(text, 19, text.len), &offset));
    if (f[1] == 0 || f[2] == 0) {
        return sp_fail(SP_EINVALID);
    }
    int64_t seconds = days_of(f[0], f[1], f[2]) * 86400 + f[3] * 3600 + f[4] * 60 + f[5] - offset;
    if (seconds < 0) {
        return sp_fail(SP_EINVALID);
    }
    *ret_unix_s = (uint64_t)seconds;
    return sp_ok();
}
