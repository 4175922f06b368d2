/* SPDX-License-Identifier: Apache-2.0
 * The small pieces of enrolment that need no core.
 * OWNS nothing. PROCESS core. TRUST all input is hostile. SPEC core/devices/enrol.h.
 */
#include "core/devices/enrol.h"

#include "lib/base/mem.h"

enum { LETTERS = 16, TEXT_MAX_BYTES = 63, DETAIL_MAX_BYTES = 200 };

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void sp_enrol_code_text(const uint8_t bits[10], char ret_text[SP_ENROL_CODE_BYTES])
{
    size_t at = 0;
    uint32_t held = 0;
    unsigned count = 0;
    for (size_t i = 0, letters = 0; i < 10; i++) {
        held = (held << 8) | bits[i];
        count += 8;
        while (count >= 5) {
            if (letters > 0 && letters % 4 == 0) {
                ret_text[at++] = '-';
            }
            count -= 5;
            ret_text[at++] = alphabet[(held >> count) & 31];
            letters++;
        }
    }
    ret_text[at] = '\0';
}

static char letter_of(uint8_t c)
{
    char upper = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    if (upper == 'I' || upper == 'L') {
        return '1';
    }
    if (upper == 'O') {
        return '0';
    }
    for (size_t i = 0; i < sizeof(alphabet) - 1; i++) {
        if (alphabet[i] == upper) {
            return upper;
        }
    }
    return '\0';
}

sp_err sp_enrol_code_hash(sp_span text, sp_hash *ret_hash)
{
    char letters[LETTERS];
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '-' || text.ptr[i] == ' ') {
            continue;
        }
        char letter = letter_of(text.ptr[i]);
        if (letter == '\0' || count == LETTERS) {
            return sp_fail(SP_EINVALID);
        }
        letters[count++] = letter;
    }
    if (count != LETTERS) {
        return sp_fail(SP_EINVALID);
    }
    *ret_hash = sp_sha256(sp_span_of(letters, LETTERS));
    return sp_ok();
}

/* What lies between the two lines, without blanks. */
static void base64_of(sp_span inside, sp_buf *out)
{
    for (size_t i = 0; i < inside.len; i++) {
        uint8_t c = inside.ptr[i];
        if (c != '\n' && c != '\r' && c != ' ' && c != '\t') {
            sp_buf_byte(out, c);
        }
    }
}

sp_err sp_enrol_csr_der(sp_span pem, sp_buf *out)
{
    const sp_span begin = SP_SPAN_LIT("CERTIFICATE REQUEST-----");
    const sp_span end = SP_SPAN_LIT("-----END ");
    sp_span text = sp_span_trim(pem);
    if (!sp_span_starts(text, SP_SPAN_LIT("-----BEGIN "))) {
        return sp_fail(SP_EINVALID);
    }
    size_t from = sp_span_find(text, begin);
    size_t to = sp_span_find(text, end);
    if (from == text.len || to == text.len || to < from + begin.len) {
        return sp_fail(SP_EINVALID);
    }
    auto_buf sp_buf base64 = sp_buf_make(text.len);
    base64_of(sp_span_slice(text, from + begin.len, to), &base64);
    TRY(sp_buf_error(&base64));
    return base64.len == 0 ? sp_fail(SP_EINVALID) : sp_buf_unbase64(out, sp_buf_borrow(&base64));
}

static bool text_fits(const json_t *value, size_t max_bytes)
{
    return json_is_string(value) && json_string_length(value) <= max_bytes;
}

/* +1 pass, 0 unknown, -1 fail, 2 malformed. */
static int result_of(const json_t *check)
{
    const json_t *ok = json_object_get(check, "ok");
    sp_span word = sp_span_cstr(json_string_value(json_object_get(check, "result")));
    const json_t *detail = json_object_get(check, "detail");
    if (!text_fits(json_object_get(check, "name"), TEXT_MAX_BYTES) ||
        (detail != NULL && !text_fits(detail, DETAIL_MAX_BYTES)) || json_object_size(check) > 4) {
        return 2;
    }
    if (sp_span_eq(word, SP_SPAN_LIT("pass")) || json_is_true(ok)) {
        return 1;
    }
    if (sp_span_eq(word, SP_SPAN_LIT("fail")) || json_is_false(ok)) {
        return -1;
    }
    return sp_span_eq(word, SP_SPAN_LIT("unknown")) ? 0 : 2;
}

sp_err sp_enrol_posture(const json_t *checks, sp_posture *ret_posture, const char **ret_expected)
{
    size_t passed = 0;
    size_t failed = 0;
    *ret_expected = "an array of at most 32 of {name, result: pass|fail|unknown, detail}";
    if (!json_is_array(checks) || json_array_size(checks) > SP_ENROL_CHECKS_MAX) {
        return sp_fail(SP_EINVALID);
    }
    for (size_t i = 0; i < json_array_size(checks); i++) {
        int result = result_of(json_array_get(checks, i));
        if (result == 2) {
            return sp_fail(SP_EINVALID);
        }
        passed += result == 1 ? 1 : 0;
        failed += result == -1 ? 1 : 0;
    }
    if (failed > 0) {
        *ret_posture = SP_POSTURE_UNHEALTHY;
    } else {
        *ret_posture = passed > 0 ? SP_POSTURE_HEALTHY : SP_POSTURE_UNKNOWN;
    }
    return sp_ok();
}

bool sp_enrol_name_ok(sp_span name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] < ' ' || name.ptr[i] == 0x7F) {
            return false;
        }
    }
    return name.len > 0 && name.len <= TEXT_MAX_BYTES && sp_span_is_utf8(name);
}

bool sp_enrol_platform_ok(const json_t *platform)
{
    static const char *const names[] = {"os", "version", "arch", "hostname", "agent"};
    size_t known = 0;
    for (size_t i = 0; i < SP_COUNT(names); i++) {
        const json_t *value = json_object_get(platform, names[i]);
        if (value != NULL && !text_fits(value, TEXT_MAX_BYTES)) {
            return false;
        }
        known += value != NULL ? 1 : 0;
    }
    return json_is_object(platform) && json_object_get(platform, "os") != NULL &&
           known == json_object_size(platform);
}
