/* SPDX-License-Identifier: Apache-2.0
 * The room of identity: start, the first set-up link, what is shared.
 * OWNS sp_identity. PROCESS core. TRUST see identity.h. SPEC core/identity/identity.h.
 */
#include "core/identity/inside.h"
#include "core/identity/limits_kept.h"

#include "core/http/sse.h"
#include "infra/crypto/random.h"
#include "infra/proc/file.h"
#include "infra/proc/log.h"

#include <fido.h>
#include <unistd.h>

enum { FIRST_LINK_LIFE_S = 7 * 86400 };

void sp_people_changed(sp_core *core)
{
    sp_sse_publish(core, SP_TOPIC_PEOPLE, 0, "people", json_pack("{s:n}", "id"));
}

static sp_err load_secret(sp_store *store, uint8_t secret[SP_OFFICE_SECRET_BYTES])
{
    auto_query sp_query q = sp_query_of(store, "SELECT value FROM office_secret WHERE name = $1");
    sp_bind_text(&q, SP_SPAN_LIT("identity"));
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    sp_span value = sp_col_blob(&q);
    if (value.len != SP_OFFICE_SECRET_BYTES) {
        return sp_fail(SP_ECORRUPT);
    }
    sp_copy(secret, value.ptr, value.len);
    return sp_query_finish(&q);
}

static sp_err make_secret(sp_store *store, uint8_t secret[SP_OFFICE_SECRET_BYTES])
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    sp_random(secret, SP_OFFICE_SECRET_BYTES);
    auto_query sp_query q =
        sp_query_of(store, "INSERT INTO office_secret (name, value) VALUES ($1, $2)");
    sp_bind_text(&q, SP_SPAN_LIT("identity"));
    sp_bind_blob(&q, sp_span_of(secret, SP_OFFICE_SECRET_BYTES));
    TRY(sp_query_finish(&q));
    return sp_txn_commit(&txn);
}

/* ---- the first administrator ---- */

bool sp_identity_is_empty(sp_core *core)
{
    auto_query sp_query q = sp_query_of(core->store, "SELECT COUNT(*) FROM person");
    return sp_query_row(&q) && sp_col_u64(&q) == 0;
}

sp_err sp_first_link(sp_core *core, sp_buf *url, uint64_t *ret_expires)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(sp_link_make(core, 0, SP_LINK_FIRST_ADMIN, FIRST_LINK_LIFE_S, url, ret_expires));
    return sp_txn_commit(&txn);
}

/* Said once, where only the operator looks: standard error (his terminal or the journal) and a file
 * of core's own directory. A new start makes a new link; the earlier one dies. */
static sp_err offer_first_link(sp_core *core)
{
    auto_buf sp_buf url = sp_buf_make(1024);
    auto_free char *path = NULL;
    uint64_t expires = 0;
    TRY(sp_config_state(core->config, SP_ROLE_CORE, "first-link", &path));
    if (!sp_identity_is_empty(core)) {
        unlink(path);
        return sp_ok();
    }
    TRY(sp_first_link(core, &url, &expires));
    sp_log(SP_LOG_INFO, "nobody has an account yet; set the first administrator up at %.*s",
           SP_SPAN_ARG(sp_buf_borrow(&url)));
    sp_buf_byte(&url, '\n');
    return sp_file_replace(path, 0600, sp_buf_borrow(&url));
}

/* ---- start and stop ---- */

static sp_err add_routes(sp_core *core)
{
    TRY(sp_signin_routes(core));
    TRY(sp_setup_routes(core));
    TRY(sp_stepup_routes(core));
    TRY(sp_me_routes(core));
    TRY(sp_my_credentials_routes(core));
    TRY(sp_accounts_routes(core));
    return sp_cli_routes(core);
}

/* The same after a restart, so that kept counters are found again; known to nobody else. */
static uint64_t limits_seed(const sp_identity *identity)
{
    auto_buf sp_buf text = sp_buf_make(128);
    uint64_t seed = 0;
    sp_buf_text(&text, "limits");
    sp_buf_span(&text, sp_span_of(identity->secret, sizeof(identity->secret)));
    sp_hash hash = sp_sha256(sp_buf_borrow(&text));
    sp_buf_wipe(&text);
    sp_copy(&seed, hash.bytes, sizeof(seed));
    return seed;
}

sp_err sp_identity_start(sp_core *core, sp_identity **ret_identity)
{
    sp_identity *identity = NULL;
    TRY(sp_credentials_start(core->store));
    TRY(sp_alloc(1, sizeof(*identity), &identity));
    *ret_identity = identity;
    identity->core = core;
    fido_init(0);
    sp_err err = load_secret(core->store, identity->secret);
    if (err.code == SP_ENOTFOUND) {
        err = make_secret(core->store, identity->secret);
    }
    TRY(err);
    TRY(sp_flows_new(&identity->flows));
    TRY(sp_limits_new(limits_seed(identity), &identity->limits));
    TRY(sp_limits_kept_start(core, identity->limits, &identity->limits_kept));
    TRY(sp_passwords_new(core->loop, &identity->passwords));
    TRY(add_routes(core));
    return offer_first_link(core);
}

void sp_identity_stop(sp_identity *identity)
{
    if (identity != NULL) {
        sp_passwords_free(identity->passwords);
        sp_limits_kept_stop(identity->limits_kept);
        sp_limits_free(identity->limits);
        sp_flows_free(identity->flows);
        sp_wipe(identity->secret, sizeof(identity->secret));
        sp_free(identity);
    }
}
