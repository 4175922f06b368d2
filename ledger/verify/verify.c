/* SPDX-License-Identifier: Apache-2.0
 * sallyport-verify: checks an exported pack of the ledger, offline and independently. It shares no
 * code with the ledger: hashes, tree, notes and sealing are written here a second time, over
 * libcrypto (SHA-256) and libsodium (Ed25519, ChaCha20-Poly1305) alone.
 *
 *     sallyport-verify [--key VERIFIER_KEY] [--print] PACK
 *
 * A pack is a directory in the layout of C2SP tlog-tiles: checkpoint, tile/0/.. (leaf hashes),
 * tile/1/.. (hashes of 256 leaves), tile/entries/.. (records), and beside it key (the verifier key
 * that the exporter says) and secrets (which records may be opened).
 *
 * What is checked: the checkpoint's signature; that all hashes give its root; that every record in
 * the pack is the one its leaf hash names; that every secret opens its record to JSON, and could
 * open it to nothing else. Of an incident's evidence also: that the files that `evidence` lists are
 * those whose hash an opened entry names. Exit 0: all of it holds. 1: something does not. 2: usage.
 *
 * OWNS what it allocates until it ends. PROCESS a person's computer, not the office's. TRUST every
 * byte of the pack is hostile. SPEC c2sp.org/tlog-tiles, c2sp.org/signed-note, RFC 6962;
 * ledger/record.h for the form of a record.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <sodium.h>

enum {
    HASH = 32,
    TILE = 256,
    NOTE_MAX = 8192,
    RECORD_MAX = 65535,
    HEAD = 99, /* form, key id, source, numbers, times, count, salt, commitment */
    COMMIT_AT = 67,
    TAG = 16,
    FORM_SEALED = 1,
    FORM_OPEN = 2,
    PATH_ROOM = 4096
};

/* Of the characters of a key and of a file's name. */
#define SHOWN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=.-_"

static const char *pack;
static unsigned long long failures;

__attribute__((format(printf, 1, 2))) static void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("FAIL: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    failures++;
}

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "FAIL: %s\n", what);
    exit(1);
}

/* ---- files ---- */

#ifdef SP_VERIFY_PACK_FILE
#define read_file SP_VERIFY_PACK_FILE /* fuzzing: out of memory */
#else
/* At most max bytes; NULL when there is no such file. One that cannot be read, or is longer than
 * any that an office writes, is a failure: it is not the same as one that was left out. */
static uint8_t *read_file(const char *name, size_t max, size_t *ret_len)
{
    char path[PATH_ROOM];
    int len = snprintf(path, sizeof(path), "%s/%s", pack, name);
    FILE *file = len < 0 || len >= (int)sizeof(path) ? NULL : fopen(path, "rb");
    if (file == NULL) {
        if (errno != ENOENT) {
            fail("%s cannot be read: %s", name, strerror(errno));
        }
        return NULL;
    }
    uint8_t *bytes = malloc(max + 2);
    size_t got = bytes == NULL ? 0 : fread(bytes, 1, max + 1, file);
    bool is_bad = bytes == NULL || ferror(file) != 0 || got > max;
    fclose(file);
    if (is_bad) {
        fail("%s %s", name, got > max ? "is longer than an office writes it" : "cannot be read");
        free(bytes);
        return NULL;
    }
    bytes[got] = 0;
    *ret_len = got;
    return bytes;
}
#endif

/* Name after name of what stands in the pack's folder; NULL at the end. */
#ifdef SP_VERIFY_PACK_FILE
static const char *next_name(void)
{
    return NULL;
}
#else
static const char *next_name(void)
{
    static DIR *folder;
    if (folder == NULL && (folder = opendir(pack)) == NULL) {
        fail("the pack cannot be listed: %s", strerror(errno));
        return NULL;
    }
    const struct dirent *one = readdir(folder);
    if (one == NULL) {
        closedir(folder);
        folder = NULL;
    }
    return one == NULL ? NULL : one->d_name;
}
#endif

static bool has(const uint8_t *json, size_t len, const char *text)
{
    return memmem(json, len, text, strlen(text)) != NULL;
}

/* tile/<level>/<index>, and .p/<width> for a partial one. */
static uint8_t *read_tile(const char *level, uint64_t index, unsigned width, size_t max,
                          size_t *ret_len)
{
    char name[128];
    char groups[64] = "";
    uint64_t rest = index;
    do {
        char longer[64];
        snprintf(longer, sizeof(longer), "/%s%03u%s", rest == index ? "" : "x",
                 (unsigned)(rest % 1000), groups);
        memcpy(groups, longer, sizeof(groups));
        rest /= 1000;
    } while (rest > 0);
    int len = snprintf(name, sizeof(name), "tile/%s%s", level, groups);
    if (width < TILE && len > 0 && len < 100) {
        snprintf(name + len, sizeof(name) - (size_t)len, ".p/%u", width);
    }
    return read_file(name, max, ret_len);
}

/* ---- hashes ---- */

static void sha256(const uint8_t *prefix, size_t prefix_len, const uint8_t *data, size_t len,
                   uint8_t out[HASH])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned size = HASH;
    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 ||
        EVP_DigestUpdate(ctx, prefix, prefix_len) != 1 || EVP_DigestUpdate(ctx, data, len) != 1 ||
        EVP_DigestFinal_ex(ctx, out, &size) != 1) {
        die("SHA-256 does not work here");
    }
    EVP_MD_CTX_free(ctx);
}

static void hash_leaf(const uint8_t *data, size_t len, uint8_t out[HASH])
{
    static const uint8_t zero = 0;
    sha256(&zero, 1, data, len, out);
}

static void hash_pair(const uint8_t *left, const uint8_t *right, uint8_t out[HASH])
{
    uint8_t both[1 + HASH];
    both[0] = 1;
    memcpy(both + 1, left, HASH);
    sha256(both, sizeof(both), right, HASH, out);
}

/* The tree head over a growing row of equal subtrees: a binary counter of subtree roots. */
typedef struct {
    uint64_t count;
    uint8_t roots[64][HASH];
} counter;

static void counter_add(counter *c, unsigned level, const uint8_t *hash)
{
    uint8_t carry[HASH];
    memcpy(carry, hash, HASH);
    uint64_t unit = (uint64_t)1 << level;
    while ((c->count & unit) != 0) {
        hash_pair(c->roots[level], carry, carry);
        c->count -= unit;
        unit <<= 1;
        level++;
    }
    memcpy(c->roots[level], carry, HASH);
    c->count += unit;
}

static void counter_root(const counter *c, uint8_t out[HASH])
{
    bool any = false;
    for (unsigned level = 0; level < 64; level++) {
        if ((c->count >> level & 1) == 0) {
            continue;
        }
        if (any) {
            hash_pair(c->roots[level], out, out);
        } else {
            memcpy(out, c->roots[level], HASH);
        }
        any = true;
    }
    if (!any) {
        sha256(NULL, 0, NULL, 0, out);
    }
}

/* ---- the checkpoint ---- */

typedef struct {
    char name[256];
    uint8_t id[4];
    uint8_t key[crypto_sign_PUBLICKEYBYTES];
} verifier_key;

static bool unbase64(const char *text, size_t len, uint8_t *out, size_t max, size_t *ret_len)
{
    return sodium_base642bin(out, max, text, len, NULL, ret_len, NULL,
                             sodium_base64_VARIANT_ORIGINAL) == 0;
}

/* name+id+base64(0x01 key) */
static bool parse_key(const char *text, verifier_key *key)
{
    const char *first = strchr(text, '+');
    const char *second = first == NULL ? NULL : strchr(first + 1, '+');
    uint8_t bytes[1 + crypto_sign_PUBLICKEYBYTES];
    uint8_t said[4];
    uint8_t id[HASH];
    size_t len = 0;
    if (second == NULL || first == text || (size_t)(first - text) >= sizeof(key->name) ||
        second - first != 9) {
        return false;
    }
    size_t tail = strcspn(second + 1, " \r\n");
    if (!unbase64(second + 1, tail, bytes, sizeof(bytes), &len) || len != sizeof(bytes) ||
        bytes[0] != 1 || sodium_hex2bin(said, sizeof(said), first + 1, 8, NULL, &len, NULL) != 0) {
        return false;
    }
    memcpy(key->name, text, (size_t)(first - text));
    key->name[first - text] = '\0';
    memcpy(key->key, bytes + 1, sizeof(key->key));
    uint8_t named[sizeof(key->name) + 1];
    size_t name_len = (size_t)(first - text);
    memcpy(named, key->name, name_len);
    named[name_len] = '\n';
    sha256(named, name_len + 1, bytes, sizeof(bytes), id);
    memcpy(key->id, id, sizeof(key->id));
    return memcmp(said, key->id, sizeof(said)) == 0;
}

/* One signature line of this key over the text. */
static bool line_verifies(const char *line, const verifier_key *key, const uint8_t *text,
                          size_t text_len)
{
    static const char dash[] = "\xE2\x80\x94 ";
    uint8_t bytes[4 + crypto_sign_BYTES];
    size_t name_len = strlen(key->name);
    size_t len = 0;
    if (strncmp(line, dash, sizeof(dash) - 1) != 0) {
        return false;
    }
    line += sizeof(dash) - 1;
    if (strncmp(line, key->name, name_len) != 0 || line[name_len] != ' ') {
        return false;
    }
    line += name_len + 1;
    return unbase64(line, strcspn(line, "\n"), bytes, sizeof(bytes), &len) &&
           len == sizeof(bytes) && memcmp(bytes, key->id, sizeof(key->id)) == 0 &&
           crypto_sign_verify_detached(bytes + 4, text, text_len, key->key) == 0;
}

static bool parse_number(const char *text, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 19 || (digits > 1 && text[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    *ret_value = value;
    return true;
}

/* Checks the signature; gives size and root. */
static void read_checkpoint(const verifier_key *key, uint64_t *ret_size, uint8_t root[HASH])
{
    size_t len = 0;
    char *note = (char *)read_file("checkpoint", NOTE_MAX, &len);
    if (note == NULL || strlen(note) != len) {
        die("the pack has no readable checkpoint");
    }
    char *gap = NULL;
    for (char *at = strstr(note, "\n\n"); at != NULL; at = strstr(at + 1, "\n\n")) {
        gap = at;
    }
    if (gap == NULL) {
        die("the checkpoint is not a signed note");
    }
    size_t text_len = (size_t)(gap - note) + 1;
    bool good = false;
    for (const char *line = gap + 2; line[0] != '\0'; line = strchr(line, '\n') + 1) {
        if (strchr(line, '\n') == NULL) {
            break;
        }
        good = good || line_verifies(line, key, (const uint8_t *)note, text_len);
    }
    if (!good) {
        die("the checkpoint is not signed by this key");
    }
    const char *size_line = strchr(note, '\n') + 1;
    const char *root_line = strchr(size_line, '\n');
    size_t root_len = 0;
    if (root_line == NULL || root_line >= gap || !parse_number(size_line, ret_size) ||
        !unbase64(root_line + 1, strcspn(root_line + 1, "\n"), root, HASH, &root_len) ||
        root_len != HASH) {
        die("the checkpoint does not hold a size and a root");
    }
    if (strncmp(note, key->name, strlen(key->name)) != 0) {
        fail("the checkpoint is of another ledger than the key");
    }
    free(note);
}

/* ---- the tree ---- */

typedef struct {
    uint64_t size;
    uint64_t hashes; /* leaf hashes that the pack holds */
    uint64_t records;
    uint64_t absent; /* erased, expired, or not in this pack */
    uint64_t opened;
    uint64_t named_by; /* the entry that names the evidence */
    unsigned files;    /* of the evidence */
} report;

/* Leaf hashes of run number i, if the pack has them: they must give the hash that is said. */
static void check_run(report *r, uint64_t i, const uint8_t said[HASH])
{
    size_t len = 0;
    uint8_t *leaves = read_tile("0", i, TILE, (size_t)TILE * HASH, &len);
    if (leaves == NULL) {
        return;
    }
    if (len != (size_t)TILE * HASH) {
        fail("a tile of leaf hashes has the wrong length");
        free(leaves);
        return;
    }
    counter run = {0};
    uint8_t mine[HASH];
    for (unsigned k = 0; k < TILE; k++) {
        counter_add(&run, 0, leaves + (size_t)k * HASH);
    }
    counter_root(&run, mine);
    if (memcmp(mine, said, HASH) != 0) {
        fail("the leaf hashes of entries from %llu do not give their run's hash",
             (unsigned long long)i * TILE);
    }
    r->hashes += TILE;
    free(leaves);
}

/* The leaf hashes of the unfinished last run. */
static void add_last(report *r, uint64_t runs, counter *tree)
{
    unsigned last = (unsigned)(r->size % TILE);
    if (last == 0) {
        return;
    }
    size_t len = 0;
    uint8_t *leaves = read_tile("0", runs, last, (size_t)last * HASH, &len);
    if (leaves == NULL || len != (size_t)last * HASH) {
        die("the last tile of leaf hashes is missing or has the wrong length");
    }
    for (unsigned k = 0; k < last; k++) {
        counter_add(tree, 0, leaves + (size_t)k * HASH);
    }
    r->hashes += last;
    free(leaves);
}

/* The root of the whole tree: run hashes, and the leaf hashes of the unfinished last run. Leaf
 * tiles that are there must give their run hash. */
static void check_tree(report *r, const uint8_t root[HASH])
{
    counter tree = {0};
    uint64_t runs = r->size / TILE;
    uint8_t *level1 = NULL;
    uint8_t mine[HASH];
    size_t len = 0;
    for (uint64_t i = 0; i < runs; i++) {
        if (i % TILE == 0) {
            unsigned width = runs - i < TILE ? (unsigned)(runs - i) : TILE;
            free(level1);
            level1 = read_tile("1", i / TILE, width, (size_t)width * HASH, &len);
            if (level1 == NULL || len != (size_t)width * HASH) {
                die("a tile of level 1 is missing or has the wrong length");
            }
        }
        check_run(r, i, level1 + i % TILE * HASH);
        counter_add(&tree, 8, level1 + i % TILE * HASH);
    }
    free(level1);
    add_last(r, runs, &tree);
    counter_root(&tree, mine);
    if (memcmp(mine, root, HASH) != 0) {
        die("the hashes do not give the root that the checkpoint signs");
    }
}

/* ---- the files of an incident ---- */

/* Of the file "evidence" in hexadecimal; empty: the pack has none. */
static char evidence_hash[2 * HASH + 1];
static bool evidence_named; /* an opened entry holds it */

static void hash_hex(const uint8_t *bytes, size_t len, char hex[2 * HASH + 1])
{
    uint8_t hash[HASH];
    sha256(NULL, 0, bytes, len, hash);
    sodium_bin2hex(hex, 2 * HASH + 1, hash, HASH);
}

/* One line "<hash>  <name>". A name leads nowhere but into the pack's own folder. */
static void check_file(const char *line, size_t len)
{
    char name[64] = "";
    char hex[2 * HASH + 1];
    size_t size = 0;
    size_t name_len = len > 2 * HASH + 2 ? len - 2 * HASH - 2 : 0;
    if (name_len == 0 || name_len >= sizeof(name) || line[2 * HASH] != ' ') {
        fail("evidence has a line that cannot be read");
        return;
    }
    memcpy(name, line + 2 * HASH + 2, name_len);
    if (strspn(name, "abcdefghijklmnopqrstuvwxyz.-") != name_len || name[0] == '.') {
        fail("evidence names a file that has no place in a pack");
        return;
    }
    uint8_t *bytes = read_file(name, (size_t)64 << 20, &size);
    if (bytes == NULL) {
        fail("%s is listed in evidence, and is not in the pack", name);
        return;
    }
    hash_hex(bytes, size, hex);
    if (memcmp(hex, line, 2 * HASH) != 0) {
        fail("%s is not the one that was written: its hash is another", name);
    }
    free(bytes);
}

static bool is_listed(const char *list, const char *name)
{
    size_t name_len = strlen(name);
    for (const char *line = list; line != NULL && *line != 0;) {
        size_t len = strcspn(line, "\n");
        if (len == 2 * HASH + 2 + name_len && memcmp(line + 2 * HASH + 2, name, name_len) == 0) {
            return true;
        }
        line += len + (line[len] == '\n' ? 1 : 0);
    }
    return false;
}

/* What people would read must be vouched for: by the tree, or by the list. */
static void check_folder(const char *list)
{
    static const char *const own[] = {".",       "..",       "checkpoint", "key",
                                      "secrets", "evidence", "tile"};
    const char *name = NULL;
    while ((name = next_name()) != NULL) {
        bool is_own = false;
        for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
            is_own |= strcmp(name, own[i]) == 0;
        }
        if (!is_own && !is_listed(list, name)) {
            fail("a file stands in the pack that nothing vouches for: %.*s",
                 (int)strspn(name, SHOWN), name);
        }
    }
}

static void check_evidence(report *r)
{
    size_t len = 0;
    char *text = (char *)read_file("evidence", NOTE_MAX, &len);
    check_folder(text);
    if (text == NULL) {
        return;
    }
    hash_hex((const uint8_t *)text, len, evidence_hash);
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line = end == NULL ? len - at : (size_t)(end - text) - at;
        check_file(text + at, line);
        r->files++;
        at += line + 1;
    }
    free(text);
}

/* ---- the records ---- */

/* Lines "<entry> <secret in hex>" in order of entries, walked along. */
typedef struct {
    char *text;
    const char *at;
} secrets;

static bool secret_for(secrets *s, uint64_t entry, uint8_t secret[HASH])
{
    uint64_t which = 0;
    size_t len = 0;
    if (s->at == NULL || s->at[0] == '\0') {
        return false;
    }
    const char *blank = strchr(s->at, ' ');
    const char *end = strchr(s->at, '\n');
    if (blank == NULL || end == NULL || blank > end || !parse_number(s->at, &which)) {
        fail("the file of secrets has a line that cannot be read");
        s->at = NULL;
        return false;
    }
    if (which > entry) {
        return false;
    }
    if (which < entry) {
        fail("the file of secrets names entry %llu, which is not in the pack, or twice",
             (unsigned long long)which);
        s->at = NULL;
        return false;
    }
    bool good =
        strspn(blank + 1, "0123456789abcdef") == (size_t)(end - blank - 1) &&
        sodium_hex2bin(secret, HASH, blank + 1, (size_t)(end - blank - 1), NULL, &len, NULL) == 0 &&
        len == HASH; /* small letters: nothing in a pack can be written in two ways */
    s->at = end + 1;
    if (!good) {
        fail("the secret of entry %llu cannot be read", (unsigned long long)entry);
    }
    return good;
}

/* Bytes of a character at which a terminal would do something else than show it: controls, marks of
 * direction, what has no width. 0 = it may be shown; *ret_code is which. */
static size_t hidden_at(const uint8_t *s, size_t len, unsigned *ret_code)
{
    unsigned code = 0;
    size_t bytes = 0;
    if (s[0] < 0x80) {
        code = s[0];
        bytes = 1;
    } else if (len >= 2 && s[0] >= 0xC2 && s[0] < 0xE0) {
        code = (s[0] & 0x1Fu) << 6 | (s[1] & 0x3Fu);
        bytes = 2;
    } else if (len >= 3 && s[0] >= 0xE0 && s[0] < 0xF0) {
        code = (s[0] & 0x0Fu) << 12 | (s[1] & 0x3Fu) << 6 | (s[2] & 0x3Fu);
        bytes = 3;
    }
    bool is_hidden = code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x61C ||
                     (code >= 0x200B && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
                     (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF;
    *ret_code = code;
    return bytes > 0 && is_hidden ? bytes : 0;
}

static void print_json(uint64_t entry, const uint8_t *json, size_t len)
{
    printf("%llu ", (unsigned long long)entry);
    for (size_t i = 0; i < len;) {
        unsigned code = 0;
        size_t hidden = hidden_at(json + i, len - i, &code);
        if (hidden > 0) {
            printf("\\u%04x", code);
        } else {
            putchar(json[i]);
        }
        i += hidden > 0 ? hidden : 1;
    }
    putchar('\n');
}

/* The entry that core writes when it hands a pack out. In JSON these bytes stand in no text. */
static bool names_evidence(const uint8_t *json, size_t len)
{
    char hash[2 * HASH + 16];
    snprintf(hash, sizeof(hash), "\"sha256\":\"%s\"}", evidence_hash);
    return evidence_hash[0] != 0 && has(json, len, "\"log_name\":\"core\"") &&
           has(json, len, "\"detail\":{\"did\":\"evidence\",") && has(json, len, hash);
}

static void open_record(uint64_t entry, const uint8_t *record, size_t len, const uint8_t *secret,
                        bool print, report *r)
{
    static const uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {0};
    static const uint8_t two = 2;
    static uint8_t json[RECORD_MAX];
    uint8_t commit[HASH];
    size_t json_len = len - HEAD - TAG;
    if (record[0] == FORM_OPEN) {
        memcpy(json, record + HEAD, json_len);
    } else {
        sha256(&two, 1, secret, HASH, commit);
        if (memcmp(commit, record + COMMIT_AT, HASH) != 0 ||
            crypto_aead_chacha20poly1305_ietf_decrypt(json, NULL, NULL, record + HEAD, len - HEAD,
                                                      record, HEAD, nonce, secret) != 0) {
            fail("the secret given does not open entry %llu", (unsigned long long)entry);
            return;
        }
    }
    if (json_len < 2 || json[0] != '{' || json[json_len - 1] != '}') {
        fail("entry %llu does not hold JSON", (unsigned long long)entry);
        return;
    }
    r->opened++;
    if (names_evidence(json, json_len)) {
        evidence_named = true;
        r->named_by = entry;
    }
    /* what was taken out, by whom and why, the ledger says in open records: they are always shown.
     * In JSON these bytes stand in no text */
    bool says_so = record[0] == FORM_OPEN && has(json, json_len, "\"kind\":\"redaction\"");
    if (print || says_so) {
        print_json(entry, json, json_len);
    }
}

static void check_record(uint64_t entry, const uint8_t *record, size_t len, const uint8_t *leaf,
                         secrets *s, bool print, report *r)
{
    uint8_t hash[HASH];
    uint8_t secret[HASH];
    if (len == 0) {
        r->absent++;
        return;
    }
    r->records++;
    hash_leaf(record, len, hash);
    if (memcmp(hash, leaf, HASH) != 0) {
        fail("entry %llu is not the one that was written: its hash is another",
             (unsigned long long)entry);
        return;
    }
    if (len < HEAD + TAG || (record[0] != FORM_SEALED && record[0] != FORM_OPEN)) {
        fail("entry %llu has not the form of a record", (unsigned long long)entry);
        return;
    }
    bool has_secret = secret_for(s, entry, secret);
    if (has_secret && record[0] == FORM_OPEN) {
        fail("a secret is given for entry %llu, which is not sealed", (unsigned long long)entry);
    }
    if (has_secret || record[0] == FORM_OPEN) {
        open_record(entry, record, len, secret, print, r);
    }
}

static void check_bundle(uint64_t index, unsigned width, secrets *s, bool print, report *r)
{
    size_t len = 0;
    size_t leaves_len = 0;
    uint8_t *bundle = read_tile("entries", index, width, (size_t)TILE * (RECORD_MAX + 2), &len);
    if (bundle == NULL) {
        r->absent += width;
        return;
    }
    uint8_t *leaves = read_tile("0", index, width, (size_t)width * HASH, &leaves_len);
    if (leaves == NULL || leaves_len != (size_t)width * HASH) {
        fail("records from %llu stand in the pack without their leaf hashes",
             (unsigned long long)index * TILE);
    }
    size_t at = 0;
    for (unsigned i = 0; i < width && leaves != NULL; i++) {
        size_t record_len = at + 2 <= len ? (size_t)bundle[at] << 8 | bundle[at + 1] : 0;
        if (at + 2 > len || record_len > len - at - 2) {
            fail("the records from %llu are cut off", (unsigned long long)index * TILE);
            break;
        }
        check_record(index * TILE + i, bundle + at + 2, record_len, leaves + (size_t)i * HASH, s,
                     print, r);
        at += 2 + record_len;
    }
    if (leaves != NULL && failures == 0 && at != len) {
        fail("there are bytes behind the records from %llu", (unsigned long long)index * TILE);
    }
    free(bundle);
    free(leaves);
}

static void check_records(report *r, bool print)
{
    size_t len = 0;
    secrets s = {(char *)read_file("secrets", (size_t)1 << 30, &len), NULL};
    s.at = s.text;
    for (uint64_t at = 0; at < r->size; at += TILE) {
        unsigned width = r->size - at < TILE ? (unsigned)(r->size - at) : TILE;
        check_bundle(at / TILE, width, &s, print, r);
    }
    if (s.at != NULL && s.at[0] != '\0') {
        fail("there are secrets for entries that are not in the pack");
    }
    free(s.text);
}

static void choose_key(const char *given, verifier_key *key)
{
    size_t len = 0;
    char *said = given == NULL ? (char *)read_file("key", NOTE_MAX, &len) : NULL;
    if (given == NULL && said != NULL) {
        fprintf(stderr, "note: the key is the pack's own: compare it with the one you know: %.*s\n",
                (int)strspn(said, SHOWN), said);
    }
    if ((given == NULL && said == NULL) || !parse_key(given != NULL ? given : said, key)) {
        die("there is no readable verifier key: give it with --key");
    }
    free(said);
}

int main(int argc, char **argv)
{
    const char *given = NULL;
    bool print = false;
    report r = {0};
    verifier_key key;
    uint8_t root[HASH];
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--key") == 0 && i + 1 < argc) {
            given = argv[++i];
        } else if (strcmp(argv[i], "--print") == 0) {
            print = true;
        } else if (argv[i][0] != '-' && pack == NULL) {
            pack = argv[i];
        } else {
            pack = NULL;
            break;
        }
    }
    if (pack == NULL || sodium_init() < 0) {
        fprintf(stderr, "usage: sallyport-verify [--key VERIFIER_KEY] [--print] PACK\n");
        return 2;
    }
    choose_key(given, &key);
    read_checkpoint(&key, &r.size, root);
    check_tree(&r, root);
    check_evidence(&r);
    check_records(&r, print);
    if (evidence_hash[0] != '\0' && !evidence_named) {
        fail("no opened entry names the hash of evidence: the incident's files are not those that "
             "the office wrote down");
    }
    fprintf(stderr,
            "%s: tree of %llu entries under a signed checkpoint; %llu leaf hashes and %llu records "
            "in the pack, %llu opened, %llu not in the pack or erased\n",
            failures == 0 ? "GOOD" : "BAD", (unsigned long long)r.size,
            (unsigned long long)r.hashes, (unsigned long long)r.records,
            (unsigned long long)r.opened, (unsigned long long)r.absent);
    if (evidence_named) {
        fprintf(stderr, "evidence: %u files, named by entry %llu\n", r.files,
                (unsigned long long)r.named_by);
    } else {
        fprintf(stderr, "evidence: no list: the pack holds entries alone\n");
    }
    return failures == 0 ? 0 : 1;
}
