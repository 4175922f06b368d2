/* SPDX-License-Identifier: Apache-2.0
 * The PostgreSQL wire, protocol 3.x: cutting a stream into messages, reading what a gate looks
 * at, writing what it says itself.
 *
 * Story: before log-in a client sends packets without a type (sp_pg_first_read); after it, both
 * sides send messages of a type byte and a length. sp_pg_head_read() tells the length of the
 * message that begins at a place without needing all of it, so that bulk can pass as runs of
 * bytes; the readers below take a whole body.
 *
 * OWNS nothing: spans point into the input; writers append to the caller's buffer. PROCESS db gate.
 * TRUST every byte read here is hostile, from clients and from servers: lengths and counts are
 * checked before use, strings end with NUL inside the body. SPEC PostgreSQL 15 manual, chapter 55
 * "Frontend/Backend Protocol".
 */
#ifndef SP_PROTO_PGWIRE_H
#define SP_PROTO_PGWIRE_H

#include "lib/base/buf.h"
#include "lib/base/reader.h"

enum {
    SP_PG_HEAD_BYTES = 5,
    SP_PG_FIRST_MAX_BYTES = 10000, /* a start-up packet, as the server has it */
    SP_PG_BODY_MAX_BYTES = 0x3fffffff,
    SP_PG_FRONT_BODY_MAX_BYTES = 0x3ffffffa, /* of a client: at more the server ends, unsaid */
    SP_PG_COLUMNS_MAX = 1664,                /* of one result, as the server has it */
    SP_PG_SASL_MAX_BYTES = 4096
};

/* ---- before log-in ---- */

typedef enum {
    SP_PG_FIRST_STARTUP,
    SP_PG_FIRST_SSL,
    SP_PG_FIRST_GSSENC,
    SP_PG_FIRST_CANCEL,
    SP_PG_FIRST_COUNT
} sp_pg_first_kind;

typedef struct {
    sp_pg_first_kind kind;
    size_t size_bytes; /* of the whole packet */
    uint16_t major;    /* STARTUP */
    uint16_t minor;
    sp_span parameters; /* STARTUP: walk with sp_pg_parameter_next() */
    uint32_t cancel_pid;
    sp_span cancel_key; /* 4 bytes; up to 256 from protocol 3.2 on */
} sp_pg_first;

/* SP_EAGAIN: not whole yet. SP_ELIMIT, SP_EINVALID. */
SP_MUST sp_err sp_pg_first_read(sp_span bytes, sp_pg_first *ret_first);
/* Takes the next name and value; false at the end. The list was checked by sp_pg_first_read(). */
bool sp_pg_parameter_next(sp_span *parameters, sp_span *ret_name, sp_span *ret_value);

/* ---- messages ---- */

typedef struct {
    uint8_t type;
    uint32_t body_len;
} sp_pg_head;

/* The head of the message that begins here. SP_EAGAIN: fewer than 5 bytes. SP_EINVALID: a length
 * below 4. SP_ELIMIT: above 1 GiB. */
SP_MUST sp_err sp_pg_head_read(sp_span bytes, sp_pg_head *ret_head);

/* A message, or its beginning. */
typedef struct {
    uint8_t type;
    bool whole;        /* false: body holds only the first bytes */
    uint32_t body_len; /* of the whole */
    sp_span body;      /* behind type and length */
} sp_pg_msg;

/* Front types that belong after log-in: B C D E F H P Q S X c d f p. */
bool sp_pg_is_front(uint8_t type);

/* ---- front messages ---- */

typedef struct {
    sp_span name; /* of the prepared statement, empty = unnamed */
    sp_span text;
    uint16_t type_count;
    sp_span types; /* type_count times u32 */
} sp_pg_parse;

typedef struct {
    sp_span portal;
    sp_span statement;
    uint16_t format_count;
    sp_span formats; /* u16 each */
    uint16_t value_count;
    sp_span values; /* walk with sp_pg_value_next() */
    uint16_t result_format_count;
    sp_span result_formats; /* u16 each */
} sp_pg_bind;

typedef struct {
    uint8_t kind; /* 'S' statement, 'P' portal */
    sp_span name;
} sp_pg_named; /* Describe, Close */

typedef struct {
    sp_span portal;
    uint32_t rows_max; /* 0 = all */
} sp_pg_execute;

typedef struct {
    sp_span mechanism;
    bool has_data;
    sp_span data;
} sp_pg_sasl_initial;

SP_MUST sp_err sp_pg_query_read(sp_span body, sp_span *ret_text);
SP_MUST sp_err sp_pg_parse_read(sp_span body, sp_pg_parse *ret_parse);
SP_MUST sp_err sp_pg_bind_read(sp_span body, sp_pg_bind *ret_bind);
/* Only portal and statement, from a body of which the rest has not come yet. */
SP_MUST sp_err sp_pg_bind_names_read(sp_span body, sp_span *ret_portal, sp_span *ret_statement);
SP_MUST sp_err sp_pg_named_read(sp_span body, sp_pg_named *ret_named);
SP_MUST sp_err sp_pg_execute_read(sp_span body, sp_pg_execute *ret_execute);
SP_MUST sp_err sp_pg_sasl_initial_read(sp_span body, sp_pg_sasl_initial *ret_initial);
/* One value of a Bind or DataRow; *ret_is_null. False at the end. */
bool sp_pg_value_next(sp_span *values, sp_span *ret_value, bool *ret_is_null);
/* The format (0 text, 1 binary) of value number at, by the rule of Bind: none = text, one = all. */
uint16_t sp_pg_format_of(uint16_t count, sp_span formats, uint16_t at);

/* ---- back messages ---- */

typedef enum {
    SP_PG_AUTH_OK = 0,
    SP_PG_AUTH_CLEARTEXT = 3,
    SP_PG_AUTH_MD5 = 5,
    SP_PG_AUTH_SASL = 10,
    SP_PG_AUTH_SASL_CONTINUE = 11,
    SP_PG_AUTH_SASL_FINAL = 12
} sp_pg_auth_kind;

typedef struct {
    uint32_t kind; /* sp_pg_auth_kind or another */
    sp_span data;  /* MD5: salt; SASL: mechanisms, each with NUL; else the server's bytes */
} sp_pg_auth;

typedef struct {
    sp_span name;
    uint32_t table_oid; /* 0 = no plain column */
    int16_t attnum;     /* <= 0: system column or whole row */
    uint32_t type_oid;
    int16_t type_len;
    int32_t type_mod;
    uint16_t format;
} sp_pg_field;

typedef struct {
    uint16_t count;
    sp_span fields; /* walk with sp_pg_field_next(); checked */
} sp_pg_row_description;

typedef struct {
    uint16_t count;
    sp_span values; /* walk with sp_pg_value_next(); checked */
} sp_pg_data_row;

typedef struct {
    sp_span severity; /* V where there is one, else S */
    sp_span sqlstate;
    sp_span message;
    sp_span detail;
    sp_span hint;
    sp_span position; /* digits: character of the statement, from 1 */
} sp_pg_error;        /* ErrorResponse, NoticeResponse */

typedef struct {
    uint8_t format; /* 0 text, 1 binary */
    uint16_t column_count;
    sp_span column_formats;
} sp_pg_copy;

SP_MUST sp_err sp_pg_auth_read(sp_span body, sp_pg_auth *ret_auth);
SP_MUST sp_err sp_pg_key_read(sp_span body, uint32_t *ret_pid, sp_span *ret_key);
SP_MUST sp_err sp_pg_status_read(sp_span body, sp_span *ret_name, sp_span *ret_value);
SP_MUST sp_err sp_pg_ready_read(sp_span body, uint8_t *ret_status);
SP_MUST sp_err sp_pg_complete_read(sp_span body, sp_span *ret_tag);
SP_MUST sp_err sp_pg_row_description_read(sp_span body, sp_pg_row_description *ret_description);
bool sp_pg_field_next(sp_span *fields, sp_pg_field *ret_field);
SP_MUST sp_err sp_pg_data_row_read(sp_span body, sp_pg_data_row *ret_row);
SP_MUST sp_err sp_pg_error_read(sp_span body, sp_pg_error *ret_error);
/* Of a body of which only the beginning is here: what stands there, of each field each_max bytes at
 * most, whole characters. */
sp_pg_error sp_pg_error_begin(sp_span begin, size_t each_max);
SP_MUST sp_err sp_pg_copy_read(sp_span body, sp_pg_copy *ret_copy);

/* ---- writers ---- */

/* Begins a message; sp_pg_end() fills its length in. */
size_t sp_pg_begin(sp_buf *out, uint8_t type);
void sp_pg_end(sp_buf *out, size_t begun_at);
/* The text and a NUL. A NUL inside fails the buffer with SP_EINVALID. */
void sp_pg_cstr(sp_buf *out, sp_span text);

void sp_pg_startup_write(sp_buf *out, const sp_span *names_and_values, size_t pair_count);
void sp_pg_ssl_request_write(sp_buf *out);
void sp_pg_cancel_write(sp_buf *out, uint32_t pid, sp_span key);
void sp_pg_query_write(sp_buf *out, sp_span text);
void sp_pg_parse_write(sp_buf *out, sp_span name, sp_span text);
/* With the types that stand in parse. */
void sp_pg_parse_typed_write(sp_buf *out, const sp_pg_parse *parse);
/* The result in text, whatever bind says of it. */
void sp_pg_bind_write(sp_buf *out, const sp_pg_bind *bind);
void sp_pg_execute_write(sp_buf *out, sp_span portal);
void sp_pg_empty_write(sp_buf *out, uint8_t type); /* Sync, Flush, Terminate, CopyDone ... */
void sp_pg_copy_fail_write(sp_buf *out, const char *why);
void sp_pg_sasl_initial_write(sp_buf *out, sp_span mechanism, sp_span data);
void sp_pg_password_write(sp_buf *out, sp_span bytes); /* also a SASL response */

void sp_pg_auth_write(sp_buf *out, uint32_t kind, sp_span data);
void sp_pg_negotiate_write(sp_buf *out, uint16_t minor, const sp_span *options, size_t count);
/* key: 4 bytes, up to 256 from protocol 3.2 on. */
void sp_pg_key_write(sp_buf *out, uint32_t pid, sp_span key);
void sp_pg_ready_write(sp_buf *out, uint8_t status);
/* type 'E' or 'N'; severity "ERROR", "FATAL", "NOTICE"; empty detail and hint are left out. */
void sp_pg_error_write(sp_buf *out, uint8_t type, const sp_pg_error *error);

#endif
