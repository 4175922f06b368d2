/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: bodies of the messages between the database gate and core; the first byte chooses the
 * body. What is read must be written as the same bytes.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/proto/db_msg.h.
 */
#include "lib/proto/db_msg.h"
#include "fuzz/again.h"

FUZZ_AGAIN(db_sasl)
FUZZ_AGAIN(db_sasl_step)
FUZZ_AGAIN(db_cert)
FUZZ_AGAIN(db_session)
FUZZ_AGAIN(db_conn)
FUZZ_AGAIN(db_ask)
FUZZ_AGAIN(db_ask_id)
FUZZ_AGAIN(db_ask_use)
FUZZ_AGAIN(db_ask_done)
FUZZ_AGAIN(db_spend)
FUZZ_AGAIN(db_keep)
FUZZ_AGAIN(db_kept)
FUZZ_AGAIN(db_kill)
FUZZ_AGAIN(db_cancel)
FUZZ_AGAIN(db_granted)

FUZZ_ONE_OF(db_sasl_again, db_sasl_step_again, db_cert_again, db_session_again, db_conn_again,
            db_ask_again, db_ask_id_again, db_ask_use_again, db_ask_done_again, db_spend_again,
            db_keep_again, db_kept_again, db_kill_again, db_cancel_again, db_granted_again)
