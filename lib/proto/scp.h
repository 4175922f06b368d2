/* SPDX-License-Identifier: Apache-2.0
 * The old scp protocol (scp -t, scp -f), both directions: records and answers off a stream that is
 * cut anywhere, without copying what is in files.
 *
 * Story: the side that has the files (source) sends records: T times, C a file and its bytes, D a
 * folder, E its end. The other side (sink) answers each, and each file's bytes, with a byte: 0, or
 * 1 or 2 and a line of text. With scp -t the client is the source, with scp -f the server is.
 *
 * OWNS a line that came in pieces (in place). PROCESS ssh gate. TRUST both sides are hostile: an
 * error ends the channel. Names with '/', ".", ".." and control characters are errors: a source
 * could place files elsewhere with them (CVE-2018-20685, CVE-2019-6111).
 * SPEC scp.c of OpenSSH 9.2.
 */
#ifndef SP_PROTO_SCP_H
#define SP_PROTO_SCP_H

#include "lib/base/buf.h"

enum { SP_SCP_LINE_MAX_BYTES = 2048, SP_SCP_NAME_MAX_BYTES = 255, SP_SCP_DEPTH_MAX = 64 };

typedef enum { SP_SCP_SOURCE, SP_SCP_SINK } sp_scp_side;

typedef enum {
    SP_SCP_WANTS_MORE, /* all input is taken */
    SP_SCP_TIMES,      /* of the record that follows */
    SP_SCP_FILE,       /* its bytes follow as pieces, then FILE_END */
    SP_SCP_PIECE,
    SP_SCP_FILE_END, /* good, or with a text when the source could not read all of it */
    SP_SCP_FOLDER,
    SP_SCP_FOLDER_END,
    SP_SCP_GOOD,    /* sink: goes on */
    SP_SCP_WARNING, /* text; it goes on */
    SP_SCP_FATAL    /* text; it ends */
} sp_scp_kind;

typedef struct {
    uint8_t kind;   /* sp_scp_kind */
    uint32_t mode;  /* FILE, FOLDER: permissions */
    uint64_t size;  /* FILE */
    sp_span name;   /* FILE, FOLDER */
    uint64_t mtime; /* TIMES */
    uint64_t atime;
    sp_span text; /* WARNING, FATAL, FILE_END */
    sp_span raw;  /* the bytes to pass on; of PIECE the piece */
} sp_scp_event;

typedef struct {
    uint64_t left; /* bytes of the file */
    uint8_t side;  /* sp_scp_side */
    bool in_file;  /* bytes, or the byte behind them */
    uint8_t depth; /* of folders */
    size_t len;
    uint8_t line[SP_SCP_LINE_MAX_BYTES];
} sp_scp;

void sp_scp_init(sp_scp *scp, sp_scp_side side);
/* Takes from *input. Spans are valid until the next call and as long as the input is. SP_EINVALID,
 * SP_ELIMIT: the stream cannot be followed any further. */
SP_MUST sp_err sp_scp_next(sp_scp *scp, sp_span *input, sp_scp_event *ret_event);
/* A refusal that both sides show: "\2scp: text\n". */
void sp_scp_put_fatal(sp_buf *out, sp_span text);

#endif
