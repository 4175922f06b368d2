/* SPDX-License-Identifier: Apache-2.0
 * `sallyport agent`: sub-commands and options.
 * OWNS nothing. PROCESS agent. TRUST argv comes from the person at the keyboard. No secret is taken
 * from argv: other users of the computer can read it.
 * SPEC docs/man/sallyport-agent.1.
 */
#include "agent/agent.h"
#include "infra/crypto/random.h"
#include "infra/proc/entry.h"
#include "infra/proc/exit.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *word;
    const char *arguments;
    const char *summary;
    int (*run)(const sp_agent_options *options);
} COMMANDS[] = {
    {"enroll", "[URL] [--ca-sha256 HEX] [--code-file FILE] [--name NAME] [--no-wait]",
     "make this computer known to the office, or go on waiting for its approval", sp_agent_enroll},
    {"status", "[--json]", "what the agent and the office know about this computer",
     sp_agent_status},
    {"renew", "[--force]", "renew the certificate if half of its life is over", sp_agent_renew},
    {"run", "[--once]", "renew and report by itself, until it is stopped", sp_agent_run},
    {"browser-import", "", "put key and certificate into Chromium and Firefox",
     sp_agent_browser_import},
    {"export", "FILE", "write key and certificate as PKCS#12", sp_agent_export},
    {"unenroll", "", "remove key, certificate and their copies in browsers", sp_agent_unenroll},
};

static int usage(FILE *to, int status)
{
    fputs("usage: sallyport agent COMMAND\n\n", to);
    for (size_t i = 0; i < SP_COUNT(COMMANDS); i++) {
        fprintf(to, "  %s %s\n      %s\n", COMMANDS[i].word, COMMANDS[i].arguments,
                COMMANDS[i].summary);
    }
    fputs("\nsallyport-agent(1) tells more.\n", to);
    return status;
}

static bool is(const char *word, const char *want)
{
    return strcmp(word, want) == 0;
}

/* Options with a value; NULL = it is none of them. */
static const char **value_of(sp_agent_options *options, const char *word)
{
    if (is(word, "--ca-sha256")) {
        return &options->ca_sha256;
    }
    if (is(word, "--code-file")) {
        return &options->code_file;
    }
    return is(word, "--name") ? &options->name : NULL;
}

static bool *flag_of(sp_agent_options *options, const char *word)
{
    if (is(word, "--no-wait")) {
        return &options->no_wait;
    }
    if (is(word, "--force")) {
        return &options->force;
    }
    if (is(word, "--once")) {
        return &options->once;
    }
    return is(word, "--json") ? &options->json : NULL;
}

static bool parse(int argc, char **argv, sp_agent_options *options)
{
    for (int i = 2; i < argc; i++) {
        const char **value = value_of(options, argv[i]);
        bool *flag = flag_of(options, argv[i]);
        if (flag != NULL) {
            *flag = true;
        } else if (value != NULL && i + 1 < argc) {
            *value = argv[++i];
        } else if (argv[i][0] != '-' && is(argv[1], "enroll") && options->portal == NULL) {
            options->portal = argv[i];
        } else if (argv[i][0] != '-' && is(argv[1], "export") && options->file == NULL) {
            options->file = argv[i];
        } else {
            sp_agent_say("agent: %s does not know \"%s\"", argv[1], argv[i]);
            return false;
        }
    }
    return true;
}

int sp_agent_command(int argc, char **argv)
{
    sp_agent_options options = {0};
    if (argc < 2) {
        return usage(stderr, SP_EXIT_USAGE);
    }
    if (is(argv[1], "help") || is(argv[1], "--help") || is(argv[1], "-h")) {
        return usage(stdout, SP_EXIT_OK);
    }
    for (size_t i = 0; i < SP_COUNT(COMMANDS); i++) {
        if (is(argv[1], COMMANDS[i].word)) {
            if (!parse(argc, argv, &options)) {
                return SP_EXIT_USAGE;
            }
            if (sp_failed(sp_crypto_start()) || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
                sp_agent_say("agent: the cryptographic libraries do not start");
                return SP_EXIT_FAILED;
            }
            return COMMANDS[i].run(&options);
        }
    }
    sp_agent_say("agent: there is no command \"%s\"", argv[1]);
    return usage(stderr, SP_EXIT_USAGE);
}
