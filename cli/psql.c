/* SPDX-License-Identifier: Apache-2.0
 * sallyport psql: a token, the office's certificate authority and the device's certificate, given
 * to psql through files that only this user can read and that are gone when it ends.
 * OWNS a temporary directory. PROCESS cli. TRUST the office is verified; nothing secret is in an
 * argument or in the environment. SPEC docs/man/sallyport-db.1; libpq "Connection Parameters".
 */
#include "cli/args.h"
#include "cli/client.h"
#include "cli/handlers.h"
#include "cli/here.h"
#include "cli/session_file.h"
#include "cli/table.h"
#include "infra/proc/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = SP_PATH_BYTES };
#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

typedef struct {
    char dir[PATH_BYTES];
    char password[PATH_BYTES];
    char ca[PATH_BYTES];
} place;

/* ---- the temporary files ---- */

static bool path_in(char to[PATH_BYTES], const char *dir, const char *name)
{
    int len = snprintf(to, PATH_BYTES, "%s/%s", dir, name);
    return len > 0 && len < PATH_BYTES;
}

static int place_make(place *p)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR"); /* memory, and one's own */
    struct stat st;
    bool good = runtime != NULL && runtime[0] == '/' && stat(runtime, &st) == 0 &&
                st.st_uid == geteuid() && (st.st_mode & 077) == 0;
    if (!path_in(p->dir, good ? runtime : "/tmp", "sallyport-XXXXXX") || mkdtemp(p->dir) == NULL ||
        !path_in(p->password, p->dir, "password") || !path_in(p->ca, p->dir, "ca.pem")) {
        sp_complain("no temporary directory: %s", strerror(errno));
        p->dir[0] = '\0';
        return SP_EXIT_FAILED;
    }
    return SP_EXIT_OK;
}

static void place_remove(const place *p)
{
    if (p->dir[0] != '\0') {
        unlink(p->password);
        unlink(p->ca);
        rmdir(p->dir);
    }
}

static sp_err write_password(const place *p, const char *password)
{
    auto_buf sp_buf line = sp_buf_make(1024);
    sp_buf_room(&line, 1024); /* grown once: no copy is left behind */
    sp_buf_text(&line, "*:*:*:*:");
    sp_buf_text(&line, password); /* base64url: nothing in it means anything there */
    sp_buf_byte(&line, '\n');
    sp_err err = sp_buf_error(&line);
    if (!sp_failed(err)) {
        err = sp_file_replace(p->password, 0600, sp_buf_borrow(&line));
    }
    sp_buf_wipe(&line);
    return err;
}

/* ---- what psql is told ---- */

static bool tell(const char *name, const char *value)
{
    return setenv(name, value, 1) == 0;
}

static bool tell_all(const place *p, const json_t *token, bool own_ca)
{
    static const char *const OTHERS[] = {
        "PGPASSWORD", "PGSERVICE", "PGSERVICEFILE", "PGOPTIONS",     "PGHOSTADDR",  "PGREQUIRESSL",
        "PGSSLCRL",   "PGSSLCERT", "PGSSLKEY",      "PGREQUIREPEER", "PGSYSCONFDIR"};
    char port[16];
    char cert[PATH_BYTES];
    char key[PATH_BYTES];
    const char *host = sp_json_text(token, "host");
    for (size_t i = 0; i < SP_COUNT(OTHERS); i++) {
        unsetenv(OTHERS[i]);
    }
    snprintf(port, sizeof(port), "%lld",
             (long long)json_integer_value(json_object_get(token, "port")));
    bool ok = tell("PGHOST", host) && tell("PGPORT", port) &&
              tell("PGUSER", sp_json_text(token, "user")) &&
              tell("PGDATABASE", sp_json_text(token, "database")) &&
              tell("PGPASSFILE", p->password) && tell("PGSSLMODE", "verify-full") &&
              tell("PGSSLROOTCERT", own_ca ? p->ca : SYSTEM_CA) && tell("PGGSSENCMODE", "disable");
    if (ok && sp_is_local(host)) {
        ok = tell("PGHOSTADDR", "127.0.0.1");
    }
    if (ok && sp_agent_device(NULL, cert, key)) {
        ok = tell("PGSSLCERT", cert) && tell("PGSSLKEY", key);
    }
    return ok;
}

/* ---- asking and running ---- */

static int ask_token(const char *word, json_t **ret_token)
{
    auto_client sp_client *client = NULL;
    auto_buf sp_buf path = sp_buf_make(512);
    sp_span name = sp_span_cstr(word);
    size_t slash = sp_span_index(name, '/');
    sp_span database = sp_span_slice(name, slash + 1, name.len);
    int status = sp_client_open(&client);
    if (status != SP_EXIT_OK) {
        return status;
    }
    sp_buf_text(&path, "/api/v1/me/databases/");
    sp_buf_percent(&path, sp_span_slice(name, 0, slash));
    sp_buf_text(&path, "/tokens");
    sp_buf_byte(&path, 0);
    if (sp_failed(sp_buf_error(&path))) {
        return SP_EXIT_USAGE;
    }
    json_t *body = database.len == 0 ? json_object()
                                     : json_pack("{s:s%}", "database", database.ptr, database.len);
    return sp_client_call(client, "POST", (const char *)path.ptr, body, ret_token);
}

static int with_token(const json_t *token, char **argv)
{
    place p = {0};
    sp_session_file session = {0};
    int status = place_make(&p);
    if (status == SP_EXIT_OK) {
        sp_err err = sp_session_file_read(&session);
        if (!sp_failed(err) && session.ca_pem != NULL) {
            err = sp_file_replace(p.ca, 0600, sp_span_cstr(session.ca_pem));
        }
        if (!sp_failed(err)) {
            err = write_password(&p, sp_json_text(token, "password"));
        }
        bool ready = !sp_failed(err) && tell_all(&p, token, session.ca_pem != NULL);
        status = ready ? sp_run_program("psql", "postgresql-client", argv) : SP_EXIT_FAILED;
    }
    place_remove(&p);
    sp_session_file_done(&session);
    return status;
}

int sp_psql_command(int argc, char **argv)
{
    if (argc < 2 || sp_is_help(argv[1])) {
        fprintf(
            argc < 2 ? stderr : stdout,
            "usage: sallyport psql RESOURCE[/DATABASE] [ARGUMENTS OF PSQL]\n\n"
            "Runs psql on a database behind the gate, with a token that ends in ten minutes and\n"
            "this device's certificate. 'sallyport db list' names your databases.\n");
        return argc < 2 ? SP_EXIT_USAGE : SP_EXIT_OK;
    }
    json_t *token = NULL;
    int status = ask_token(argv[1], &token);
    if (status == SP_EXIT_OK) {
        argv[1] = argv[0]; /* what follows is psql's own */
        status = with_token(token, argv + 1);
    }
    json_decref(token);
    return status;
}
