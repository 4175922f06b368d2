/* SPDX-License-Identifier: Apache-2.0
 * What rows of the table (cli/commands.c) cannot say: the special commands.
 * OWNS nothing. PROCESS cli. TRUST argv comes from the person at the keyboard.
 * SPEC cli/command.h.
 */
#ifndef SP_CLI_HANDLERS_H
#define SP_CLI_HANDLERS_H

#include "cli/client.h"

/* login.c */
int sp_login(const sp_given *given);
int sp_logout(const sp_given *given);
int sp_status(const sp_given *given);
/* apply.c */
int sp_apply(const sp_given *given);
int sp_fetch(const sp_given *given);
const char *sp_version_state(const json_t *version);
/* people.c */
int sp_person_add(const sp_given *given);
void sp_person_roles_added(const sp_given *given, const json_t *person, json_t *body);
void sp_person_roles_left(const sp_given *given, const json_t *person, json_t *body);
/* devices.c */
const char *sp_device_state(const json_t *device);
const char *sp_device_key(const json_t *device);
/* database.c */
int sp_db_credential(const sp_given *given);
/* approvals.c */
int sp_approvals_show(const sp_given *given);
int sp_approvals_answer(const sp_given *given);
int sp_approvals_watch(const sp_given *given);
const char *sp_approval_votes(const json_t *approval);
const char *sp_approval_target(const json_t *approval);
void sp_grant_body(const sp_given *given, const json_t *found, json_t *body);
void sp_review_body(const sp_given *given, const json_t *found, json_t *body);
int sp_db_undo(const sp_given *given);
int sp_ledger_erase_command(const sp_given *given);
/* detect.c */
int sp_detect(const sp_given *given);
/* detect_test.c */
int sp_detect_test(const sp_given *given);
/* incident.c */
int sp_incident_show(const sp_given *given);
int sp_plan_run(const sp_given *given);
int sp_plan_report(const sp_given *given);
const char *sp_step_names(const json_t *plan);
const char *sp_step_after(const json_t *step);
const char *sp_step_took(const json_t *step);
void sp_confirm_body(const sp_given *given, const json_t *found, json_t *body);
void sp_merge_body(const sp_given *given, const json_t *found, json_t *body);
void sp_role_body(const sp_given *given, const json_t *found, json_t *body);
/* database.c: standard input to its end, without a last line break */
int sp_read_secret(sp_secret *ret_secret);
/* "resource/account", in letters that a path takes as they are. */
bool sp_is_credential(const char *word);
/* notice.c */
int sp_notice_send(const sp_given *given);
int sp_notice_preview(const sp_given *given);
int sp_notice_unreached(const sp_given *given);
int sp_notice_secret(const sp_given *given);
int sp_notice_reach(const sp_given *given);
const char *sp_notice_who(const json_t *row);
/* evidence.c */
int sp_incident_evidence(const sp_given *given);
/* report.c */
int sp_report_show(const sp_given *given);
int sp_report_draft(const sp_given *given);
int sp_report_export(const sp_given *given);
void sp_report_open_body(const sp_given *given, const json_t *found, json_t *body);
void sp_report_fact_body(const sp_given *given, const json_t *found, json_t *body);
void sp_report_item_body(const sp_given *given, const json_t *found, json_t *body);
void sp_report_filed_body(const sp_given *given, const json_t *found, json_t *body);
/* metrics.c */
int sp_metrics_show(const sp_given *given);
/* kill.c */
int sp_kill(const sp_given *given);
/* psql.c */
int sp_psql_command(int argc, char **argv);
/* ssh_account.c */
int sp_ssh_account_password(const sp_given *given);
int sp_ssh_account_key(const sp_given *given);
int sp_ssh_account_remove(const sp_given *given);

/* ssh.c */
int sp_ssh_command(int argc, char **argv);
int sp_copy_command(int argc, char **argv);
int sp_ssh_config(const sp_given *given);
int sp_ssh_key_add(const sp_given *given);
/* Key and certificate for SSH, if the office has such a gate; says nothing. */
void sp_ssh_after_login(sp_client *client);
void sp_ssh_after_logout(void);
/* recording.c */
int sp_session_replay(const sp_given *given);
int sp_session_watch(const sp_given *given);
const char *sp_ssh_runs(const json_t *row);
void sp_freeze_body(const sp_given *given, const json_t *found, json_t *body);
void sp_thaw_body(const sp_given *given, const json_t *found, json_t *body);
/* watch.c */
int sp_db_watch(const sp_given *given);
int sp_session_show(const sp_given *given);
/* completion.c */
int sp_completion(const sp_given *given);
/* main.c */
int sp_help(const sp_given *given);
int sp_version(const sp_given *given);
int sp_role_command(int argc, char **argv);

#endif
