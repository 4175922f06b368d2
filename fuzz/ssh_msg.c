/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: bodies of the messages between the SSH gate and core; the first byte chooses the body.
 * What is read must be written as the same bytes.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/proto/ssh_msg.h.
 */
#include "lib/proto/ssh_msg.h"
#include "fuzz/again.h"

FUZZ_AGAIN(ssh_offer)
FUZZ_AGAIN(ssh_key_shown)
FUZZ_AGAIN(ssh_signed_in)
FUZZ_AGAIN(ssh_prompt)
FUZZ_AGAIN(ssh_prompted)
FUZZ_AGAIN(ssh_rider)
FUZZ_AGAIN(ssh_targets)
FUZZ_AGAIN(ssh_open)
FUZZ_AGAIN(ssh_opened)
FUZZ_AGAIN(ssh_conn)
FUZZ_AGAIN(ssh_channel)
FUZZ_AGAIN(ssh_watch_want)
FUZZ_AGAIN(ssh_watched)
FUZZ_AGAIN(ssh_kill)
FUZZ_AGAIN(ssh_freeze)
FUZZ_AGAIN(ssh_alarm)

FUZZ_ONE_OF(ssh_offer_again, ssh_key_shown_again, ssh_signed_in_again, ssh_prompt_again,
            ssh_prompted_again, ssh_rider_again, ssh_targets_again, ssh_open_again,
            ssh_opened_again, ssh_conn_again, ssh_channel_again, ssh_watch_want_again,
            ssh_watched_again, ssh_kill_again, ssh_freeze_again, ssh_alarm_again)
