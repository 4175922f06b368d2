/* SPDX-License-Identifier: Apache-2.0
 * SFTP version 3, both directions: packets off a stream that is cut anywhere, without copying what
 * is in files.
 *
 * Story: one sp_sftp a direction. Give it what came; it hands out events until it wants more. A
 * packet is handed out once all of it is there, except for the bytes of a WRITE or DATA: these
 * follow as pieces that point into the input. packet.raw are the bytes to pass on; whoever refuses
 * writes an answer of his own (sp_sftp_put_status) and lets the pieces fall.
 *
 * OWNS a packet that came in pieces. PROCESS ssh gate. TRUST both sides are hostile: an error ends
 * the channel. SPEC draft-ietf-secsh-filexfer-02, OpenSSH PROTOCOL section 4 (9.2).
 */
#ifndef SP_PROTO_SFTP_H
#define SP_PROTO_SFTP_H

#include "lib/base/buf.h"
#include "lib/base/reader.h"
#include "lib/policy/types.h"

enum {
    SP_SFTP_VERSION = 3,
    SP_SFTP_PACKET_MAX_BYTES = 256 * 1024, /* as OpenSSH */
    SP_SFTP_PATH_MAX_BYTES = 4096,
    SP_SFTP_HANDLE_MAX_BYTES = 256
};

typedef enum {
    SP_SFTP_INIT = 1,
    SP_SFTP_VERSION_IS = 2,
    SP_SFTP_OPEN = 3,
    SP_SFTP_CLOSE = 4,
    SP_SFTP_READ = 5,
    SP_SFTP_WRITE = 6,
    SP_SFTP_LSTAT = 7,
    SP_SFTP_FSTAT = 8,
    SP_SFTP_SETSTAT = 9,
    SP_SFTP_FSETSTAT = 10,
    SP_SFTP_OPENDIR = 11,
    SP_SFTP_READDIR = 12,
    SP_SFTP_REMOVE = 13,
    SP_SFTP_MKDIR = 14,
    SP_SFTP_RMDIR = 15,
    SP_SFTP_REALPATH = 16,
    SP_SFTP_STAT = 17,
    SP_SFTP_RENAME = 18,
    SP_SFTP_READLINK = 19,
    SP_SFTP_SYMLINK = 20,
    SP_SFTP_STATUS = 101,
    SP_SFTP_HANDLE = 102,
    SP_SFTP_DATA = 103,
    SP_SFTP_NAME = 104,
    SP_SFTP_ATTRS = 105,
    SP_SFTP_EXTENDED = 200,
    SP_SFTP_EXTENDED_REPLY = 201
} sp_sftp_type;

typedef enum {
    SP_SFTP_X_NONE,    /* no extension */
    SP_SFTP_X_UNKNOWN, /* answer SP_SFTP_UNSUPPORTED */
    SP_SFTP_X_POSIX_RENAME,
    SP_SFTP_X_STATVFS,
    SP_SFTP_X_FSTATVFS,
    SP_SFTP_X_HARDLINK,
    SP_SFTP_X_FSYNC,
    SP_SFTP_X_LSETSTAT,
    SP_SFTP_X_LIMITS,
    SP_SFTP_X_EXPAND_PATH,
    SP_SFTP_X_COUNT
} sp_sftp_extension;

enum { /* of OPEN */
       SP_SFTP_F_READ = 0x01,
       SP_SFTP_F_WRITE = 0x02,
       SP_SFTP_F_APPEND = 0x04,
       SP_SFTP_F_CREAT = 0x08,
       SP_SFTP_F_TRUNC = 0x10,
       SP_SFTP_F_EXCL = 0x20
};

enum { /* of STATUS */
       SP_SFTP_OK = 0,
       SP_SFTP_EOF = 1,
       SP_SFTP_NO_SUCH_FILE = 2,
       SP_SFTP_PERMISSION_DENIED = 3,
       SP_SFTP_FAILURE = 4,
       SP_SFTP_BAD_MESSAGE = 5,
       SP_SFTP_UNSUPPORTED = 8
};

enum { /* which of an attribute's members are there */
       SP_SFTP_A_SIZE = 0x01,
       SP_SFTP_A_OWNER = 0x02,
       SP_SFTP_A_MODE = 0x04,
       SP_SFTP_A_TIMES = 0x08
};
#define SP_SFTP_A_EXTENDED UINT32_C(0x80000000)

typedef struct {
    uint32_t flags;
    uint64_t size;
    uint32_t uid;
    uint32_t gid;
    uint32_t mode; /* with the type of file, as st_mode */
    uint32_t atime;
    uint32_t mtime;
} sp_sftp_attrs;

typedef struct {
    uint8_t type;      /* sp_sftp_type; others are handed on with known false */
    uint8_t extension; /* sp_sftp_extension */
    bool known;
    uint32_t id;     /* of INIT and VERSION: the version */
    sp_span path;    /* RENAME, hardlink: from; SYMLINK: what it points to, as OpenSSH has it */
    sp_span path2;   /* RENAME, hardlink: to; SYMLINK: the link */
    sp_span handle;  /* requests with one; HANDLE */
    uint64_t offset; /* READ, WRITE */
    uint32_t length; /* READ: asked for; WRITE, DATA: bytes that follow as pieces */
    uint32_t pflags; /* OPEN */
    uint32_t code;   /* STATUS */
    sp_span message; /* STATUS */
    uint32_t count;  /* NAME */
    sp_span names;   /* NAME: sp_sftp_name_next */
    sp_span pairs;   /* INIT, VERSION: extensions */
    sp_sftp_attrs attrs;
    bool has_attrs;
    sp_span raw; /* the packet with its length, without what follows as pieces */
} sp_sftp_packet;

typedef enum { SP_SFTP_FROM_CLIENT, SP_SFTP_FROM_SERVER } sp_sftp_side;

typedef enum {
    SP_SFTP_WANTS_MORE, /* all input is taken */
    SP_SFTP_PACKET,
    SP_SFTP_PIECE /* bytes of the WRITE or DATA that was handed out last */
} sp_sftp_event_kind;

typedef struct {
    uint8_t kind; /* sp_sftp_event_kind */
    bool last;    /* PIECE: the last of its packet */
    sp_span piece;
    sp_sftp_packet packet;
} sp_sftp_event;

typedef struct {
    uint8_t side;  /* sp_sftp_side */
    uint32_t left; /* bytes of a WRITE or DATA that are still to come */
    sp_buf held;   /* the begin of a packet */
    bool handed;   /* held was handed out: it is emptied by the next call */
    bool begun;    /* INIT or VERSION has passed */
} sp_sftp;

sp_sftp sp_sftp_make(sp_sftp_side side);
void sp_sftp_done(sp_sftp *sftp);

/* Takes from *input. Spans are valid until the next call and as long as the input is. SP_EINVALID,
 * SP_ESHORT, SP_ELIMIT: the stream cannot be followed any further. */
SP_MUST sp_err sp_sftp_next(sp_sftp *sftp, sp_span *input, sp_sftp_event *ret_event);

/* ---- what a request is ---- */

/* Bits of sp_action (1U << SP_ACTION_x) of a request on its path; 0: nothing to decide (INIT,
 * CLOSE, and what is done by a handle that was decided at OPEN). Opening for writing is import;
 * a file that exists is written over by it, so destroyed as well, unless it is appended to, and so
 * is what a posix-rename replaces: the caller looks whether it does.
 */
unsigned sp_sftp_actions(const sp_sftp_packet *request);
/* "open", "posix-rename@openssh.com", ... */
/* Whether what is put there, or given that name, may be run by itself: ~/.bashrc, a hook, /etc. */
bool sp_sftp_runs(sp_span path);
const char *sp_sftp_word(const sp_sftp_packet *packet);

typedef struct {
    sp_span name;
    sp_span long_name;
    sp_sftp_attrs attrs;
} sp_sftp_name;

/* Takes the next off packet.names. They were checked. */
bool sp_sftp_name_next(sp_span *names, sp_sftp_name *ret_name);

/* ---- answers and requests of the gate's own ---- */

void sp_sftp_put_status(sp_buf *out, uint32_t id, uint32_t code, sp_span message);
/* A request of one path: REALPATH, STAT, LSTAT, READLINK. */
void sp_sftp_put_path(sp_buf *out, sp_sftp_type type, uint32_t id, sp_span path);
void sp_sftp_put_rename(sp_buf *out, uint32_t id, sp_span from, sp_span to);
/* This OPEN makes its file, and fails where there is one: whatever comes there meanwhile. */
void sp_sftp_open_new(sp_buf *open);
/* INIT of the gate's own, without extensions. */
void sp_sftp_put_init(sp_buf *out);
/* The server's VERSION with those of its extensions that are known here: clients then ask for no
 * others. */
void sp_sftp_put_version(sp_buf *out, const sp_sftp_packet *version);

#endif
