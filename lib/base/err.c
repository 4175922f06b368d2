/* SPDX-License-Identifier: Apache-2.0
 * Words for error codes.
 * OWNS nothing. PROCESS all. TRUST none. SPEC lib/base/err.h.
 */
#include "lib/base/err.h"

const char *sp_code_word(sp_code code)
{
    switch (code) {
    case SP_OK:
        return "ok";
    case SP_ENOMEM:
        return "out of memory";
    case SP_EINVALID:
        return "malformed";
    case SP_ESHORT:
        return "truncated";
    case SP_ELIMIT:
        return "over the limit";
    case SP_ENOTFOUND:
        return "not found";
    case SP_EEXISTS:
        return "already exists";
    case SP_EDENIED:
        return "denied";
    case SP_ECONFLICT:
        return "conflict";
    case SP_EIO:
        return "input/output error";
    case SP_EAGAIN:
        return "not now";
    case SP_ETIMEOUT:
        return "timed out";
    case SP_EUNSUPPORTED:
        return "unsupported";
    case SP_ECORRUPT:
        return "corrupt";
    case SP_ECLOSED:
        return "closed";
    case SP_EINTERNAL:
    case SP_CODE_COUNT:
        break;
    }
    return "internal error";
}
