/* SPDX-License-Identifier: Apache-2.0
 * What people read who are asked to agree to a request of sftp: all that it does.
 * OWNS nothing. PROCESS ssh gate workers. TRUST paths are hostile: who shows them cleans them.
 * SPEC gates/ssh/sftp.h.
 */
#include "gates/ssh/sftp.h"

const char *sg_sftp_path(const sftp_held *held, size_t at)
{
    return held->resolved[at] != NULL ? held->resolved[at] : held->paths[at];
}

static const char *asked_word(const sftp_held *held)
{
    if (held->type != SP_SFTP_OPEN) {
        return held->word;
    }
    bool gets = (held->actions & 1U << SP_ACTION_EXPORT) != 0;
    bool puts = (held->actions & 1U << SP_ACTION_IMPORT) != 0;
    return gets && puts ? "get and put" : puts ? "put" : "get";
}

/* "ops@db: sftp put /srv/x over what is there", "ops@db: sftp setstat /srv/x mode 644" */
void sg_sftp_put_asked(const sftp_held *held, sp_buf *out)
{
    const sp_sftp_attrs *a = &held->attrs;
    sg_consent_place(held->consent.channel, out);
    sp_buf_fmt(out, ": sftp %s ", asked_word(held));
    for (size_t i = 0; i < SFTP_PATHS && held->paths[i] != NULL; i++) {
        bool as_written = held->type == SP_SFTP_SYMLINK && i == 0;
        sp_buf_text(out, i > 0 ? " to " : "");
        sp_buf_text(out, as_written ? held->paths[i] : sg_sftp_path(held, i));
    }
    sp_buf_text(out, held->exists ? " over what is there" : "");
    if ((a->flags & SP_SFTP_A_SIZE) != 0) {
        sp_buf_fmt(out, " size %llu", (unsigned long long)a->size);
    }
    if ((a->flags & SP_SFTP_A_OWNER) != 0) {
        sp_buf_fmt(out, " owner %u:%u", a->uid, a->gid);
    }
    if ((a->flags & SP_SFTP_A_MODE) != 0) {
        sp_buf_fmt(out, " mode %o", a->mode & 07777);
    }
    if ((a->flags & SP_SFTP_A_TIMES) != 0) {
        sp_buf_fmt(out, " times %u %u", a->atime, a->mtime);
    }
}
