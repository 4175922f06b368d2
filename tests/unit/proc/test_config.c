/* SPDX-License-Identifier: Apache-2.0
 * Tests of the bootstrap file: what it means, and that each mistake is told where it stands.
 * OWNS its temporary file. PROCESS tests. TRUST none. SPEC infra/proc/config.h.
 */
#include "infra/proc/config.h"
#include "infra/proc/file.h"
#include "tests/unit/cm.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

/* clang-format off */
#define USERS "users: { core: 71, vault: 72, ledger: 73, web: 74, db: 75, keeper: 76, ssh: 77, courier: 78, watch: 79, runner: 80 }\n"
/* clang-format on */

static char path[] = "/tmp/sp-config-XXXXXX";

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static sp_err load(sp_span text, sp_diags *diags, sp_config **ret_config)
{
    assert_ok(sp_file_replace(path, 0600, text));
    return sp_config_load(path, diags, ret_config);
}

static void reads_every_key(void **state)
{
    (void)state;
    auto_diags sp_diags diags = {0};
    sp_config *config = NULL;
    assert_ok(load(sp_span_cstr("office: Lantern Trading\n"
                                "domain: office.localhost\n"
                                "portal: door\n"
                                "listen: [\"127.0.0.1:8443\", \"[::1]:8444\"]\n"
                                "postgres: \"127.0.0.1:5432\"\n"
                                "ssh: [\"127.0.0.1:2222\", \"[::1]:2222\"]\n"
                                "ssh_workers: 3\n"
                                "ssh_connections_each: 7\n"
                                "ssh_log_ins_each: 8\n"
                                "ssh_log_ins_address: 9\n"
                                "public_port: 443\n"
                                "state: /srv/office/state/\n"
                                "run: /srv/office/run\n"
                                "documents: /etc/sallyport/office\n"
                                "tls: { certificate: /etc/ssl/c.pem, key: /etc/ssl/k.pem }\n" USERS
                                "sessions_max: 5000\n"
                                "devices_max: 700\n"),
                   &diags, &config));
    assert_string_equal(config->office, "Lantern Trading");
    assert_string_equal(config->domain, "office.localhost");
    assert_string_equal(config->portal, "door");
    assert_int_equal(config->listen_count, 2);
    assert_string_equal(config->listen[1], "[::1]:8444");
    assert_int_equal(config->postgres_count, 1);
    assert_true(sp_config_has_role(config, SP_ROLE_DB));
    assert_int_equal(config->ssh_count, 2);
    assert_string_equal(config->ssh[1], "[::1]:2222");
    assert_int_equal(config->ssh_workers, 3);
    assert_int_equal(config->ssh_connections_each, 7);
    assert_int_equal(config->ssh_log_ins_each, 8);
    assert_int_equal(config->ssh_log_ins_address, 9);
    assert_true(sp_config_has_role(config, SP_ROLE_SSH));
    assert_int_equal(config->public_port, 443);
    assert_string_equal(config->state_dir, "/srv/office/state");
    assert_string_equal(config->run_dir, "/srv/office/run");
    assert_string_equal(config->documents_dir, "/etc/sallyport/office");
    assert_string_equal(config->tls_certificate, "/etc/ssl/c.pem");
    assert_string_equal(config->tls_key, "/etc/ssl/k.pem");
    assert_int_equal(config->uids[SP_ROLE_LEDGER], 73);
    assert_true(sp_config_uid_is(config, 74, SP_ROLE_WEB));
    assert_false(sp_config_uid_is(config, 74, SP_ROLE_CORE));
    assert_int_equal(config->sessions_max, 5000);
    assert_int_equal(config->devices_max, 700);
    auto_free char *socket = NULL;
    assert_ok(sp_config_socket(config, "core", &socket));
    assert_string_equal(socket, "/srv/office/run/core.sock");
    auto_free char *file = NULL;
    assert_ok(sp_config_state(config, SP_ROLE_VAULT, "keys", &file));
    assert_string_equal(file, "/srv/office/state/vault/keys");
    sp_config_free(config);
}

static void fills_in_what_is_missing(void **state)
{
    (void)state;
    auto_diags sp_diags diags = {0};
    sp_config *config = NULL;
    assert_ok(
        load(SP_SPAN_LIT("domain: example.com\nlisten: 0.0.0.0:443\n" USERS), &diags, &config));
    assert_string_equal(config->office, "example.com");
    assert_string_equal(config->portal, "portal");
    assert_string_equal(config->state_dir, "/var/lib/sallyport");
    assert_string_equal(config->run_dir, "/run/sallyport");
    assert_null(config->documents_dir);
    assert_false(sp_config_has_role(config, SP_ROLE_DB));
    assert_false(sp_config_has_role(config, SP_ROLE_SSH));
    assert_false(sp_config_uid_is(config, 0, SP_ROLE_DB)); /* a role that is not there is nobody */
    assert_null(config->tls_certificate);
    assert_int_equal(config->public_port, 443);
    assert_int_equal(config->sessions_max, 100000);
    sp_config_free(config);
}

typedef struct {
    const char *text;
    const char *told; /* without the file's name; stands somewhere in what is printed */
} mistake;

static const mistake mistakes[] = {
    {"domain: a.b\nlisten: 0.0.0.0:443\nlissten: x\n", ":3:1: error: 'lissten' is an unknown key"},
    {"domain: UPPER.example\n", ":1:9: error: domain: 'UPPER.example' is not a domain"},
    {"domain: a..b\n", ":1:9: error: domain: 'a..b' is not a domain"},
    {"domain: -a.b\n", ":1:9: error: domain: '-a.b' is not a domain"},
    {"domain: [a, b]\n", ":1:1: error: domain: expected a text"},
    {"domain: a.b\nlisten: [\"0.0.0.0:443\",\n  \"0.0.0.0:99999\"]\n",
     ":3:4: error: listen: '0.0.0.0:99999' is not an address and port"},
    {"listen: localhost:443\n", ":1:9: error: listen: 'localhost:443' is not an address"},
    {"listen: 127.0.0.1\n", ":1:9: error: listen: '127.0.0.1' is not an address"},
    {"listen: 127.0.0.1:0\n", ":1:9: error: listen: '127.0.0.1:0' is not an address"},
    {"listen: ::1:443\n", ":1:9: error: listen: '::1:443' is not an address"},
    {"listen: [\"1.2.3.4:5\", \"1.2.3.4:5\"]\n", "'1.2.3.4:5' stands there twice"},
    {"portal: a.b\n", ":1:9: error: portal: 'a.b' is not one label"},
    {"state: var/lib\n", ":1:8: error: state: 'var/lib' is not an absolute path"},
    {"state: /a/../b\n", ":1:8: error: state: '/a/../b' is not an absolute path"},
    {"public_port: 0\n", ":1:14: error: public_port: '0' is not a number from 1 to 65535"},
    {"sessions_max: many\n", ":1:15: error: sessions_max: 'many' is not a number from 100 to"},
    {"tls: theirs\n", ":1:6: error: tls: 'theirs' expected: own, or"},
    {"tls: { certificate: /x }\n", "expected both certificate: FILE and key: FILE"},
    {"tls: { certifcate: /x }\n", ":1:8: error: tls: 'certifcate' is unknown here"},
    {"users: { core: nobody-of-that-name }\n",
     ":1:16: error: users: 'nobody-of-that-name' is no user of this machine"},
    {"users: { core: 0 }\n", ":1:16: error: users: '0' is root"},
    {"postgres: \"127.0.0.1\"\n", ":1:12: error: postgres: '127.0.0.1'"},
    {"users: { cook: 5 }\n", ":1:10: error: users: 'cook' is no role"},
    {"users: me\n", "expected { core: USER"},
    {"listen: 1.2.3.4:5\n", "error: domain: is missing"},
    {"domain: a.b\n", "error: listen: is missing"},
    {"domain: a.b\ndomain: c.d\n", ":2:"},
    {"domain: \"a\n", ":1:"},
    {"domain: [a\n", "error:"},
    {"- a\n- b\n", ":1:1: error: expected keys and values"},
    {"", ":1:1: error: expected keys and values"},
    {"office: \"a\\x07b\"\n", "holds a control character"},
};

static void tells_each_mistake_where_it_stands(void **state)
{
    (void)state;
    for (size_t i = 0; i < SP_COUNT(mistakes); i++) {
        auto_diags sp_diags diags = {0};
        sp_config *config = NULL;
        sp_err err = load(sp_span_cstr(mistakes[i].text), &diags, &config);
        assert_true(sp_failed(err));
        assert_null(config);
        assert_true(diags.errors > 0);
        auto_buf sp_buf told = sp_buf_make(64 * 1024);
        sp_diags_print(&diags, &told);
        sp_span all = sp_buf_borrow(&told);
        if (sp_span_find(all, sp_span_cstr(mistakes[i].told)) == all.len) {
            fail_msg("for\n%sthis was told:\n%.*swithout: %s", mistakes[i].text, SP_SPAN_ARG(all),
                     mistakes[i].told);
        }
    }
}

static void tells_a_file_that_cannot_be_read(void **state)
{
    (void)state;
    auto_diags sp_diags diags = {0};
    sp_config *config = NULL;
    assert_fails(sp_config_load("/nonexistent/sallyport.yaml", &diags, &config), SP_ENOTFOUND);
    assert_int_equal(diags.errors, 1);
    auto_buf sp_buf big = sp_buf_make(100 * 1024);
    sp_buf_text(&big, "domain: a.b\n#");
    for (int i = 0; i < 70 * 1024; i++) {
        sp_buf_byte(&big, 'x');
    }
    assert_fails(load(sp_buf_borrow(&big), &diags, &config), SP_ELIMIT);
    assert_int_equal(diags.errors, 2);
}

static void reads_addresses(void **state)
{
    (void)state;
    struct sockaddr_storage address;
    socklen_t size = 0;
    assert_ok(sp_config_address("[fe80::1]:65535", &address, &size));
    assert_int_equal(size, sizeof(struct sockaddr_in6));
    assert_ok(sp_config_address("10.0.0.1:1", &address, &size));
    assert_int_equal(size, sizeof(struct sockaddr_in));
    static const char *const bad[] = {
        "",         ":",         "[",       "[]:1",        "[::1]", "[::1]",         "1.2.3.4",
        "1.2.3.4:", "1.2.3.4:x", "1.2.3:4", "[1.2.3.4]:5", "::1:5", "1.2.3.4:65536", "1.2.3.4:-1"};
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        assert_true(sp_failed(sp_config_address(bad[i], &address, &size)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_key),
        cmocka_unit_test(fills_in_what_is_missing),
        cmocka_unit_test(tells_each_mistake_where_it_stands),
        cmocka_unit_test(tells_a_file_that_cannot_be_read),
        cmocka_unit_test(reads_addresses),
    };
    return cmocka_run_group_tests_name("proc config", tests, make_file, remove_file);
}
