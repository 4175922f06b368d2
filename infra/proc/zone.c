/* SPDX-License-Identifier: Apache-2.0
 * Reading TZif files.
 * OWNS nothing. PROCESS core, cli. TRUST see zone.h. SPEC RFC 8536 section 3.
 */
#include "infra/proc/zone.h"

#include "infra/proc/file.h"
#include "lib/base/reader.h"

enum {
    NAME_MAX_BYTES = 64,
    FILE_MAX_BYTES = 256 * 1024,
    RESERVED_BYTES = 15,
    YEAR_S = 31556952,
    PAST_YEARS = 5
};

typedef struct {
    uint8_t version;
    uint32_t isut;
    uint32_t isstd;
    uint32_t leap;
    uint32_t times;
    uint32_t types;
    uint32_t chars;
} tz_head;

static tz_head read_head(sp_reader *in)
{
    tz_head head = {0};
    if (!sp_span_eq(sp_read_span(in, 4), SP_SPAN_LIT("TZif"))) {
        sp_reader_fail(in, SP_ECORRUPT);
    }
    head.version = sp_read_u8(in);
    sp_read_span(in, RESERVED_BYTES);
    head.isut = sp_read_u32(in);
    head.isstd = sp_read_u32(in);
    head.leap = sp_read_u32(in);
    head.times = sp_read_u32(in);
    head.types = sp_read_u32(in);
    head.chars = sp_read_u32(in);
    return head;
}

static void skip_block(sp_reader *in, const tz_head *head, size_t time_bytes)
{
    uint64_t bytes = (uint64_t)head->times * (time_bytes + 1) + (uint64_t)head->types * 6 +
                     head->chars + (uint64_t)head->leap * (time_bytes + 4) + head->isstd +
                     head->isut;
    sp_read_span(in, bytes > FILE_MAX_BYTES ? FILE_MAX_BYTES : (size_t)bytes);
}

static int32_t offset_of(sp_span types, uint8_t type)
{
    sp_reader in = sp_reader_of(sp_span_slice(types, (size_t)type * 6, (size_t)type * 6 + 4));
    return (int32_t)sp_read_u32(&in);
}

static sp_err add_step(sp_zone *zone, int64_t from_unix_s, int32_t offset_s)
{
    if (zone->count == SP_ZONE_STEPS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    zone->steps[zone->count++] = (sp_zone_step){from_unix_s, offset_s};
    return sp_ok();
}

/* What holds when the table begins: the first type, as RFC 8536 says. */
static sp_err take_steps(sp_span times, sp_span indices, sp_span types, int64_t from, int64_t until,
                         sp_zone *zone)
{
    sp_reader in = sp_reader_of(times);
    size_t type_count = types.len / 6;
    TRY(add_step(zone, INT64_MIN, offset_of(types, 0)));
    for (size_t i = 0; i < indices.len; i++) {
        int64_t at = (int64_t)sp_read_u64(&in);
        if (indices.ptr[i] >= type_count) {
            return sp_fail(SP_ECORRUPT);
        }
        int32_t offset = offset_of(types, indices.ptr[i]);
        if (at <= from) {
            zone->steps[0].offset_s = offset;
        } else if (at <= until && offset != zone->steps[zone->count - 1].offset_s) {
            TRY(add_step(zone, at, offset));
        }
    }
    return sp_ok();
}

static int64_t last_time(sp_span times)
{
    if (times.len < 8) {
        return INT64_MIN;
    }
    sp_reader in = sp_reader_of(sp_span_slice(times, times.len - 8, times.len));
    return (int64_t)sp_read_u64(&in);
}

sp_err sp_zone_parse(sp_span file, int64_t from_unix_s, int64_t until_unix_s, sp_zone *ret_zone)
{
    sp_reader in = sp_reader_of(file);
    tz_head old = read_head(&in);
    skip_block(&in, &old, 4);
    tz_head head = read_head(&in);
    if (old.version < '2' || head.types == 0 || head.types > 256 || head.times > FILE_MAX_BYTES) {
        return sp_fail(SP_ECORRUPT);
    }
    sp_span times = sp_read_span(&in, (size_t)head.times * 8);
    sp_span indices = sp_read_span(&in, head.times);
    sp_span types = sp_read_span(&in, (size_t)head.types * 6);
    sp_read_span(&in, head.chars);
    uint64_t rest = (uint64_t)head.leap * 12 + head.isstd + (uint64_t)head.isut;
    sp_read_span(&in, rest > FILE_MAX_BYTES ? FILE_MAX_BYTES : (size_t)rest);
    sp_span footer = sp_read_span(&in, in.rest.len);
    if (sp_failed(sp_reader_finish(&in))) {
        return sp_fail(SP_ECORRUPT);
    }
    /* a comma: summer time goes on by rule after the table, so the table has to reach far enough */
    if (sp_span_index(footer, ',') < footer.len && last_time(times) < until_unix_s) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    sp_zone zone = {0};
    TRY(take_steps(times, indices, types, from_unix_s, until_unix_s, &zone));
    *ret_zone = zone;
    return sp_ok();
}

/* Area/Place of letters, digits, '_', '-', '+': never a way out of the directory. */
static bool is_zone_name(sp_span name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        bool inside = i > 0 && (c == '/' || c == '_' || c == '-' || c == '+');
        if (!sp_is_alnum(c) && !inside) {
            return false;
        }
    }
    return name.len > 0 && name.len <= NAME_MAX_BYTES && name.ptr[name.len - 1] != '/' &&
           sp_span_find(name, SP_SPAN_LIT("//")) == name.len;
}

sp_err sp_zone_system(void *ctx, sp_span name, sp_zone *ret_zone)
{
    const uint64_t *now = ctx;
    if (!is_zone_name(name)) {
        return sp_fail(SP_ENOTFOUND);
    }
    auto_buf sp_buf path = sp_buf_make(NAME_MAX_BYTES + 64);
    auto_buf sp_buf file = sp_buf_make(FILE_MAX_BYTES);
    auto_free char *path_text = NULL;
    sp_buf_text(&path, "/usr/share/zoneinfo/");
    sp_buf_span(&path, name);
    TRY(sp_buf_take_cstr(&path, &path_text));
    if (sp_failed(sp_file_read(path_text, &file))) {
        return sp_fail(SP_ENOTFOUND);
    }
    /* some past, so that examples and replay of past moments are right as well */
    int64_t from = (int64_t)(*now & INT64_MAX) - (int64_t)PAST_YEARS * YEAR_S;
    return sp_zone_parse(sp_buf_borrow(&file), from,
                         from + (int64_t)(PAST_YEARS + SP_ZONE_YEARS) * YEAR_S, ret_zone);
}
