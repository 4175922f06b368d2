/* SPDX-License-Identifier: Apache-2.0
 * Passwords that everybody tries.
 * OWNS nothing. PROCESS core. TRUST the password is hostile bytes. SPEC NIST SP 800-63B 5.1.1.2.
 */
#include "core/identity/password.h"

/* With 12 bytes at least most of the usual lists are out already; what remains is words strung
 * together. Looked for in the folded password with digits and signs at both ends cut off. */
static const char *const common[] = {"password",
                                     "passwordpassword",
                                     "passw0rdpassw0rd",
                                     "letmeinletmein",
                                     "qwertyuiopas",
                                     "iloveyouiloveyou",
                                     "administrator",
                                     "administrators",
                                     "sallyport",
                                     "sallyportadmin",
                                     "changemechangeme",
                                     "changeme",
                                     "welcomewelcome",
                                     "welcome",
                                     "correcthorsebatterystaple",
                                     "correct horse battery staple",
                                     "unbelievable",
                                     "christopher",
                                     "manchesterunited",
                                     "dragondragon",
                                     "monkeymonkey",
                                     "footballfootball",
                                     "baseballbaseball",
                                     "sunshinesunshine",
                                     "princessprincess",
                                     "supersecret",
                                     "topsecret",
                                     "mypassword",
                                     "thisismypassword",
                                     "thequickbrownfox",
                                     "adminadmin",
                                     "rootroot",
                                     "testtesttest",
                                     "defaultpassword",
                                     "temporarypassword",
                                     "masterpassword",
                                     "secretpassword",
                                     "passwordadmin",
                                     "adminpassword"};

static const char *const runs[] = {"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
                                   "zyxwvutsrqponmlkjihgfedcba",
                                   "01234567890123456789012345678901234567890123456789",
                                   "09876543210987654321098765432109876543210",
                                   "qwertyuiopasdfghjklzxcvbnm",
                                   "qwertyuiop[]asdfghjkl;'zxcvbnm,./",
                                   "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
                                   "qazwsxedcrfvtgbyhnujmikolp",
                                   "1q2w3e4r5t6y7u8i9o0p"};

enum { FOLDED_BYTES = 256, PIECE_MAX = 4 };

static uint8_t fold(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static bool is_letter(uint8_t c)
{
    return c >= 'a' && c <= 'z';
}

static sp_span cut_ends(sp_span text)
{
    while (text.len > 0 && !is_letter(text.ptr[0])) {
        text = sp_span_slice(text, 1, text.len);
    }
    while (text.len > 0 && !is_letter(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

/* The whole is one piece of at most PIECE_MAX bytes again and again. */
static bool is_repetition(sp_span text)
{
    for (size_t piece = 1; piece <= PIECE_MAX; piece++) {
        size_t i = piece;
        while (i < text.len && text.ptr[i] == text.ptr[i - piece]) {
            i++;
        }
        if (i == text.len) {
            return true;
        }
    }
    return false;
}

static bool is_listed(sp_span folded, sp_span core)
{
    for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++) {
        sp_span word = sp_span_cstr(common[i]);
        if (sp_span_eq(folded, word) || sp_span_eq(core, word)) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        sp_span run = sp_span_cstr(runs[i]);
        if (sp_span_find(run, folded) < run.len) {
            return true;
        }
    }
    return false;
}

bool sp_password_is_weak(sp_span password, sp_span name)
{
    uint8_t bytes[FOLDED_BYTES];
    if (password.len < SP_PASSWORD_MIN_BYTES) {
        return true;
    }
    if (password.len > FOLDED_BYTES) {
        return is_repetition(password);
    }
    for (size_t i = 0; i < password.len; i++) {
        bytes[i] = fold(password.ptr[i]);
    }
    sp_span folded = {bytes, password.len};
    sp_span middle = cut_ends(folded);
    return is_repetition(folded) || is_listed(folded, middle) ||
           (name.len > 0 && sp_span_eq(middle, name));
}
