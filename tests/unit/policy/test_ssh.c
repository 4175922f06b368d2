/* SPDX-License-Identifier: Apache-2.0
 * Tests of hosts reached by SSH in the policy: where they are, by which keys, as whom, commands,
 * paths, forwarding, environment, commands in examples; and each mistake told where it stands.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/policy/ssh.h, docs/POLICY.md.
 */
#include "lib/policy/ssh.h"

#include "lib/ssh/key.h"
#include "tests/unit/policy/help.h"

#define KEY                                                                                        \
    "ssh-ed25519 "                                                                                 \
    "AAAAC3NzaC1lZDI1NTE5AAAAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg"
#define OTHER                                                                                      \
    "ssh-ed25519 "                                                                                 \
    "AAAAC3NzaC1lZDI1NTE5AAAAICEhISEhISEhISEhISEhISEhISEhISEhISEhISEhISEh"
#define THIRD                                                                                      \
    "ssh-ed25519 "                                                                                 \
    "AAAAC3NzaC1lZDI1NTE5AAAAICIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIi"

/* clang-format off */
#define ROLES "{kind: Role, name: dba}\n---\n{kind: Role, name: engineer}\n---\n"
#define HOST \
    "kind: Resource\n" \
    "name: db-host\n" \
    "operator: company\n" \
    "class: internal\n" \
    "tags: [host]\n" \
    "web: { host: dbh, upstream: \"http://127.0.0.1:1\", parts: [{ path: /srv, class: public }] }\n" \
    "ssh:\n" \
    "  address: \"[::1]:2022\"\n" \
    "  host_keys: [\"" KEY " root@db\"]\n" \
    "  host_ca: \"" OTHER "\"\n" \
    "  revoked_host_keys: \"" THIRD "\"\n" \
    "  accounts: [{ roles: [dba], as: ops }, { roles: [engineer, dba], as: dev }]\n" \
    "  sign_in: password\n" \
    "  commands:\n" \
    "    - { name: restart a service, argv: [systemctl, restart, \"{unit:word}\"] }\n" \
    "    - { name: look at a log, argv: [tail, \"-n{n:int}\", \"{f:path}\"], action: read }\n" \
    "  forward: [\"127.0.0.1:5432\", \"[::1]:5432\"]\n" \
    "  record_input: true\n" \
    "  alarm: freeze\n" \
    "  idle: 30m\n" \
    "  longest: 8h\n" \
    "  bandwidth: 2 MiB\n" \
    "  environment: [TERM, LC_*]\n" \
    "  parts:\n" \
    "    - { path: /srv, class: sensitive }\n" \
    "    - { path: /srv/backup, class: core, tags: [backup], name: backups }\n" \
    "    - { path: /home/*/keys, class: core }\n"
#define RULES \
    "---\n{kind: Rule, name: work, who: {roles: [dba]}, to: {classes: [internal, sensitive]}, " \
    "may: [connect, read, write, execute, export, import]}\n" \
    "---\n{kind: Rule, name: core, who: {roles: [dba]}, to: {classes: [core]}, " \
    "may: [execute, export, destroy], ask: {approved_by: 2}}\n"
/* clang-format on */

static const sp_policy *view_of(const sp_policy_set *set, uint32_t *ret_resource)
{
    const sp_policy *view = sp_policy_set_view(set);
    *ret_resource = sp_policy_resource_find(view, SP_SPAN_LIT("db-host"));
    return view;
}

static sp_subject holder(const sp_policy_set *set, const char *role)
{
    sp_policy_role found;
    sp_subject who = {.person = 1000};
    assert_ok(sp_policy_set_role_find(set, sp_span_cstr(role), &found));
    who.roles[found.number / 64] |= UINT64_C(1) << (found.number % 64);
    return who;
}

static void where_by_which_key_and_as_whom(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(ROLES HOST);
    uint32_t at = 0;
    const sp_policy *view = view_of(set, &at);
    sp_ssh_resource h;
    assert_true(sp_policy_ssh_resource(view, at, &h));
    assert_false(sp_policy_ssh_resource(view, at + 1, &h));
    assert_true(sp_policy_ssh_resource(view, at, &h));
    assert_span_text(h.host, "::1");
    assert_int_equal(h.port, 2022);
    assert_true(h.shell && h.record_input && h.sign_in == SP_SSH_SIGN_IN_PASSWORD);
    assert_true(h.alarm == SP_SSH_ALARM_FREEZE && h.idle_s == 1800 && h.longest_s == 28800);
    assert_int_equal(h.bandwidth, 2 << 20);
    assert_true(h.host_keys == 1 && h.host_cas == 1 && h.commands == 2 && h.forwards == 2);

    auto_buf sp_buf pinned = sp_buf_make(1000);
    auto_buf sp_buf authority = sp_buf_make(1000);
    sp_ssh_key_line line;
    assert_ok(sp_ssh_key_line_parse(SP_SPAN_LIT(KEY), SP_SSH_LINE_PUBLIC, &pinned, &line));
    assert_ok(sp_ssh_key_line_parse(SP_SPAN_LIT(OTHER), SP_SSH_LINE_PUBLIC, &authority, &line));
    sp_span key = sp_buf_borrow(&pinned);
    sp_span ca = sp_buf_borrow(&authority);
    assert_true(sp_span_eq(sp_policy_ssh_host_key(view, at, 0), key));
    assert_true(sp_span_eq(sp_policy_ssh_host_ca(view, at, 0), ca));
    assert_true(sp_policy_ssh_host_trusts(view, at, key));
    assert_false(sp_policy_ssh_host_trusts(view, at, ca));
    assert_false(sp_policy_ssh_host_trusts(view, at, SP_SPAN_EMPTY));
    assert_true(sp_policy_ssh_host_ca_trusts(view, at, ca));
    assert_false(sp_policy_ssh_host_revoked(view, at, key));
    assert_false(sp_policy_ssh_host_revoked(view, at, ca));
    auto_buf sp_buf third = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES);
    assert_ok(sp_buf_unbase64(&third, sp_span_cstr(THIRD + strlen("ssh-ed25519 "))));
    assert_true(sp_policy_ssh_host_revoked(view, at, sp_buf_borrow(&third)));
    assert_false(sp_policy_ssh_host_trusts(view, at, sp_buf_borrow(&third)));
    assert_false(sp_policy_ssh_host_ca_trusts(view, at, key));

    sp_subject dba = holder(set, "dba");
    sp_subject engineer = holder(set, "engineer");
    sp_subject nobody = {.person = 9};
    assert_span_text(sp_policy_ssh_account(view, at, &dba, SP_SPAN_EMPTY), "ops");
    assert_span_text(sp_policy_ssh_account(view, at, &dba, SP_SPAN_LIT("dev")), "dev");
    assert_span_text(sp_policy_ssh_account(view, at, &dba, SP_SPAN_LIT("root")), "");
    assert_span_text(sp_policy_ssh_account(view, at, &engineer, SP_SPAN_EMPTY), "dev");
    assert_span_text(sp_policy_ssh_account(view, at, &engineer, SP_SPAN_LIT("ops")), "");
    assert_span_text(sp_policy_ssh_account(view, at, &nobody, SP_SPAN_EMPTY), "");
    assert_span_text(sp_policy_ssh_account_at(view, at, &dba, 1), "dev");
    assert_span_text(sp_policy_ssh_account_at(view, at, &dba, 2), "");
    assert_span_text(sp_policy_ssh_any_account(view, at, 0), "ops");
    assert_span_text(sp_policy_ssh_any_account(view, at, 1), "dev");
    assert_span_text(sp_policy_ssh_any_account(view, at, 2), "");
    dba.person = 0;
    assert_span_text(sp_policy_ssh_account(view, at, &dba, SP_SPAN_EMPTY), "");
}

static sp_ssh_command command_of(const sp_policy_set *set, const char *text)
{
    static sp_argv argv;
    uint32_t at = 0;
    const sp_policy *view = view_of(set, &at);
    return sp_policy_ssh_command(view, at, sp_span_cstr(text), &argv);
}

static void commands_are_listed_transfers_or_free(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(ROLES HOST);
    sp_ssh_command c = command_of(set, "systemctl restart 'nginx.service'");
    assert_int_equal(c.kind, SP_SSH_COMMAND_LISTED);
    assert_span_text(c.listed.name, "restart a service");
    assert_int_equal(c.listed.action, SP_ACTION_EXECUTE);
    c = command_of(set, "tail -n20 /var/log/x");
    assert_true(c.kind == SP_SSH_COMMAND_LISTED && c.listed.action == SP_ACTION_READ &&
                c.listed_at == 1);
    assert_true(c.listed.paths && !c.listed.terminal && !c.listed.input);
    assert_int_equal(command_of(set, "tail -n20 /etc/../x").kind, SP_SSH_COMMAND_FREE);
    assert_int_equal(command_of(set, "systemctl restart nginx; id").kind, SP_SSH_COMMAND_FREE);
    assert_int_equal(command_of(set, "systemctl restart $x").kind, SP_SSH_COMMAND_FREE);
    c = command_of(set, "scp -t /srv/backup/x");
    assert_true(c.kind == SP_SSH_COMMAND_TRANSFER && c.transfer.to_target);
    assert_int_equal(sp_policy_ssh_needs(&c.transfer),
                     1U << SP_ACTION_IMPORT | 1U << SP_ACTION_DESTROY | 1U << SP_ACTION_EXECUTE);
    c = command_of(set, "scp -f /srv/backup/x");
    assert_int_equal(sp_policy_ssh_needs(&c.transfer), 1U << SP_ACTION_EXPORT);
    c = command_of(set, "rsync --server --sender -re. --remove-source-files . /srv");
    assert_int_equal(sp_policy_ssh_needs(&c.transfer),
                     1U << SP_ACTION_EXPORT | 1U << SP_ACTION_DESTROY);
    assert_int_equal(command_of(set, "scp -t /tmp/x; bash").kind, SP_SSH_COMMAND_REFUSED);
    assert_int_equal(command_of(set, "rsync --server -s").kind, SP_SSH_COMMAND_REFUSED);

    auto_policy_set sp_policy_set *closed = help_set(ROLES HOST "  shell: false\n");
    assert_int_equal(command_of(closed, "systemctl restart nginx").kind, SP_SSH_COMMAND_LISTED);
    assert_int_equal(command_of(closed, "systemctl restart -H").kind, SP_SSH_COMMAND_REFUSED);
    assert_int_equal(command_of(closed, "id").kind, SP_SSH_COMMAND_REFUSED);
    assert_int_equal(command_of(closed, "a|b").kind, SP_SSH_COMMAND_REFUSED);
    assert_int_equal(command_of(closed, "scp -f x").kind, SP_SSH_COMMAND_TRANSFER);
    uint32_t at = 0;
    const sp_policy *view = view_of(closed, &at);
    assert_span_text(sp_policy_ssh_listed_word(view, at, 0, 2), "{unit:word}");
    assert_span_text(sp_policy_ssh_listed_word(view, at, 0, 3), "");
    assert_span_text(sp_policy_ssh_listed_word(view, at, 2, 0), "");
}

#define LISTED(entry)                                                                              \
    ROLES "kind: Resource\nname: h\noperator: company\nclass: internal\nssh:\n"                    \
          "  address: h\n  host_keys: [\"" KEY "\"]\n  accounts: [{ roles: [dba], as: ops }]\n"    \
          "  commands: [{ name: c, argv: [" entry " }]\n"

static void doors_in_a_list_are_warned_of(void **state)
{
    (void)state;
    static const char SHELL[] = "'terminal: true': it starts a shell";
    static const char FED[] = "'input: true': it does or writes what is sent to it";
    assert_true(help_warns(LISTED("journalctl, -u, x], terminal: true"), SHELL));
    assert_true(help_warns(LISTED("sudo, /usr/bin/systemctl, status], terminal: true"), SHELL));
    assert_true(help_warns(LISTED("/usr/sbin/visudo, -f, /x], terminal: true"), SHELL));
    assert_false(help_warns(LISTED("journalctl, -u, x]"), SHELL));
    assert_false(help_warns(LISTED("uptime], terminal: true"), SHELL));
    assert_true(help_warns(LISTED("/usr/bin/psql, orders], input: true"), FED));
    assert_false(help_warns(LISTED("psql, orders], terminal: true"), FED));
    assert_false(help_warns(LISTED("wc, -c], input: true"), FED));
}

static void forwarding_and_environment_are_lists(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(ROLES HOST);
    uint32_t at = 0;
    const sp_policy *view = view_of(set, &at);
    assert_true(sp_policy_ssh_forward(view, at, SP_SPAN_LIT("127.0.0.1"), 5432));
    assert_true(sp_policy_ssh_forward(view, at, SP_SPAN_LIT("::1"), 5432));
    assert_false(sp_policy_ssh_forward(view, at, SP_SPAN_LIT("127.0.0.1"), 5433));
    assert_false(sp_policy_ssh_forward(view, at, SP_SPAN_LIT("127.0.0.1"), 5432 + 65536));
    assert_false(sp_policy_ssh_forward(view, at, SP_SPAN_LIT("localhost"), 5432));
    assert_true(sp_policy_ssh_environment(view, at, SP_SPAN_LIT("TERM")));
    assert_true(sp_policy_ssh_environment(view, at, SP_SPAN_LIT("LC_ALL")));
    assert_false(sp_policy_ssh_environment(view, at, SP_SPAN_LIT("LANG")));
    assert_false(sp_policy_ssh_environment(view, at, SP_SPAN_LIT("LD_PRELOAD")));
    assert_false(sp_policy_ssh_environment(view, at, SP_SPAN_EMPTY));
    auto_policy_set sp_policy_set *usual =
        help_set("kind: Resource\nname: db-host\noperator: company\nclass: core\nssh:\n"
                 "  address: h\n  host_keys: [\"" KEY "\"]\n  accounts: [{any: true, as: a}]\n");
    view = view_of(usual, &at);
    sp_ssh_resource h;
    assert_true(sp_policy_ssh_resource(view, at, &h));
    assert_true(h.port == 22 && h.shell && !h.record_input && h.alarm == SP_SSH_ALARM_PAGE);
    assert_true(h.idle_s == 4 * 3600 && h.longest_s == 0 && h.bandwidth == 0);
    assert_int_equal(h.sign_in, SP_SSH_SIGN_IN_CERTIFICATE);
    assert_true(sp_policy_ssh_environment(view, at, SP_SPAN_LIT("LANG")));
    assert_false(sp_policy_ssh_environment(view, at, SP_SPAN_LIT("TERM")));
}

enum { PUBLIC, INTERNAL, SENSITIVE, CORE };

static uint8_t class_of(const sp_policy_set *set, const char *path)
{
    uint32_t at = 0;
    const sp_policy *view = view_of(set, &at);
    return sp_policy_ssh_part(view, at, sp_span_cstr(path)).class_level;
}

static void the_most_specific_path_wins(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(ROLES HOST RULES);
    assert_int_equal(class_of(set, "/"), INTERNAL);
    assert_int_equal(class_of(set, "/etc/passwd"), INTERNAL);
    assert_int_equal(class_of(set, "/srv"), SENSITIVE); /* not the web's /srv */
    assert_int_equal(class_of(set, "/srvx"), INTERNAL);
    assert_int_equal(class_of(set, "/srv/backup"), CORE);
    assert_int_equal(class_of(set, "//srv//backup/x"), CORE);
    assert_int_equal(class_of(set, "/srv/backups"), SENSITIVE);
    assert_int_equal(class_of(set, "/home/ann/keys/id"), CORE);
    assert_int_equal(class_of(set, "/home/ann/x"), INTERNAL);
    /* what is not resolved is as grave as can be */
    assert_int_equal(class_of(set, "/tmp/../srv/backup"), CORE);
    assert_int_equal(class_of(set, "tmp/x"), CORE);
    assert_int_equal(class_of(set, ""), CORE);
    uint32_t at = 0;
    const sp_policy *view = view_of(set, &at);
    assert_int_equal(
        __builtin_popcountll(sp_policy_ssh_part(view, at, SP_SPAN_LIT("/srv/backup")).tags), 2);

    sp_subject who = holder(set, "dba");
    sp_question q = {&who, at, SP_NONE, SP_ACTION_EXECUTE, 1770000000, NULL, SP_FACE_ANY};
    assert_int_equal(sp_policy_decide(view, &q).verdict, SP_VERDICT_ALLOW);
    sp_decision all = sp_policy_ssh_whole(view, &q, SP_SPAN_LIT("/"));
    assert_true(all.verdict == SP_VERDICT_ASK && all.approvals == 2 && all.class_level == CORE);
    all = sp_policy_ssh_whole(view, &q, SP_SPAN_LIT("/srv"));
    assert_int_equal(all.verdict, SP_VERDICT_ASK);
    all = sp_policy_ssh_whole(view, &q, SP_SPAN_LIT("/srv/www"));
    assert_int_equal(all.verdict, SP_VERDICT_ALLOW);
    all = sp_policy_ssh_whole(view, &q, SP_SPAN_LIT("/home/ann"));
    assert_int_equal(all.verdict, SP_VERDICT_ASK);
    all = sp_policy_ssh_whole(view, &q, SP_SPAN_LIT("/home/ann/www"));
    assert_int_equal(all.verdict, SP_VERDICT_ALLOW);
    all = sp_policy_ssh_whole(view, &q, SP_SPAN_LIT("relative"));
    assert_int_equal(all.verdict, SP_VERDICT_ASK);
    q.action = SP_ACTION_DESTROY;
    all = sp_policy_ssh_whole(view, &q, SP_SPAN_LIT("/srv"));
    assert_int_equal(all.verdict, SP_VERDICT_DENY);
}

/* Whatever may meet all of the machine is for the people of each rule that asks for some of it. */
static void each_rule_that_asks_is_asked(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set =
        help_set(ROLES HOST RULES
                 "---\n{kind: Rule, name: backups, who: {roles: [dba]}, to: {classes: [internal]}, "
                 "may: [destroy], ask: {approved_by: 1, by: {roles: [security-admin]}}}\n"
                 "---\n{kind: Rule, name: web, who: {roles: [dba]}, to: {classes: [sensitive]}, "
                 "may: [destroy], ask: {approved_by: 1, by: {roles: [engineer]}}}\n");
    uint32_t at = 0;
    const sp_policy *view = view_of(set, &at);
    sp_subject who = holder(set, "dba");
    sp_question q = {&who, at, SP_NONE, SP_ACTION_DESTROY, 1770000000, NULL, SP_FACE_ANY};
    sp_decision all = sp_policy_ssh_whole(view, &q, SP_SPAN_LIT("/"));
    assert_true(all.verdict == SP_VERDICT_ASK && all.approvals == 2 && !all.asks_apart);
    assert_int_equal(all.asks_count, 3);
    assert_true(sp_span_eq(sp_policy_rule_name(view, all.asks[0]), SP_SPAN_LIT("core")));
    all = sp_policy_ssh_whole(view, &q, SP_SPAN_LIT("/srv/www"));
    assert_int_equal(all.asks_count, 1);
}

static void what_is_together_lies_in_one_part(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(ROLES HOST RULES);
    static const struct {
        const char *one;
        const char *two;
        bool together;
    } CASES[] = {
        {"/tmp/x", "/etc/y", true},
        {"/srv/x", "/srv/y/z", true},
        {"/srv/backup/x", "/srv/backup/y", true},
        {"/srv/x", "/tmp/x", false},
        {"/srv", "/srv2", false},
        {"/srv/backup", "/srv/away", false},
        {"/home", "/home2", false},
        {"/home/ann", "/home/ben", false},
        {"/home/ann/x", "/home/ann/y", true},
        {"/", "/tmp", false},
        {"/tmp/x", "tmp/y", false},
        {"", "/tmp/y", false},
    };
    uint32_t at = 0;
    const sp_policy *view = view_of(set, &at);
    for (size_t i = 0; i < SP_COUNT(CASES); i++) {
        sp_span one = sp_span_cstr(CASES[i].one);
        sp_span two = sp_span_cstr(CASES[i].two);
        assert_int_equal(sp_policy_ssh_together(view, at, one, two), CASES[i].together);
        assert_int_equal(sp_policy_ssh_together(view, at, two, one), CASES[i].together);
    }
}

#define EXAMPLE(command, rest)                                                                     \
    "---\nkind: Example\nname: e " command "\ngiven: {resource: db-host, roles: dba}\n"            \
    "try: \"$ " command "\"\n" rest "\n"

static void examples_take_commands(void **state)
{
    (void)state;
    static const char GOOD[] = ROLES HOST RULES EXAMPLE("systemctl restart x", "expect: allow")
        EXAMPLE("rm -rf x", "expect: ask") EXAMPLE("", "expect: ask")
            EXAMPLE("scp -f /srv/www", "expect: allow") EXAMPLE("scp -f /srv", "expect: ask")
                EXAMPLE("scp -t /srv/backup/x", "expect: deny\nreason: no-rule")
                    EXAMPLE("rsync --server -re. --delete . /tmp", "expect: deny")
                        EXAMPLE("git-receive-pack /srv/x", "expect: deny\nreason: no-rule")
                            EXAMPLE("scp -t *", "expect: deny\nreason: unparsed");
    auto_policy_set sp_policy_set *set = help_set(GOOD);
    assert_int_equal(sp_policy_set_figures(set).examples, 9);
    help_refused(ROLES HOST RULES EXAMPLE("rm -rf x", "expect: allow"), 0, "");
    help_refused(ROLES HOST "  shell: false\n" RULES EXAMPLE("id", "expect: ask"), 0, "");
    help_refused("kind: Resource\nname: db-host\noperator: company\nclass: core\n---\n"
                 "{kind: Role, name: dba}\n" EXAMPLE("id", "expect: ask"),
                 0, "needs a resource with 'ssh'");
}

/* ---- mistakes ---- */

#define SSH(rest)                                                                                  \
    "kind: Resource\nname: h\noperator: company\nclass: core\nssh:\n"                              \
    "  accounts: [{ any: true, as: a }]\n" rest
#define GOOD_KEY "  host_keys: \"" KEY "\"\n"
#define AT_H "  address: h\n" GOOD_KEY

static void mistakes_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
        const char *words;
    } WRONG[] = {
        {SSH(GOOD_KEY), 6, "ssh needs 'address'"},
        {SSH("  address: h\n"), 6, "needs 'host_keys'"},
        {SSH(AT_H "  revoked_host_keys: " KEY "\n"), 6,
         "stands in 'host_keys' or 'host_ca' as well"},
        {SSH("  address: h\n  host_ca: " KEY "\n  revoked_host_keys: [" KEY "]\n"), 6,
         "stands in 'host_keys' or 'host_ca' as well"},
        {SSH(AT_H "  revoked_host_keys: AAAA\n"), 9, "keys are ssh-ed25519"},
        {SSH(GOOD_KEY "  address: ssh://h\n"), 8, "an address is a host and a port"},
        {SSH(GOOD_KEY "  address: h:0\n"), 8, "an address is a host and a port"},
        {SSH("  address: h\n  host_keys: AAAA\n"), 8, "keys are ssh-ed25519"},
        {SSH("  address: h\n  host_keys: ssh-ed25519 AAAA\n"), 8, "as ssh-keygen prints it"},
        {SSH("  address: h\n  host_ca: ssh-dss AAAA\n"), 8, "keys are ssh-ed25519"},
        {SSH(AT_H "  sign_in: keys\n"), 9, "one of certificate, password, key"},
        {SSH(AT_H "  shell: no\n"), 9, "true or false"},
        {SSH(AT_H "  commands: [{ name: x }]\n"), 9, "needs 'argv'"},
        {SSH(AT_H "  commands: [{ name: x, argv: [\"{p:word}\"] }]\n"), 9, "has no placeholder"},
        {SSH(AT_H "  commands: [{ name: x, argv: [ls, \"{p:line}\"] }]\n"), 9, "word, int, path"},
        {SSH(AT_H "  commands: [{ name: x, argv: [ls, \"{p\"] }]\n"), 9, "'{' without '}'"},
        {SSH(AT_H "  commands: [{ name: x, argv: [/bin/sh, -c, \"{p:word}\"] }]\n"), 9,
         "a shell or a program that starts others"},
        {SSH(AT_H "  commands: [{ name: x, argv: [sudo, bash] }]\n"), 9, "a shell or a program"},
        {SSH(AT_H "  commands: [{ name: x, argv: [sudo, -s] }]\n"), 9, "a shell or a program"},
        {SSH(AT_H "  commands: [{ name: x, argv: [sudo, python3, \"{p:path}\"] }]\n"), 9,
         "a fixed word behind it"},
#define WORDS(words) SSH(AT_H "  commands: [{ name: x, argv: [" words "] }]\n"), 9
        {WORDS("doas, \"{c:word}\""), "a client would name the program"},
        {WORDS("sudo, doas, \"{c:word}\""), "a client would name the program"},
        {WORDS("chroot, /, \"{p:path}\""), "a client would name the program"},
        {WORDS("runuser, -u, root, \"{p:path}\""), "a client would name the program"},
        {WORDS("timeout, \"9\", \"{p:word}\""), "a client would name the program"},
        {WORDS("timeout, \"{n:int}\", \"{p:word}\""), "a client would name the program"},
        {WORDS("timeout, \"9\", nice, \"{p:word}\""), "a client would name the program"},
        {WORDS("systemd-run, \"{p:path}\""), "a client would name the program"},
        {WORDS("/usr/bin/flock, /run/x, \"{p:word}\", uptime"), "a client would name the program"},
        {WORDS("ssh, \"{h:word}\", uptime"), "a client would name the program"},
        {WORDS("timeout, \"9\", bash, -c, \"{x:word}\""), "a shell or a program"},
        {WORDS("nice, env, \"{x:word}\""), "a shell or a program"},
        {WORDS("timeout, \"9\", /bin/sh, /opt/x"), "a shell or a program"},
        {WORDS("timeout, \"9\", python3, \"{p:path}\""), "a fixed word behind it"},
        {SSH(AT_H "  programs: own\n"), 9, "one of system, named"},
        {SSH(AT_H "  commands: [{ name: x, argv: [/usr/bin/python3.11, \"{p:path}\"] }]\n"), 9,
         "a fixed word behind it"},
        {SSH(AT_H "  commands: [{ name: x, argv: ls, action: run }]\n"), 9, "one of connect"},
        {SSH(AT_H "  forward: [\"127.0.0.1\"]\n"), 9, "as in 127.0.0.1:5432"},
        {SSH(AT_H "  environment: [\"*\"]\n"), 9, "'*' stands at the end"},
        {SSH(AT_H "  environment: [LD_PRELOAD]\n"), 9, "decides what the account's shell runs"},
        {SSH(AT_H "  environment: [\"L*\"]\n"), 9, "decides what the account's shell runs"},
        {SSH(AT_H "  environment: [A=b]\n"), 9, "letters, digits"},
        {SSH(AT_H "  parts: [{ class: core }]\n"), 9, "needs 'path'"},
        {SSH(AT_H "  parts: [{ path: srv }]\n"), 9, "begins with '/'"},
        {SSH(AT_H "  parts: [{ path: /srv/ }]\n"), 9, "ends without '/'"},
        {SSH(AT_H "  parts: [{ path: /a/../b }]\n"), 9, "'..' segments"},
        {SSH(AT_H "  parts: [{ path: /a*/b }]\n"), 9, "one whole segment"},
        {SSH(AT_H "  parts: [{ path: /a, class: cor }]\n"), 9, "did you mean 'core'"},
        {SSH(AT_H "  parts: [{ path: /a }, { path: /a }]\n"), 6, "two parts with the path"},
        {SSH(AT_H "  part: []\n"), 9, "part"},
    };
    for (size_t i = 0; i < SP_COUNT(WRONG); i++) {
        help_refused(WRONG[i].text, WRONG[i].line, WRONG[i].words);
    }
    help_refused("kind: Resource\nname: h\noperator: company\nclass: core\nssh:\n" AT_H
                 "  accounts: [{ any: true, as: \"a b\" }]\n",
                 8, "no blanks and no '/'");
    auto_policy_set sp_policy_set *sudo = help_set(
        SSH(AT_H "  commands:\n"
                 "    - { name: x, argv: [sudo, systemctl, stop, x], terminal: true }\n"
                 "    - { name: y, argv: [find, /srv, -newer, \"{p:path}\"], input: true }\n"));
    assert_non_null(sudo);
    static const struct {
        const char *entry;
        bool doubtful;
    } ENTRIES[] = {
        {"argv: [sudo, python3, /opt/x.py]", false},
        {"argv: [sudo, python3, /opt/x.py, \"{p:path}\"], terminal: true", false},
        {"argv: [sudo, find, \"{p:path}\"]", false},
        {"argv: [php, -v]", false},
        {"argv: [timeout, \"9\", uptime]", false},
        {"argv: [timeout, \"9\", df, \"{p:word}\"]", true},
        {"argv: [timeout, \"{s:int}\", df, -h]", true},
        {"argv: [nice, -n, \"5\", du, \"{p:path}\"]", true},
        {"argv: [chroot, --userspec=ops, /srv, ls, \"{p:path}\"]", true},
        {"argv: [nc, -z, localhost, \"{p:int}\"]", true},
        {"argv: [watch, df], terminal: true", true},
        {"argv: [sudo, python3, -m, x], input: true", true},
    };
    for (size_t i = 0; i < SP_COUNT(ENTRIES); i++) {
        auto_buf sp_buf text = sp_buf_make(1024);
        sp_buf_text(&text, SSH(AT_H "  commands: [{ name: x, "));
        sp_buf_fmt(&text, "%s }]\n%c", ENTRIES[i].entry, '\0');
        const char *document = (const char *)sp_buf_borrow(&text).ptr;
        sp_policy_set_free(help_set(document));
        if (help_warns(document, "than is meant") != ENTRIES[i].doubtful) {
            fail_msg("%s", ENTRIES[i].entry);
        }
    }
}

static void nevers_hold_over_paths(void **state)
{
    (void)state;
    help_refused(ROLES HOST
                 "---\n{kind: Rule, name: r, who: {any: true}, to: {resources: [db-host], tags: "
                 "[backup]}, may: [export]}\n"
                 "---\n{kind: Never, name: n, tags: [backup], actions: [export]}\n",
                 0, "breaks never");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_by_which_key_and_as_whom),
        cmocka_unit_test(commands_are_listed_transfers_or_free),
        cmocka_unit_test(doors_in_a_list_are_warned_of),
        cmocka_unit_test(forwarding_and_environment_are_lists),
        cmocka_unit_test(the_most_specific_path_wins),
        cmocka_unit_test(each_rule_that_asks_is_asked),
        cmocka_unit_test(what_is_together_lies_in_one_part),
        cmocka_unit_test(examples_take_commands),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(nevers_hold_over_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
