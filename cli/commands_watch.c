/* SPDX-License-Identifier: Apache-2.0
 * Rows of the table of commands: the kill switch, detections, incidents, plans, notices.
 * OWNS nothing. PROCESS cli. TRUST none. SPEC cli/command.h, docs/man/sallyport.1.
 */
#include "cli/commands.h"
#include "cli/handlers.h"
#include "lib/base/mem.h"

#define NOTICES "/api/v1/admin/notices"

/* A row of `kill`. */
#define KILL(word, words, summary, about)                                                          \
    {                                                                                              \
        SP_GROUP_NONE, "kill", word, words, summary, about,                                        \
            .options =                                                                             \
                (const sp_option[]){                                                               \
                    SP_TEXT("--reason", "TEXT", "why, for the ledger"),                            \
                    SP_TEXT("--for", "TIME", "how long: 30m, 2h; else until undone"),              \
                    SP_FLAG("--step-up", "do not close: have people prove themselves again"),      \
                    SP_FLAG("--dry-run", "say what it would meet, and do nothing"),                \
                    {0}},                                                                          \
            .ask = {SP_NEEDS_EITHER}, .call = sp_kill                                              \
    }

/* `plan run` and `plan drill`. */
#define PLAN(word, summary, about)                                                                 \
    {                                                                                              \
        SP_GROUP_NONE, "plan", word, "NAME", summary, about,                                       \
            .options = (const sp_option[]){SP_TEXT("--reason", "TEXT", "why, for the ledger"),     \
                                           SP_TEXT("--person", "NAME", "whom it is about"),        \
                                           SP_TEXT("--session", "ID", "which session"),            \
                                           SP_TEXT("--device", "ID", "which device"),              \
                                           SP_TEXT("--resource", "NAME", "which resource"),        \
                                           SP_TEXT("--class", "NAME", "which class of data"),      \
                                           SP_FLAG("--dry-run", "say what it would meet"),         \
                                           {0}},                                                   \
            .ask = {SP_NEEDS_EITHER}, .call = sp_plan_run                                          \
    }

const sp_command sp_watch_commands[] = {
    {SP_GROUP_WATCH, NULL, "kill", "COMMAND", "cut somebody or something off, now",
     .about =
         "The kill switch. Over web, databases and SSH at once, within 100 ms; undone by\n"
         "'kill undo'. With --local root does it on the host itself, when nobody can sign in."},
    KILL("session", "ID", "one session, for good",
         "Ends a session, and all that rides on it, for good."),
    KILL("person", "NAME", "a person",
         "Locks a person: all sessions end, and nobody signs in under that name until it is "
         "undone."),
    KILL("device", "NAME|ID", "a device",
         "Puts a device into quarantine: it reaches nothing, and the sessions on it end."),
    KILL("role", "NAME", "whoever holds a role",
         "Closes everything to everybody who holds the role, for as long as it lasts."),
    KILL("resource", "NAME", "an application, database or machine",
         "Closes a resource to everybody."),
    KILL("class", "NAME", "a class of data, and graver ones",
         "Closes all objects of this class and of graver ones to everybody."),
    KILL("everything", NULL, "all of it",
         "Closes all applications, databases and machines to everybody. The portal stays for\n"
         "security administrators with a second factor."),
    {SP_GROUP_NONE, "kill", "list", NULL, "what is cut",
     "Lists what is cut now; with --all what was cut before as well.",
     .options = (const sp_option[]){{"--all", SP_OPTION_FLAG, NULL, "those that have ended, too",
                                     .instead = "/api/v1/cuts?all=1"},
                                    {0}},
     .ask = {SP_NEEDS_EITHER, .path = "/api/v1/cuts",
             .columns = {{"ID", "id", NULL},
                         {"KIND", "kind", NULL},
                         {"NAME", "name", NULL},
                         {"EFFECT", "effect", NULL},
                         {"BY", "by", NULL},
                         {"SINCE (UTC)", "since_at", NULL},
                         {"UNTIL (UTC)", "until_at", NULL},
                         {"ENDED (UTC)", "ended_at", NULL},
                         {"REASON", "reason", NULL}}}},
    {SP_GROUP_NONE, "kill", "undo", "ID", "give it back",
     "Ends a cut. A session that was ended stays ended.",
     .options = (const sp_option[]){{"--reason", SP_OPTION_TEXT, "TEXT", "why, for the ledger",
                                     .needed = "say why: --reason TEXT", .field = "reason"},
                                    {0}},
     .ask = {SP_NEEDS_EITHER, "POST", "/api/v1/cuts/{1}/undo",
             .done = "cut {id} ({kind} {name}) has ended"}},
    {SP_GROUP_WATCH, NULL, "detect", "COMMAND", "what the watch looks for",
     .about = "Detections and canaries over the ledger, as it grows."},
    {SP_GROUP_NONE, "detect", "list", NULL, "those in force, and how the watch does",
     "Lists the detections and canaries in force, and says how far behind the watch is.",
     .ask = {SP_NEEDS_EITHER}, .call = sp_detect},
    {SP_GROUP_NONE, "detect", "show", "NAME", "one of them", "Shows a detection or canary as JSON.",
     .ask = {SP_NEEDS_EITHER}, .call = sp_detect},
    {SP_GROUP_NONE, "detect", "test", "FOLDER [FILE]", "those of a folder, over the past",
     "Runs the detections of a folder of documents over events of the ledger (JSON lines, as\n"
     "'sallyport ledger search' prints them; default: standard input). Changes nothing.",
     .options = (const sp_option[]){SP_TEXT("--detection", "NAME", "this one only"),
                                    SP_TEXT("--directory", "FILE",
                                            "numbers of roles and people, as for 'policy replay'"),
                                    {0}},
     .call = sp_detect_test},
    {SP_GROUP_WATCH, NULL, "incident", "COMMAND", "what happened, who leads, what is to be done",
     .about = "Incidents: opened by an alarm or a person, closed with a review. With --local root\n"
              "does it on the host itself."},
    {SP_GROUP_NONE, "incident", "list", NULL, "those that are open",
     "Lists the incidents that are open; with --all the closed ones, too.",
     .options = (const sp_option[]){{"--all", SP_OPTION_FLAG, NULL, "closed ones, too",
                                     .instead = "/api/v1/incidents?all=1"},
                                    {0}},
     .ask = {SP_NEEDS_EITHER, .path = "/api/v1/incidents",
             .columns = {{"ID", "id", NULL},
                         {"SEVERITY", "severity", NULL},
                         {"STATE", "state", NULL},
                         {"DRILL", "drill", NULL},
                         {"OPENED (UTC)", "opened_at", NULL},
                         {"COMMANDER", "roles.commander", NULL},
                         {"ALARMS", "alarms", NULL},
                         {"TITLE", "title", NULL}}}},
    {SP_GROUP_NONE, "incident", "show", "ID", "its timeline and tasks",
     "Shows an incident with its timeline, tasks and runs of plans.", .ask = {SP_NEEDS_EITHER},
     .call = sp_incident_show},
    {SP_GROUP_NONE, "incident", "open", "TITLE", "open one",
     "Opens an incident; its roles are filled from the Rota.",
     .options =
         (const sp_option[]){{"--severity", SP_OPTION_TEXT, "WORD",
                              "info, low, medium, high, critical (default medium)",
                              .field = "severity"},
                             {"--drill", SP_OPTION_FLAG, NULL, "it is a drill", .field = "drill"},
                             {0}},
     .ask = {SP_NEEDS_EITHER, "POST", "/api/v1/incidents", .field = "title",
             .done = "incident {id}, commander {roles.commander}"}},
    {SP_GROUP_NONE, "incident", "comment", "ID", "say something", "Adds a comment to the timeline.",
     .options = (const sp_option[]){{"--text", SP_OPTION_TEXT, "TEXT", "what",
                                     .needed = "say what: --text TEXT", .field = "text"},
                                    {0}},
     .ask = {SP_NEEDS_EITHER, "POST", "/api/v1/incidents/{1}/comment", .done = "noted"}},
    {SP_GROUP_NONE, "incident", "task", "ID", "something to do", "Adds a task.",
     .options =
         (const sp_option[]){{"--text", SP_OPTION_TEXT, "TEXT", "what is to be done",
                              .needed = "say what: --text TEXT", .field = "text"},
                             {"--whose", SP_OPTION_TEXT, "NAME", "who does it", .field = "whose"},
                             {0}},
     .ask = {SP_NEEDS_EITHER, "POST", "/api/v1/incidents/{1}/task", .done = "noted"}},
    {SP_GROUP_NONE, "incident", "role", "ID ROLE NAME", "who is commander, scribe or liaison",
     "Gives a role of the incident to a person.",
     .ask = {SP_NEEDS_EITHER, "POST", "/api/v1/incidents/{1}/role", .body = sp_role_body,
             .done = "noted"}},
    {SP_GROUP_NONE, "incident", "merge", "ID INTO", "two that are one",
     "Merges an incident into another one: its timeline and tasks go there.",
     .ask = {SP_NEEDS_EITHER, "POST", "/api/v1/incidents/{1}/merge", .body = sp_merge_body,
             .done = "it is part of incident {id} now"}},
    {SP_GROUP_NONE, "incident", "close", "ID", "close it, with a review", "Closes an incident.",
     .options =
         (const sp_option[]){{"--review", SP_OPTION_TEXT, "TEXT",
                              "what happened, what was done, what changes",
                              .needed = "a closing review: --review TEXT", .field = "review"},
                             {0}},
     .ask = {SP_NEEDS_EITHER, "POST", "/api/v1/incidents/{1}/close", .done = "{id} is closed"}},
    {SP_GROUP_WATCH, NULL, "plan", "COMMAND", "contingency plans: run, drill, confirm, report",
     .about = "Plans are documents (docs/POLICY.md \"Plan\"); an alarm or a person sets them off.\n"
              "With --local root does it on the host itself."},
    {SP_GROUP_NONE, "plan", "list", NULL, "the plans, and when each was drilled",
     "Lists the plans of the office.",
     .ask = {SP_NEEDS_EITHER, .path = "/api/v1/plans",
             .columns = {{"NAME", "name", NULL},
                         {"MODE", "mode", NULL},
                         {"LAST DRILLED (UTC)", "last_drilled_at", NULL},
                         {"LAST RUN (UTC)", "last_run_at", NULL},
                         {"STEPS", NULL, sp_step_names}}}},
    PLAN("run", "run a plan",
         "Runs a plan about what is named. Steps that a person has to confirm wait."),
    PLAN("drill", "the same steps at the same time, and nothing is cut",
         "Drills a plan: real timing, nothing is cut, all of it is marked as a drill."),
    {SP_GROUP_NONE, "plan", "runs", NULL, "what runs, or waits for a person",
     "Lists runs that have not ended; with --all the others, too.",
     .options = (const sp_option[]){{"--all", SP_OPTION_FLAG, NULL, "ended ones, too",
                                     .instead = "/api/v1/plan-runs?all=1"},
                                    {0}},
     .ask = {SP_NEEDS_EITHER, .path = "/api/v1/plan-runs",
             .columns = {{"RUN", "id", NULL},
                         {"PLAN", "plan", NULL},
                         {"STATE", "state", NULL},
                         {"DRILL", "drill", NULL},
                         {"INCIDENT", "incident", NULL},
                         {"STARTED (UTC)", "started_at", NULL},
                         {"BY", "by", NULL},
                         {"WHY", "why", NULL}}}},
    {SP_GROUP_NONE, "plan", "report", "RUN", "each step with its time",
     "Shows a run with its steps: what each did, when, and how long it took.",
     .ask = {SP_NEEDS_EITHER}, .call = sp_plan_report},
    {SP_GROUP_NONE, "plan", "confirm", "RUN [STEP]", "let it, or a step of it, go on",
     "Confirms a run that was proposed, or the step (by its number) that waits for a person.",
     .ask = {SP_NEEDS_EITHER, "POST", "/api/v1/plan-runs/{1}/confirm", .body = sp_confirm_body,
             .done = "run {id} of {plan}: {state}"}},
    {SP_GROUP_NONE, "plan", "stop", "RUN", "nothing more begins",
     "Stops a run. With --undo what it has cut is given back, also after its end.",
     .options = (const sp_option[]){{"--undo", SP_OPTION_FLAG, NULL, "give back what it cut",
                                     .field = "undo"},
                                    {"--reason", SP_OPTION_TEXT, "TEXT", "why, for the ledger",
                                     .needed = "say why: --reason TEXT", .field = "reason"},
                                    {0}},
     .ask = {SP_NEEDS_EITHER, "POST", "/api/v1/plan-runs/{1}/stop",
             .done = "run {id} of {plan}: {state}"}},
    {SP_GROUP_WATCH, NULL, "notice", "COMMAND", "tell people, and see whom it did not reach",
     .about = "Notices: what people are told by mail, chat and the portal (docs/NOTICES.md)."},
    {SP_GROUP_NONE, "notice", "list", NULL, "what was sent, newest first",
     "Lists the last hundred notices.",
     .ask = {SP_NEEDS_EITHER, .path = NOTICES,
             .columns = {{"ID", "id", NULL},
                         {"STATE", "state", NULL},
                         {"TO", "audience", NULL},
                         {"PEOPLE", "counts.people", NULL},
                         {"HANDED", "counts.handed_over", NULL},
                         {"UNREACHED", "counts.not_reached", NULL},
                         {"READ", "counts.acknowledged", NULL},
                         {"SENT (UTC)", "sent_at", NULL},
                         {"TITLE", "title", NULL}}}},
    {SP_GROUP_NONE, "notice", "show", "ID", "how far one is", "Shows a notice and its counts.",
     .ask = {SP_NEEDS_EITHER, .path = NOTICES "/{1}",
             .done = "{title}\n{state}, to {audience}: {counts.people} people, {counts.waiting} "
                     "wait, {counts.handed_over} handed over, {counts.not_reached} not reached, "
                     "{counts.acknowledged} acknowledged"}},
    {SP_GROUP_NONE, "notice", "people", "ID", "everybody of one, and by which channel",
     "Lists everybody a notice is for, and the posts to groups.",
     .ask = {SP_NEEDS_EITHER, .columns = {{"WHO", NULL, sp_notice_who},
                                          {"STATE", "state", NULL},
                                          {"CHANNEL", "channel", NULL},
                                          {"ADDRESS", "address", NULL},
                                          {"READ (UTC)", "acknowledged_at", NULL},
                                          {"LAST FAILURE", "why", NULL}}},
     .call = sp_notice_unreached},
    {SP_GROUP_NONE, "notice", "unreached", "ID", "whom it did not reach, exactly",
     "Lists whom no channel took it to, and who has not acknowledged it either.",
     .ask = {SP_NEEDS_EITHER, .columns = {{"WHO", NULL, sp_notice_who},
                                          {"CHANNEL", "channel", NULL},
                                          {"ADDRESS", "address", NULL},
                                          {"WHY", "why", NULL}}},
     .call = sp_notice_unreached},
    {SP_GROUP_NONE, "notice", "send", "NOTICE [NAME=VALUE...]", "send one",
     "Sends a Notice document to its audience, or to another, with values for its variables.",
     .options = (const sp_option[]){SP_TEXT("--audience", "NAME", "to this Audience"),
                                    SP_FLAG("--drill", "marked as a drill; samples fill in"),
                                    {0}},
     .ask = {SP_NEEDS_EITHER}, .call = sp_notice_send},
    {SP_GROUP_NONE, "notice", "preview", "NOTICE [NAME=VALUE...]", "how it would read",
     "Prints how a notice would read, in both languages; samples stand for missing values.",
     .options = (const sp_option[]){SP_TEXT("--via", "CHANNEL", "email, slack, dingtalk ..."),
                                    SP_TEXT("--audience", "NAME", "not looked at"),
                                    SP_FLAG("--drill", "marked as a drill"),
                                    {0}},
     .ask = {SP_NEEDS_EITHER}, .call = sp_notice_preview},
    {SP_GROUP_NONE, "notice", "channels", NULL, "how each channel does",
     "Lists the channels: what waits, what they took since core started, why they fail.",
     .ask = {SP_NEEDS_EITHER, .path = "/api/v1/admin/channels",
             .columns = {{"NAME", "name", NULL},
                         {"VIA", "via", NULL},
                         {"WAITING", "waiting", NULL},
                         {"UNDER WAY", "under_way", NULL},
                         {"HANDED", "handed_over", NULL},
                         {"SILENT UNTIL (UTC)", "paused_until", NULL},
                         {"FAILED (UTC)", "failed_at", NULL},
                         {"WHY", "why", NULL}}}},
    {SP_GROUP_NONE, "notice", "test-channel", "CHANNEL", "send a test by it",
     "Sends the notice channel-test by a channel; 'notice people ID' says what became of it.",
     .options =
         (const sp_option[]){
             {"--to", SP_OPTION_TEXT, "MAILBOX", "for a channel via email", .field = "to"}, {0}},
     .ask =
         {SP_NEEDS_EITHER, "POST", "/api/v1/admin/channels/{1}/test",
          .done =
              "notice {id} is under way; 'sallyport notice people {id}' says what became of it"}},
    {SP_GROUP_NONE, "notice", "secret", "set|remove CHANNEL/PART", "a channel's secrets",
     "Gives the vault a channel's token or secret, from standard input, or has it forgotten.",
     .no_json = true, .ask = {SP_NEEDS_EITHER}, .call = sp_notice_secret},
    {SP_GROUP_NONE, "notice", "inbox", NULL, "what I was told",
     "Lists what I was told, newest first.",
     .ask = {.path = "/api/v1/me/notices",
             .columns = {{"ID", "id", NULL},
                         {"SENT (UTC)", "sent_at", NULL},
                         {"READ (UTC)", "acknowledged_at", NULL},
                         {"FROM", "sender", NULL},
                         {"TITLE", "texts.en.title", NULL}}}},
    {SP_GROUP_NONE, "notice", "ack", "ID...", "say that I have read it",
     "Acknowledges notices of 'notice inbox'.",
     .ask = {.method = "POST",
             .path = "/api/v1/me/notices/{1}/acknowledge",
             .each = true,
             .done = "{1}: acknowledged"}},
    {SP_GROUP_NONE, "notice", "reach", "[CHANNEL[=ID]...]", "on which channels I am told things",
     "Prints my own order of channels, or sets it: the first that works counts. A chat needs my\n"
     "id there.",
     .ask = {.columns = {{"CHANNEL", "channel", NULL}, {"ID", "id", NULL}}},
     .call = sp_notice_reach},
};
const size_t sp_watch_commands_count = SP_COUNT(sp_watch_commands);
