/* SPDX-License-Identifier: Apache-2.0
 * NSS databases: Chromium's (~/.pki/nssdb) and Firefox's profiles, by NSS's own tools.
 * OWNS nothing. PROCESS agent. TRUST the databases are the user's own; tools run without a shell.
 * SPEC certutil(1), pk12util(1).
 */
#include "agent/browser.h"

#include "agent/certificate.h"
#include "agent/key.h"
#include "agent/spawn.h"
#include "infra/crypto/random.h"
#include "infra/proc/exit.h"
#include "infra/proc/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TOOL_MS = 30 * 1000, DATABASES_MAX = 32, OLD_MAX = 16, PASS_BYTES = 24 };

typedef struct {
    char dirs[DATABASES_MAX][SP_AGENT_PATH_BYTES]; /* "sql:/home/li/.pki/nssdb" */
    size_t count;
} databases;

typedef struct {
    char nick[160];    /* of certificate and key */
    char ca_nick[160]; /* of the office's CA */
} names;

static void name_all(const sp_agent *agent, names *n)
{
    snprintf(n->nick, sizeof(n->nick), "Sallyport %.100s", agent->name);
    for (char *at = n->nick; *at != '\0'; at++) {
        *at = *at == ':' ? ' ' : *at;
    }
    sp_span host = sp_span_cstr(agent->portal);
    sp_span scheme = SP_SPAN_LIT("https://");
    host = sp_span_slice(host, scheme.len, host.len);
    host = sp_span_slice(host, 0, sp_span_index(host, ':')); /* "a:b" would mean b on token a */
    host = sp_span_slice(host, 0, 100);
    snprintf(n->ca_nick, sizeof(n->ca_nick), "Sallyport CA of %.*s", SP_SPAN_ARG(host));
}

/* ---- finding databases ---- */

static void add(databases *all, const char *dir)
{
    if (all->count < DATABASES_MAX) {
        int len = snprintf(all->dirs[all->count], SP_AGENT_PATH_BYTES, "sql:%s", dir);
        all->count += len > 0 && len < SP_AGENT_PATH_BYTES ? 1 : 0;
    }
}

static void add_firefox(databases *all, const char *home, const char *below)
{
    char folder[SP_AGENT_PATH_BYTES];
    char path[SP_AGENT_PATH_BYTES * 2];
    struct stat st;
    snprintf(folder, sizeof(folder), "%.2000s/%s", home, below);
    DIR *profiles = opendir(folder);
    for (struct dirent *at = profiles == NULL ? NULL : readdir(profiles); at != NULL;
         at = readdir(profiles)) {
        snprintf(path, sizeof(path), "%s/%s/cert9.db", folder, at->d_name);
        if (at->d_name[0] != '.' && stat(path, &st) == 0) {
            snprintf(path, sizeof(path), "%s/%s", folder, at->d_name);
            add(all, path);
        }
    }
    if (profiles != NULL) {
        closedir(profiles);
    }
}

static bool run(const char *const argv[], sp_buf *output)
{
    int status = 0;
    sp_buf_reset(output);
    return !sp_failed(sp_spawn(argv, TOOL_MS, true, output, &status)) && status == 0;
}

static bool make_nssdb(const char *home, databases *all, sp_buf *output)
{
    char dir[SP_AGENT_PATH_BYTES];
    char path[SP_AGENT_PATH_BYTES + 16];
    struct stat st;
    snprintf(dir, sizeof(dir), "%.2000s/.pki", home);
    if (sp_failed(sp_dir_make(dir, 0700))) {
        return false;
    }
    snprintf(dir, sizeof(dir), "%.2000s/.pki/nssdb", home);
    if (sp_failed(sp_dir_make(dir, 0700))) {
        return false;
    }
    snprintf(path, sizeof(path), "%s/cert9.db", dir);
    add(all, dir);
    const char *const argv[] = {"certutil", "-N", "--empty-password", "-d", all->dirs[0], NULL};
    return stat(path, &st) == 0 || run(argv, output);
}

static bool find_all(databases *all, sp_buf *output)
{
    const char *home = getenv("HOME");
    if (home == NULL || home[0] != '/') {
        return false;
    }
    bool good = make_nssdb(home, all, output);
    add_firefox(all, home, ".mozilla/firefox");
    add_firefox(all, home, "snap/firefox/common/.mozilla/firefox");
    return good;
}

/* ---- one database ---- */

static void remove_named(const char *db, const char *nick, sp_buf *output)
{
    const char *const argv[] = {"certutil", "-D", "-d", db, "-n", nick, NULL};
    for (int i = 0; i < OLD_MAX && run(argv, output); i++) {
        /* each renewal left one of the same name */
    }
}

static bool put(const char *db, const names *n, const char *p12, const char *pass,
                const char *ca_file, sp_buf *output)
{
    const char *const import[] = {"pk12util", "-i", p12, "-d", db, "-w", pass, "-K", "", NULL};
    const char *const trust[] = {"certutil", "-A",  "-d", db,      "-n", n->ca_nick,
                                 "-t",       "C,,", "-i", ca_file, NULL};
    remove_named(db, n->nick, output);
    if (!run(import, output)) {
        return false;
    }
    if (ca_file == NULL) {
        return true;
    }
    remove_named(db, n->ca_nick, output);
    return run(trust, output);
}

/* ---- the bundle ---- */

typedef struct {
    char dir[64];
    char p12[96];
    char pass[96];
} bundle;

static void bundle_done(bundle *b)
{
    if (b->dir[0] != '\0') {
        unlink(b->p12);
        unlink(b->pass);
        rmdir(b->dir);
    }
}
#define auto_bundle __attribute__((cleanup(bundle_done)))

static sp_err bundle_make(const sp_agent *agent, const names *n, bundle *b)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    int len = snprintf(b->dir, sizeof(b->dir), "%s/sallyport-XXXXXX",
                       runtime != NULL && runtime[0] == '/' ? runtime : "/tmp");
    if (len < 0 || (size_t)len >= sizeof(b->dir) || mkdtemp(b->dir) == NULL) {
        b->dir[0] = '\0';
        return sp_fail(SP_EIO);
    }
    snprintf(b->p12, sizeof(b->p12), "%s/device.p12", b->dir);
    snprintf(b->pass, sizeof(b->pass), "%s/word", b->dir);
    uint8_t bytes[PASS_BYTES];
    auto_buf sp_buf pass = sp_buf_make(2 * PASS_BYTES + 1);
    auto_buf sp_buf p12 = sp_buf_make(SP_AGENT_TEXT_MAX_BYTES);
    sp_random(bytes, sizeof(bytes));
    sp_buf_hex(&pass, sp_span_of(bytes, sizeof(bytes)));
    sp_buf_byte(&pass, 0);
    TRY(sp_buf_error(&pass));
    TRY(sp_browser_bundle(agent, n->nick, (const char *)pass.ptr, &p12));
    TRY(sp_file_replace(b->pass, 0600, sp_span_of(pass.ptr, 2 * (size_t)PASS_BYTES)));
    TRY(sp_file_replace(b->p12, 0600, sp_buf_borrow(&p12)));
    sp_buf_wipe(&pass);
    return sp_ok();
}

sp_err sp_browser_bundle(const sp_agent *agent, const char *nick, const char *passphrase,
                         sp_buf *out)
{
    auto_pkey sp_pkey *key = NULL;
    auto_buf sp_buf cert = sp_buf_make(SP_CERT_MAX_BYTES);
    auto_buf sp_buf ca = sp_buf_make(SP_CERT_MAX_BYTES);
    if (!sp_key_provider_here()->exportable) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    TRY(sp_key_provider_here()->open(agent, &key));
    TRY(sp_certificate_der(agent, "device.pem", &cert));
    TRY(sp_certificate_der(agent, "device-ca.pem", &ca));
    return sp_pkcs12_make(key, sp_buf_borrow(&cert), sp_buf_borrow(&ca), nick, passphrase, out);
}

/* ---- commands ---- */

static void print_hint(const sp_agent *agent)
{
    sp_cert_info info;
    sp_span host = sp_span_cstr(agent->portal);
    size_t scheme = sizeof("https://") - 1;
    host = sp_span_slice(host, scheme, host.len);
    size_t dot = sp_span_index(host, '.');
    sp_span domain = sp_span_slice(host, dot + 1, host.len);
    domain = sp_span_slice(domain, 0, sp_span_index(domain, ':'));
    if (sp_failed(sp_certificate_info(agent, &info))) {
        return;
    }
    printf("So that Chromium does not ask which certificate to use, an administrator of this "
           "computer may\nput this into /etc/chromium/policies/managed/sallyport.json:\n"
           "  {\"AutoSelectCertificateForUrls\": [\"{\\\"pattern\\\":\\\"https://[*.]%.*s\\\","
           "\\\"filter\\\":{\\\"ISSUER\\\":{\\\"CN\\\":\\\"%s\\\"}}}\"]}\n",
           SP_SPAN_ARG(domain), info.issuer_name);
}

int sp_browser_import(sp_agent *agent)
{
    names n;
    auto_bundle bundle b = {0};
    auto_buf sp_buf output = sp_buf_make(SP_AGENT_TEXT_MAX_BYTES);
    char ca_file[SP_AGENT_PATH_BYTES];
    bool own_ca = agent->ca_sha256[0] != '\0';
    databases *all = NULL;
    name_all(agent, &n);
    if (sp_failed(sp_alloc(1, sizeof(*all), &all)) || sp_failed(bundle_make(agent, &n, &b)) ||
        sp_failed(sp_agent_path(agent, "office-ca.pem", ca_file))) {
        sp_agent_say("agent: key and certificate could not be bundled");
        sp_free(all);
        return SP_EXIT_FAILED;
    }
    if (!find_all(all, &output)) {
        sp_agent_say("agent: ~/.pki/nssdb could not be made: is libnss3-tools installed "
                     "(sudo apt install libnss3-tools)? %.*s",
                     SP_SPAN_ARG(sp_buf_borrow(&output)));
        sp_free(all);
        return SP_EXIT_FAILED;
    }
    size_t done = 0;
    for (size_t i = 0; i < all->count; i++) {
        bool good = put(all->dirs[i], &n, b.p12, b.pass, own_ca ? ca_file : NULL, &output);
        done += good ? 1 : 0;
        if (good) {
            printf("imported into %s\n", all->dirs[i]);
        } else {
            sp_agent_say("agent: %s was left out (a primary password? a running browser?): %.*s",
                         all->dirs[i], SP_SPAN_ARG(sp_buf_borrow(&output)));
        }
    }
    sp_free(all);
    if (done > 0 && !agent->in_browser) {
        agent->in_browser = true;
        print_hint(agent);
    }
    return done == 0 || sp_failed(sp_agent_save(agent)) ? SP_EXIT_FAILED : SP_EXIT_OK;
}

void sp_browser_remove(const sp_agent *agent)
{
    names n;
    databases *all = NULL;
    auto_buf sp_buf output = sp_buf_make(SP_AGENT_TEXT_MAX_BYTES);
    name_all(agent, &n);
    if (!agent->in_browser || sp_failed(sp_alloc(1, sizeof(*all), &all))) {
        return;
    }
    if (find_all(all, &output)) {
        for (size_t i = 0; i < all->count; i++) {
            const char *const argv[] = {"certutil", "-F", "-d", all->dirs[i], "-n", n.nick, NULL};
            SP_IGNORE(run(argv, &output) ? sp_ok() : sp_fail(SP_ENOTFOUND)); /* not in this one */
            remove_named(all->dirs[i], n.nick, &output);
            remove_named(all->dirs[i], n.ca_nick, &output);
        }
    }
    sp_free(all);
}
