/* SPDX-License-Identifier: Apache-2.0
 * Reading and writing packets of SFTP.
 * OWNS a packet that came in pieces. PROCESS ssh gate. TRUST both sides are hostile.
 * SPEC lib/proto/sftp.h.
 */
#include "lib/proto/sftp.h"

enum {
    LENGTH_BYTES = 4,
    TYPE_BYTES = 1,
    ID_BYTES = 4,
    /* what stands in front of the bytes of a WRITE at most, and of a DATA */
    WRITE_HEAD_MAX_BYTES = 4 + 1 + 4 + 4 + SP_SFTP_HANDLE_MAX_BYTES + 8 + 4,
    DATA_HEAD_BYTES = 4 + 1 + 4 + 4,
    TEXT_MAX_BYTES = 8192,
    EXTENSION_NAME_MAX_BYTES = 255,
    ATTRS_EXTENDED_MAX = 64
};

#define ATTRS_KNOWN                                                                                \
    (SP_SFTP_A_SIZE | SP_SFTP_A_OWNER | SP_SFTP_A_MODE | SP_SFTP_A_TIMES | SP_SFTP_A_EXTENDED)

static const struct {
    const char *name;
    const char *version;
} EXTENSIONS[SP_SFTP_X_COUNT] = {
    [SP_SFTP_X_POSIX_RENAME] = {"posix-rename@openssh.com", "1"},
    [SP_SFTP_X_STATVFS] = {"statvfs@openssh.com", "2"},
    [SP_SFTP_X_FSTATVFS] = {"fstatvfs@openssh.com", "2"},
    [SP_SFTP_X_HARDLINK] = {"hardlink@openssh.com", "1"},
    [SP_SFTP_X_FSYNC] = {"fsync@openssh.com", "1"},
    [SP_SFTP_X_LSETSTAT] = {"lsetstat@openssh.com", "1"},
    [SP_SFTP_X_LIMITS] = {"limits@openssh.com", "1"},
    [SP_SFTP_X_EXPAND_PATH] = {"expand-path@openssh.com", "1"},
};

sp_sftp sp_sftp_make(sp_sftp_side side)
{
    return (sp_sftp){.side = (uint8_t)side,
                     .held = sp_buf_make(SP_SFTP_PACKET_MAX_BYTES + LENGTH_BYTES)};
}

void sp_sftp_done(sp_sftp *sftp)
{
    sp_buf_done(&sftp->held);
}

/* ---- fields ---- */

/* A path without NUL: what stands behind one would be another path for whoever reads it in C. */
static sp_span read_path(sp_reader *in)
{
    sp_span path = sp_read_bytes(in, SP_SFTP_PATH_MAX_BYTES);
    if (sp_span_index(path, 0) < path.len) {
        sp_reader_fail(in, SP_EINVALID);
    }
    return path;
}

/* An empty one would be taken for none. */
static sp_span read_handle(sp_reader *in)
{
    sp_span handle = sp_read_bytes(in, SP_SFTP_HANDLE_MAX_BYTES);
    if (handle.len == 0) {
        sp_reader_fail(in, SP_EINVALID);
    }
    return handle;
}

static void read_attrs(sp_reader *in, sp_sftp_attrs *a)
{
    a->flags = sp_read_u32(in);
    if ((a->flags & ~ATTRS_KNOWN) != 0) {
        sp_reader_fail(in, SP_EINVALID);
    }
    if ((a->flags & SP_SFTP_A_SIZE) != 0) {
        a->size = sp_read_u64(in);
    }
    if ((a->flags & SP_SFTP_A_OWNER) != 0) {
        a->uid = sp_read_u32(in);
        a->gid = sp_read_u32(in);
    }
    if ((a->flags & SP_SFTP_A_MODE) != 0) {
        a->mode = sp_read_u32(in);
    }
    if ((a->flags & SP_SFTP_A_TIMES) != 0) {
        a->atime = sp_read_u32(in);
        a->mtime = sp_read_u32(in);
    }
    uint32_t more = (a->flags & SP_SFTP_A_EXTENDED) != 0 ? sp_read_u32(in) : 0;
    if (more > ATTRS_EXTENDED_MAX) {
        sp_reader_fail(in, SP_ELIMIT);
    }
    for (uint32_t i = 0; i < more && !sp_failed(in->err); i++) {
        (void)sp_read_bytes(in, EXTENSION_NAME_MAX_BYTES);
        (void)sp_read_bytes(in, TEXT_MAX_BYTES);
    }
}

static void read_own_attrs(sp_reader *in, sp_sftp_packet *p)
{
    read_attrs(in, &p->attrs);
    p->has_attrs = true;
}

static sp_span read_rest(sp_reader *in)
{
    return sp_read_span(in, in->rest.len);
}

static uint8_t extension_of(sp_span name)
{
    for (uint8_t i = SP_SFTP_X_POSIX_RENAME; i < SP_SFTP_X_COUNT; i++) {
        if (sp_span_eq(name, sp_span_cstr(EXTENSIONS[i].name))) {
            return i;
        }
    }
    return SP_SFTP_X_UNKNOWN;
}

static void read_extended(sp_reader *in, sp_sftp_packet *p)
{
    p->extension = extension_of(sp_read_bytes(in, EXTENSION_NAME_MAX_BYTES));
    switch ((sp_sftp_extension)p->extension) {
    case SP_SFTP_X_POSIX_RENAME:
    case SP_SFTP_X_HARDLINK:
        p->path = read_path(in);
        p->path2 = read_path(in);
        return;
    case SP_SFTP_X_STATVFS:
    case SP_SFTP_X_EXPAND_PATH:
        p->path = read_path(in);
        return;
    case SP_SFTP_X_FSTATVFS:
    case SP_SFTP_X_FSYNC:
        p->handle = read_handle(in);
        return;
    case SP_SFTP_X_LSETSTAT:
        p->path = read_path(in);
        read_own_attrs(in, p);
        return;
    case SP_SFTP_X_LIMITS:
        return;
    case SP_SFTP_X_NONE:
    case SP_SFTP_X_UNKNOWN:
    case SP_SFTP_X_COUNT:
        p->known = false;
        (void)read_rest(in);
        return;
    }
}

static void read_request(sp_reader *in, sp_sftp_packet *p)
{
    switch (p->type) {
    case SP_SFTP_INIT:
        p->pairs = read_rest(in);
        return;
    case SP_SFTP_OPEN:
        p->path = read_path(in);
        p->pflags = sp_read_u32(in);
        read_own_attrs(in, p);
        return;
    case SP_SFTP_CLOSE:
    case SP_SFTP_FSTAT:
    case SP_SFTP_READDIR:
        p->handle = read_handle(in);
        return;
    case SP_SFTP_READ:
        p->handle = read_handle(in);
        p->offset = sp_read_u64(in);
        p->length = sp_read_u32(in);
        return;
    case SP_SFTP_FSETSTAT:
        p->handle = read_handle(in);
        read_own_attrs(in, p);
        return;
    case SP_SFTP_SETSTAT:
    case SP_SFTP_MKDIR:
        p->path = read_path(in);
        read_own_attrs(in, p);
        return;
    case SP_SFTP_LSTAT:
    case SP_SFTP_STAT:
    case SP_SFTP_OPENDIR:
    case SP_SFTP_REMOVE:
    case SP_SFTP_RMDIR:
    case SP_SFTP_REALPATH:
    case SP_SFTP_READLINK:
        p->path = read_path(in);
        return;
    case SP_SFTP_RENAME:
    case SP_SFTP_SYMLINK:
        p->path = read_path(in);
        p->path2 = read_path(in);
        return;
    case SP_SFTP_EXTENDED:
        read_extended(in, p);
        return;
    default: /* of a later version: handed on as unknown */
        p->known = false;
        (void)read_rest(in);
        return;
    }
}

static void read_name(sp_reader *in, sp_sftp_name *name)
{
    name->name = sp_read_bytes(in, SP_SFTP_PATH_MAX_BYTES);
    name->long_name = sp_read_bytes(in, TEXT_MAX_BYTES);
    name->attrs = (sp_sftp_attrs){0};
    read_attrs(in, &name->attrs);
}

static void read_names(sp_reader *in, sp_sftp_packet *p)
{
    sp_sftp_name name;
    p->count = sp_read_u32(in);
    p->names = in->rest;
    for (uint32_t i = 0; i < p->count && !sp_failed(in->err); i++) {
        read_name(in, &name);
    }
}

static void read_answer(sp_reader *in, sp_sftp_packet *p)
{
    switch (p->type) {
    case SP_SFTP_VERSION_IS:
        p->pairs = read_rest(in);
        return;
    case SP_SFTP_STATUS:
        p->code = sp_read_u32(in);
        if (in->rest.len > 0) { /* old servers say nothing more */
            p->message = sp_read_bytes(in, TEXT_MAX_BYTES);
            (void)sp_read_bytes(in, EXTENSION_NAME_MAX_BYTES);
        }
        return;
    case SP_SFTP_HANDLE:
        p->handle = read_handle(in);
        return;
    case SP_SFTP_NAME:
        read_names(in, p);
        return;
    case SP_SFTP_ATTRS:
        read_own_attrs(in, p);
        return;
    case SP_SFTP_EXTENDED_REPLY:
        (void)read_rest(in);
        return;
    default: /* nothing else is an answer */
        sp_reader_fail(in, SP_EINVALID);
        return;
    }
}

/* Pairs of strings. */
static bool pairs_ok(sp_span pairs)
{
    sp_reader in = sp_reader_of(pairs);
    while (in.rest.len > 0 && !sp_failed(in.err)) {
        (void)sp_read_bytes(&in, EXTENSION_NAME_MAX_BYTES);
        (void)sp_read_bytes(&in, TEXT_MAX_BYTES);
    }
    return !sp_failed(in.err);
}

/* ---- the stream ---- */

/* INIT and VERSION come first and once. */
static bool in_order(sp_sftp *sftp, uint8_t type)
{
    bool first = type == (sftp->side == SP_SFTP_FROM_CLIENT ? SP_SFTP_INIT : SP_SFTP_VERSION_IS);
    bool ok = first != sftp->begun;
    sftp->begun = true;
    return ok;
}

static sp_err parse(sp_sftp *sftp, sp_span raw, sp_sftp_packet *p)
{
    sp_reader in = sp_reader_of(sp_span_slice(raw, LENGTH_BYTES, raw.len));
    *p = (sp_sftp_packet){.type = sp_read_u8(&in), .known = true, .raw = raw};
    p->id = sp_read_u32(&in);
    if (!sp_failed(in.err) && !in_order(sftp, p->type)) {
        return sp_fail(SP_EINVALID);
    }
    if (sftp->side == SP_SFTP_FROM_CLIENT) {
        read_request(&in, p);
    } else {
        read_answer(&in, p);
    }
    TRY(sp_reader_finish(&in));
    return pairs_ok(p->pairs) ? sp_ok() : sp_fail(SP_EINVALID);
}

/* A WRITE or DATA whose bytes follow: fills the packet and tells how long its head is. SP_EAGAIN:
 * not all of the head is there. */
static sp_err parse_head(sp_sftp *sftp, sp_span have, uint32_t length, sp_sftp_packet *p,
                         size_t *ret_head)
{
    sp_reader in = sp_reader_of(sp_span_slice(have, LENGTH_BYTES, have.len));
    size_t whole = in.rest.len;
    *p = (sp_sftp_packet){.type = sp_read_u8(&in), .known = true};
    p->id = sp_read_u32(&in);
    if (p->type == SP_SFTP_WRITE) {
        p->handle = read_handle(&in);
        p->offset = sp_read_u64(&in);
    }
    p->length = sp_read_u32(&in);
    if (sp_failed(in.err)) {
        return sp_fail(in.err.code == SP_ESHORT && whole < length ? SP_EAGAIN : in.err.code);
    }
    size_t head = whole - in.rest.len;
    if (head + p->length != length) {
        return sp_fail(SP_EINVALID);
    }
    if (!in_order(sftp, p->type)) {
        return sp_fail(SP_EINVALID);
    }
    *ret_head = LENGTH_BYTES + head;
    p->raw = sp_span_slice(have, 0, *ret_head);
    return sp_ok();
}

static bool streams(const sp_sftp *sftp, uint8_t type)
{
    return type == (sftp->side == SP_SFTP_FROM_CLIENT ? SP_SFTP_WRITE : SP_SFTP_DATA);
}

/* A packet off have, when there is one: how many bytes of it were used. SP_EAGAIN: more is needed.
 */
static sp_err take_packet(sp_sftp *sftp, sp_span have, sp_sftp_packet *p, size_t *ret_used)
{
    sp_reader in = sp_reader_of(have);
    if (have.len < LENGTH_BYTES + TYPE_BYTES) {
        return sp_fail(SP_EAGAIN);
    }
    uint32_t length = sp_read_u32(&in);
    uint8_t type = sp_read_u8(&in);
    if (length < TYPE_BYTES + ID_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    if (length > SP_SFTP_PACKET_MAX_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    sp_span whole = sp_span_slice(have, 0, (size_t)LENGTH_BYTES + length);
    if (streams(sftp, type)) {
        TRY(parse_head(sftp, whole, length, p, ret_used));
        sftp->left = p->length;
        return sp_ok();
    }
    if (have.len < (size_t)LENGTH_BYTES + length) {
        return sp_fail(SP_EAGAIN);
    }
    *ret_used = whole.len;
    return parse(sftp, whole, p);
}

/* How many more bytes may be held without taking what belongs to a file or the next packet. */
static size_t wanted(const sp_sftp *sftp)
{
    sp_span held = sp_buf_borrow(&sftp->held);
    sp_reader in = sp_reader_of(held);
    if (held.len < LENGTH_BYTES + TYPE_BYTES) {
        return LENGTH_BYTES + TYPE_BYTES - held.len;
    }
    size_t whole = (size_t)LENGTH_BYTES + sp_read_u32(&in);
    size_t upto = whole;
    if (streams(sftp, held.ptr[LENGTH_BYTES])) {
        upto = sftp->side == SP_SFTP_FROM_CLIENT ? (size_t)WRITE_HEAD_MAX_BYTES : DATA_HEAD_BYTES;
        upto = held.len < upto ? held.len + 1 : held.len; /* byte by byte: heads are short */
        upto = upto < whole ? upto : whole;
    }
    return upto > held.len ? upto - held.len : 0;
}

/* Goes on with a packet whose begin is held. */
static sp_err take_held(sp_sftp *sftp, sp_span *input, sp_sftp_event *event)
{
    size_t used = 0;
    sp_err err = sp_fail(SP_EAGAIN);
    while (err.code == SP_EAGAIN) {
        size_t want = wanted(sftp);
        size_t take = want < input->len ? want : input->len;
        if (take == 0) {
            return input->len == 0 ? sp_ok() : sp_fail(SP_EINVALID);
        }
        sp_buf_span(&sftp->held, sp_span_slice(*input, 0, take));
        *input = sp_span_slice(*input, take, input->len);
        TRY(sp_buf_error(&sftp->held));
        err = take_packet(sftp, sp_buf_borrow(&sftp->held), &event->packet, &used);
    }
    TRY(err);
    sftp->handed = true;
    event->kind = SP_SFTP_PACKET;
    return sp_ok();
}

sp_err sp_sftp_next(sp_sftp *sftp, sp_span *input, sp_sftp_event *ret_event)
{
    *ret_event = (sp_sftp_event){.kind = SP_SFTP_WANTS_MORE};
    if (sftp->handed) {
        sftp->handed = false;
        sp_buf_reset(&sftp->held);
    }
    if (sftp->left > 0) {
        size_t take = sftp->left < input->len ? sftp->left : input->len;
        if (take > 0) {
            ret_event->kind = SP_SFTP_PIECE;
            ret_event->piece = sp_span_slice(*input, 0, take);
            *input = sp_span_slice(*input, take, input->len);
            sftp->left -= (uint32_t)take;
            ret_event->last = sftp->left == 0;
        }
        return sp_ok();
    }
    if (input->len == 0) {
        return sp_ok();
    }
    if (sftp->held.len > 0) {
        return take_held(sftp, input, ret_event);
    }
    size_t used = 0;
    sp_err err = take_packet(sftp, *input, &ret_event->packet, &used);
    if (err.code == SP_EAGAIN) {
        return take_held(sftp, input, ret_event);
    }
    TRY(err);
    *input = sp_span_slice(*input, used, input->len);
    ret_event->kind = SP_SFTP_PACKET;
    return sp_ok();
}

/* ---- what a request is ---- */

#define BIT(action) (1U << (action))

static unsigned open_actions(uint32_t pflags)
{
    unsigned bits = 0;
    bool writes =
        (pflags & (SP_SFTP_F_WRITE | SP_SFTP_F_APPEND | SP_SFTP_F_CREAT | SP_SFTP_F_TRUNC)) != 0;
    bits |= (pflags & SP_SFTP_F_READ) != 0 || !writes ? BIT(SP_ACTION_EXPORT) : 0;
    bits |= writes ? BIT(SP_ACTION_IMPORT) : 0;
    return bits;
}

/* A size that is set cuts off what lies behind it. */
static unsigned attrs_actions(const sp_sftp_packet *p)
{
    return BIT(SP_ACTION_WRITE) |
           ((p->attrs.flags & SP_SFTP_A_SIZE) != 0 ? BIT(SP_ACTION_DESTROY) : 0);
}

static unsigned extended_actions(const sp_sftp_packet *p)
{
    switch ((sp_sftp_extension)p->extension) {
    case SP_SFTP_X_POSIX_RENAME: /* replaces what is there */
    case SP_SFTP_X_HARDLINK:
        return BIT(SP_ACTION_WRITE);
    case SP_SFTP_X_LSETSTAT:
        return attrs_actions(p);
    case SP_SFTP_X_STATVFS:
    case SP_SFTP_X_EXPAND_PATH:
        return BIT(SP_ACTION_READ);
    case SP_SFTP_X_FSTATVFS:
    case SP_SFTP_X_FSYNC:
    case SP_SFTP_X_LIMITS:
    case SP_SFTP_X_NONE:
    case SP_SFTP_X_UNKNOWN:
    case SP_SFTP_X_COUNT:
        return 0;
    }
    return 0;
}

unsigned sp_sftp_actions(const sp_sftp_packet *request)
{
    switch (request->type) {
    case SP_SFTP_OPEN:
        return open_actions(request->pflags);
    case SP_SFTP_SETSTAT:
    case SP_SFTP_FSETSTAT:
        return attrs_actions(request);
    case SP_SFTP_REMOVE:
    case SP_SFTP_RMDIR:
        return BIT(SP_ACTION_DESTROY);
    case SP_SFTP_MKDIR:
    case SP_SFTP_RENAME:
    case SP_SFTP_SYMLINK:
        return BIT(SP_ACTION_WRITE);
    case SP_SFTP_LSTAT:
    case SP_SFTP_STAT:
    case SP_SFTP_OPENDIR:
    case SP_SFTP_REALPATH:
    case SP_SFTP_READLINK:
        return BIT(SP_ACTION_READ);
    case SP_SFTP_EXTENDED:
        return extended_actions(request);
    default: /* by a handle that was decided, or unknown and refused */
        return 0;
    }
}

const char *sp_sftp_word(const sp_sftp_packet *packet)
{
    static const char *const REQUESTS[] = {
        "?",     "init",  "version",  "open",     "close",   "read",     "write",
        "lstat", "fstat", "setstat",  "fsetstat", "opendir", "readdir",  "remove",
        "mkdir", "rmdir", "realpath", "stat",     "rename",  "readlink", "symlink"};
    static const char *const ANSWERS[] = {"status", "handle", "data", "name", "attrs"};
    if (packet->type < SP_COUNT(REQUESTS)) {
        return REQUESTS[packet->type];
    }
    if (packet->type >= SP_SFTP_STATUS && packet->type <= SP_SFTP_ATTRS) {
        return ANSWERS[packet->type - SP_SFTP_STATUS];
    }
    if (packet->type == SP_SFTP_EXTENDED && packet->extension >= SP_SFTP_X_POSIX_RENAME &&
        packet->extension < SP_SFTP_X_COUNT) {
        return EXTENSIONS[packet->extension].name;
    }
    return packet->type == SP_SFTP_EXTENDED || packet->type == SP_SFTP_EXTENDED_REPLY ? "extended"
                                                                                      : "?";
}

bool sp_sftp_name_next(sp_span *names, sp_sftp_name *ret_name)
{
    sp_reader in = sp_reader_of(*names);
    if (names->len == 0) {
        return false;
    }
    read_name(&in, ret_name);
    *names = in.rest;
    return !sp_failed(in.err);
}

/* ---- writing ---- */

void sp_sftp_put_status(sp_buf *out, uint32_t id, uint32_t code, sp_span message)
{
    sp_span said = sp_span_slice(message, 0, TEXT_MAX_BYTES);
    sp_buf_u32(out, (uint32_t)(TYPE_BYTES + ID_BYTES + 4 + 4 + said.len + 4 + 2));
    sp_buf_u8(out, SP_SFTP_STATUS);
    sp_buf_u32(out, id);
    sp_buf_u32(out, code);
    sp_buf_bytes(out, said);
    sp_buf_bytes(out, SP_SPAN_LIT("en"));
}

void sp_sftp_put_path(sp_buf *out, sp_sftp_type type, uint32_t id, sp_span path)
{
    sp_buf_u32(out, (uint32_t)(TYPE_BYTES + ID_BYTES + 4 + path.len));
    sp_buf_u8(out, (uint8_t)type);
    sp_buf_u32(out, id);
    sp_buf_bytes(out, path);
}

void sp_sftp_put_rename(sp_buf *out, uint32_t id, sp_span from, sp_span to)
{
    sp_buf_u32(out, (uint32_t)(TYPE_BYTES + ID_BYTES + 4 + from.len + 4 + to.len));
    sp_buf_u8(out, SP_SFTP_RENAME);
    sp_buf_u32(out, id);
    sp_buf_bytes(out, from);
    sp_buf_bytes(out, to);
}

void sp_sftp_open_new(sp_buf *open)
{
    sp_reader in = sp_reader_of(sp_buf_borrow(open));
    (void)sp_read_span(&in, LENGTH_BYTES + TYPE_BYTES + ID_BYTES);
    (void)sp_read_bytes(&in, SP_SFTP_PATH_MAX_BYTES);
    uint32_t pflags = sp_read_u32(&in);
    if (!sp_failed(in.err)) {
        size_t end = open->len - in.rest.len;
        open->ptr[end - 1] = (uint8_t)(pflags | SP_SFTP_F_EXCL); /* the last of its four bytes */
    }
}

void sp_sftp_put_init(sp_buf *out)
{
    sp_buf_u32(out, TYPE_BYTES + ID_BYTES);
    sp_buf_u8(out, SP_SFTP_INIT);
    sp_buf_u32(out, SP_SFTP_VERSION);
}

void sp_sftp_put_version(sp_buf *out, const sp_sftp_packet *version)
{
    auto_buf sp_buf kept = sp_buf_make(SP_SFTP_PACKET_MAX_BYTES);
    sp_reader in = sp_reader_of(version->pairs);
    while (in.rest.len > 0 && !sp_failed(in.err)) {
        sp_span name = sp_read_bytes(&in, EXTENSION_NAME_MAX_BYTES);
        sp_span value = sp_read_bytes(&in, TEXT_MAX_BYTES);
        uint8_t extension = extension_of(name);
        if (extension != SP_SFTP_X_UNKNOWN &&
            sp_span_eq(value, sp_span_cstr(EXTENSIONS[extension].version))) {
            sp_buf_bytes(&kept, name);
            sp_buf_bytes(&kept, value);
        }
    }
    sp_span pairs = sp_buf_borrow(&kept);
    sp_buf_u32(out, (uint32_t)(TYPE_BYTES + ID_BYTES + pairs.len));
    sp_buf_u8(out, SP_SFTP_VERSION_IS);
    sp_buf_u32(out, SP_SFTP_VERSION);
    sp_buf_span(out, pairs);
}
