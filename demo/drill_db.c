/* SPDX-License-Identifier: Apache-2.0
 * The drill's connections: the operator's, through the gate, and its own eyes, past it.
 * OWNS nothing but what it returns. PROCESS sallyport-demo. TRUST none. SPEC demo/drill.h.
 */
#include "demo/drill.h"
#include "infra/proc/file.h"

#include <stdio.h>

void drill_options_add(drill_options *to, const char *key, const char *value)
{
    to->keys[to->count] = key;
    to->values[to->count++] = value;
}

void drill_options_of(const demo *d, const drill_login *login, drill_options *to)
{
    *to = (drill_options){.count = 0};
    snprintf(to->port, sizeof(to->port), "%u", d->db_port);
    demo_path(d, "ca.pem", to->ca);
    drill_options_add(to, "host", "db." DEMO_DOMAIN);
    drill_options_add(to, "hostaddr", "127.0.0.1");
    drill_options_add(to, "port", to->port);
    drill_options_add(to, "user", login->user);
    drill_options_add(to, "password", login->password);
    drill_options_add(to, "dbname", "orders-db");
    drill_options_add(to, "sslmode", "verify-full");
    drill_options_add(to, "sslrootcert", to->ca);
    drill_options_add(to, "connect_timeout", "10");
    if (login->device[0] != '\0') {
        snprintf(to->certificate, sizeof(to->certificate), "%s/device.pem", login->device);
        snprintf(to->key, sizeof(to->key), "%s/device.key", login->device);
        drill_options_add(to, "sslcert", to->certificate);
        drill_options_add(to, "sslkey", to->key);
    }
}

static void quiet(void *self, const char *words)
{
    (void)self;
    (void)words;
}

static PGconn *opened(PGconn *conn, const char *whose, bool loud)
{
    if (PQstatus(conn) == CONNECTION_OK) {
        PQsetNoticeProcessor(conn, quiet, NULL);
        return conn;
    }
    if (loud) {
        demo_say("%s: %s", whose, PQerrorMessage(conn));
    }
    PQfinish(conn);
    return NULL;
}

PGconn *drill_connect(const demo *d, const drill_login *login, bool loud)
{
    drill_options with;
    drill_options_of(d, login, &with);
    return opened(PQconnectdbParams(with.keys, with.values, 0), login->user, loud);
}

static sp_err password_of(const demo *d, const char *role, char to[DEMO_TEXT_BYTES])
{
    char path[DEMO_PATH_BYTES];
    demo_path(d, "apps/orders/passwords", path);
    auto_buf sp_buf text = sp_buf_make(1 << 12);
    TRY(sp_file_read(path, &text));
    sp_span rest = sp_buf_borrow(&text);
    sp_span line;
    while (sp_span_split(&rest, '\n', &line)) {
        sp_span name;
        if (sp_span_split(&line, ' ', &name) && sp_span_eq(name, sp_span_cstr(role))) {
            return sp_fit(to, DEMO_TEXT_BYTES, line);
        }
    }
    return sp_fail(SP_ENOTFOUND);
}

PGconn *drill_look(const demo *d)
{
    char password[DEMO_TEXT_BYTES] = "";
    char port[16];
    if (sp_failed(password_of(d, "superuser", password))) {
        demo_say("%s/apps/orders/passwords cannot be read", d->base);
        return NULL;
    }
    snprintf(port, sizeof(port), "%u", d->orders_port);
    const char *const keys[] = {"host", "port", "user", "password", "dbname", NULL};
    const char *const values[] = {"127.0.0.1", port, "postgres", password, "orders", NULL};
    PGconn *conn = opened(PQconnectdbParams(keys, values, 0), "the server itself", true);
    sp_wipe(password, sizeof(password));
    return conn;
}

bool drill_is_shut(const demo *d, const char *role, const char *password)
{
    char port[16];
    snprintf(port, sizeof(port), "%u", d->orders_port);
    const char *const keys[] = {"host", "port", "user", "password", "dbname", NULL};
    const char *const values[] = {"127.0.0.1", port, role, password, "orders", NULL};
    PGconn *conn = PQconnectdbParams(keys, values, 0);
    bool is_shut = PQstatus(conn) != CONNECTION_OK;
    PQfinish(conn);
    return is_shut;
}

long drill_number(PGconn *eyes, const char *sql)
{
    PGresult *result = PQexec(eyes, sql);
    long value = -1;
    uint64_t read = 0;
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
        !sp_failed(sp_span_to_u64(sp_span_cstr(PQgetvalue(result, 0, 0)), INT64_MAX, &read))) {
        value = (long)read;
    }
    PQclear(result);
    return value;
}

long drill_next_write(PGconn *eyes)
{
    return drill_number(eyes,
                        "SELECT CASE WHEN pg_snapshot_xmin(s) = pg_snapshot_xmax(s) THEN "
                        "pg_snapshot_xmax(s)::text ELSE '0' END FROM pg_current_snapshot() s");
}

bool drill_state(PGconn *eyes, char ret_text[DEMO_TEXT_BYTES])
{
    /* every row of every table, in any order */
    PGresult *result = PQexec(
        eyes,
        "SELECT sum((xpath('/row/n/text()', x))[1]::text::bigint) || ' rows, checksum ' || "
        "md5(string_agg((xpath('/row/h/text()', x))[1]::text, ',' ORDER BY name)) FROM (SELECT "
        "c.oid::regclass::text AS name, query_to_xml(format('SELECT count(*) AS n, "
        "coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) AS h FROM %s t', "
        "c.oid::regclass), "
        "true, true, '') AS x FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace IN "
        "(SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'billing', 'audit'))) s");
    bool good = PQresultStatus(result) == PGRES_TUPLES_OK && !PQgetisnull(result, 0, 0);
    snprintf(ret_text, DEMO_TEXT_BYTES, "%s", good ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return good;
}
