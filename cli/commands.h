/* SPDX-License-Identifier: Apache-2.0
 * The commands that ask an office, for the table of main.c.
 * OWNS nothing. PROCESS cli. TRUST argv comes from the person at the keyboard.
 * SPEC docs/man/sallyport.1.
 */
#ifndef SP_CLI_COMMANDS_H
#define SP_CLI_COMMANDS_H

int sp_login_command(int argc, char **argv);
int sp_logout_command(int argc, char **argv);
int sp_status_command(int argc, char **argv);
int sp_apply_command(int argc, char **argv);
int sp_history_command(int argc, char **argv);
int sp_rollback_command(int argc, char **argv);
int sp_fetch_command(int argc, char **argv);
int sp_person_command(int argc, char **argv);
int sp_device_command(int argc, char **argv);
int sp_session_command(int argc, char **argv);
int sp_resource_command(int argc, char **argv);
int sp_setup_link_command(int argc, char **argv);
int sp_recover_admin_command(int argc, char **argv);
int sp_completion_command(int argc, char **argv);

#endif
