/* SPDX-License-Identifier: Apache-2.0
 * Rows of the table of commands: what is shown to staff, to monitoring, to other systems and to
 * authorities.
 * OWNS nothing. PROCESS cli. TRUST none. SPEC cli/command.h, docs/man/sallyport.1.
 */
#include "cli/commands.h"
#include "cli/handlers.h"
#include "lib/base/mem.h"

const sp_command sp_duty_commands[] = {
    {SP_GROUP_WATCH, NULL, "status-page", "COMMAND", "what staff may read without signing in",
     .about = "The status page for staff (docs/OPERATIONS.md \"Status page\")."},
    {SP_GROUP_NONE, "status-page", "show", NULL, "what is published", "Lists what the page says.",
     .ask = {SP_NEEDS_EITHER, .path = "/api/v1/status",
             .columns = {{"GROUP", "group", NULL},
                         {"STATE", "state", NULL},
                         {"SINCE (UTC)", "since_at", NULL},
                         {"UNTIL (UTC)", "until_at", NULL},
                         {"TEXT", "text.en", NULL}}}},
    {SP_GROUP_NONE, "status-page", "publish", "GROUP", "publish the state of a group of services",
     "Publishes a state under a name that staff know. Name and texts are public.",
     .options =
         (const sp_option[]){
             {"--state", SP_OPTION_TEXT, "STATE", "working, slow, down, maintenance",
              .needed = "say how it is: --state down", .field = "state"},
             {"--en", SP_OPTION_TEXT, "TEXT", "cause and what to do", .field = "en"},
             {"--zh", SP_OPTION_TEXT, "TEXT", "the same in Chinese", .field = "zh"},
             {"--name-zh", SP_OPTION_TEXT, "NAME", "the group's name in Chinese",
              .field = "group_zh"},
             {"--for", SP_OPTION_NUMBER, "SECONDS", "expected to be over after that",
              .field = "for_s"},
             {0}},
     .ask = {SP_NEEDS_EITHER, "POST", "/api/v1/status", .field = "group", .done = "published"}},
    {SP_GROUP_NONE, "status-page", "clear", "GROUP", "publish nothing about it any more",
     "Takes a group off the page.",
     .ask = {SP_NEEDS_EITHER, "POST", "/api/v1/status/clear", .field = "group", .done = "cleared"}},
    {SP_GROUP_WATCH, NULL, "metrics", "COMMAND", "figures for Prometheus",
     .about = "Who may read GET /metrics (docs/OPERATIONS.md \"Monitoring\")."},
    {SP_GROUP_NONE, "metrics", "token", NULL, "make a token to scrape with; the one before is void",
     "Prints a new token. It is shown once; only its hash is kept.",
     .ask = {SP_NEEDS_EITHER, "POST", "/api/v1/admin/metrics/token", .done = "{token}"}},
    {SP_GROUP_NONE, "metrics", "remove-token", NULL, "nobody but root scrapes any more",
     "Removes the token.", .no_json = true,
     .ask = {SP_NEEDS_EITHER, "DELETE", "/api/v1/admin/metrics/token", .done = "removed"}},
    {SP_GROUP_NONE, "metrics", "show", NULL, "the figures as they are now",
     "Prints what a scrape would read. Root on the host only (-c FILE or --local).",
     .no_json = true, .ask = {SP_NEEDS_ROOT}, .call = sp_metrics_show},
};
const size_t sp_duty_commands_count = SP_COUNT(sp_duty_commands);
