/* SPDX-License-Identifier: Apache-2.0
 * The key in a file.
 * OWNS the opened key. PROCESS agent. TRUST owner and mode of the file are checked.
 * SPEC agent/key.h.
 */
#include "agent/key.h"

#include "lib/base/sha256.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char FILE_NAME[] = "device.key";

static sp_err file_make(const sp_agent *agent, sp_pkey **ret_key)
{
    auto_pkey sp_pkey *key = NULL;
    auto_buf sp_buf der = sp_buf_make(SP_PKEY_DER_MAX_BYTES);
    TRY(sp_pkey_new_p256(&key));
    TRY(sp_pkey_der(key, &der));
    sp_err err = sp_agent_write(agent, FILE_NAME, sp_buf_borrow(&der));
    sp_buf_wipe(&der);
    TRY(err);
    *ret_key = SP_STEAL(key);
    return sp_ok();
}

static sp_err file_open(const sp_agent *agent, sp_pkey **ret_key)
{
    char path[SP_AGENT_PATH_BYTES];
    struct stat st;
    auto_buf sp_buf der = sp_buf_make(SP_PKEY_DER_MAX_BYTES);
    TRY(sp_agent_path(agent, FILE_NAME, path));
    if (lstat(path, &st) != 0) {
        return sp_fail(SP_ENOTFOUND);
    }
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
        sp_agent_say("agent: %s must be a file of yours with mode 0600; others may have read the "
                     "key: unenroll and enroll again",
                     path);
        return sp_fail(SP_EDENIED);
    }
    TRY(sp_agent_read(agent, FILE_NAME, &der));
    sp_err err = sp_pkey_of_der(sp_buf_borrow(&der), ret_key);
    sp_buf_wipe(&der);
    return err;
}

static void file_remove(const sp_agent *agent)
{
    sp_agent_remove(agent, FILE_NAME);
}

const sp_key_provider *sp_key_provider_here(void)
{
    static const sp_key_provider file = {"file",    "software", true,
                                         file_make, file_open,  file_remove};
    return &file;
}

sp_err sp_key_fingerprint(const sp_pkey *key, char ret_text[SP_AGENT_FINGERPRINT_BYTES])
{
    auto_buf sp_buf spki = sp_buf_make(SP_PKEY_DER_MAX_BYTES);
    TRY(sp_pkey_public_der(key, &spki));
    sp_hash hash = sp_sha256(sp_buf_borrow(&spki));
    const uint8_t *b = hash.bytes;
    int len = snprintf(ret_text, SP_AGENT_FINGERPRINT_BYTES, "%02X%02X-%02X%02X-%02X%02X-%02X%02X",
                       b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]);
    return len == SP_AGENT_FINGERPRINT_BYTES - 1 ? sp_ok() : sp_fail(SP_EINTERNAL);
}
