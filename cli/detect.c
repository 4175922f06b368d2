/* SPDX-License-Identifier: Apache-2.0
 * Detections from the command line: what is looked for, and how the watch does.
 * OWNS nothing. PROCESS cli. TRUST answers hold names that other people chose.
 * SPEC docs/man/sallyport-detect.1.
 */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/handlers.h"
#include "cli/table.h"

#include <stdio.h>
#include <string.h>

static const char *how(const json_t *row)
{
    static const char *const operators[] = {"count", "sum",    "distinct", "sequence", "novel",
                                            "rate",  "travel", "absent",   "changes"};
    for (size_t i = 0; i < SP_COUNT(operators); i++) {
        if (json_object_get(row, operators[i]) != NULL) {
            return operators[i];
        }
    }
    return "canary";
}

static void print_list(const json_t *answer)
{
    static const sp_column columns[] = {{"NAME", "name", NULL}, {"SEVERITY", "severity", NULL},
                                        {"HOW", NULL, how},     {"BY", "by", NULL},
                                        {"PLAN", "plan", NULL}, {NULL, NULL, NULL}};
    const json_t *watch = json_object_get(answer, "watch");
    sp_ask_rows(columns, json_object_get(answer, "detections"));
    sp_ask_rows(columns, json_object_get(answer, "canaries"));
    if (!json_is_true(json_object_get(watch, "up"))) {
        printf("The watch does not answer.\n");
        return;
    }
    printf("The watch has looked at all entries before %s; %s ms behind%s%s.\n",
           sp_json_text(watch, "next_entry"), sp_json_text(watch, "lag_ms"),
           json_is_true(json_object_get(watch, "degraded")) ? ": degraded" : "",
           json_is_true(json_object_get(watch, "forgets")) ? "; it forgets keys that still count"
                                                           : "");
}

static const json_t *named(const json_t *answer, const char *name)
{
    static const char *const lists[] = {"detections", "canaries"};
    for (size_t i = 0; i < SP_COUNT(lists); i++) {
        const json_t *list = json_object_get(answer, lists[i]);
        for (size_t k = 0; k < json_array_size(list); k++) {
            if (strcmp(sp_json_text(json_array_get(list, k), "name"), name) == 0) {
                return json_array_get(list, k);
            }
        }
    }
    return NULL;
}

int sp_detect(const sp_given *given)
{
    auto_client sp_client *client = NULL;
    json_t *answer = NULL;
    int status = sp_ask_open(given, &client);
    if (status != SP_EXIT_OK) {
        return status;
    }
    status = sp_client_call(client, "GET", "/api/v1/detections", NULL, &answer);
    const json_t *one =
        status == SP_EXIT_OK && given->words_count > 0 ? named(answer, given->words[0]) : NULL;
    if (status == SP_EXIT_OK && given->words_count > 0 && one == NULL) {
        sp_complain("there is no detection or canary %s", given->words[0]);
        status = SP_EXIT_FAILED;
    } else if (one != NULL) {
        sp_client_print(one);
    } else if (status == SP_EXIT_OK && given->json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK) {
        print_list(answer);
    }
    json_decref(answer);
    return status;
}
