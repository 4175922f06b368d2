/* SPDX-License-Identifier: Apache-2.0
 * Whether an archive has what it is kept for. pg_dump leaves out what it thinks comes from
 * elsewhere (members of extensions) and says nothing: so what pg_restore lists is held against the
 * manifest before the keep counts, within the bounds that undo reads it with. OWNS nothing. PROCESS
 * keeper, threads of the pool. TRUST names in the list are the database's: only numbers are read.
 * SPEC keeper/toc.h, pg_restore(1) "--list".
 */
#include "infra/proc/file.h"
#include "keeper/keeper.h"
#include "keeper/toc.h"

#include <stdlib.h>
#include <unistd.h>

const char keep_listing_too_long[] = "the database has more objects than an undo can read";

sp_err keep_listing_start(keep_job *job, keep_child *ret_lister)
{
    const char *const argv[] = {KEEP_LISTING_WORDS};
    return keep_child_start(job, argv, true, false, ret_lister);
}

void keep_listing_feed(keep_child *lister, sp_span bytes)
{
    if (lister->in >= 0 && sp_failed(sp_write_all(lister->in, bytes))) {
        close(lister->in); /* it has read what it wanted */
        lister->in = -1;
    }
}

static int compare(const void *a, const void *b)
{
    const uint32_t *x = a;
    const uint32_t *y = b;
    return (*x > *y) - (*x < *y);
}

/* Numbers of the tables whose rows are there, sorted. */
static sp_err read_tables(sp_span list, uint32_t **ret_oids, size_t *ret_count)
{
    keep_toc_entry entry;
    size_t count = 0;
    for (sp_span rest = list; keep_toc_next(&rest, &entry);) {
        count += keep_toc_is_data(&entry) ? 1 : 0;
    }
    TRY(sp_alloc(count + 1, sizeof(**ret_oids), ret_oids));
    *ret_count = 0;
    for (sp_span rest = list; keep_toc_next(&rest, &entry);) {
        if (keep_toc_is_data(&entry)) {
            (*ret_oids)[(*ret_count)++] = entry.oid;
        }
    }
    qsort(*ret_oids, *ret_count, sizeof(**ret_oids), compare);
    return sp_ok();
}

static sp_err check_rows(keep_job *job, sp_span list, const json_t *manifest)
{
    const json_t *relations = json_object_get(manifest, "relations");
    auto_free uint32_t *oids = NULL;
    size_t count = 0;
    TRY(read_tables(list, &oids, &count));
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        const char *kind = json_string_value(json_object_get(one, "kind"));
        uint32_t oid = (uint32_t)json_integer_value(json_object_get(one, "oid"));
        if (kind != NULL && kind[0] == 'r' &&
            bsearch(&oid, oids, count, sizeof(*oids), compare) == NULL) {
            sp_buf_fmt(&job->why, "pg_dump left out the rows of %s: it cannot be kept",
                       json_string_value(json_object_get(one, "quoted")));
            return sp_fail(SP_ECONFLICT);
        }
    }
    return sp_ok();
}

sp_err keep_listing_end(keep_job *job, keep_child *lister, const json_t *manifest)
{
    auto_buf sp_buf list = sp_buf_make(KEEP_LISTING_MAX_BYTES + 1);
    sp_err ended = keep_child_end(job, lister);
    if (manifest == NULL) {
        return ended;
    }
    TRY(keep_child_told(lister, &list));
    if (list.len > KEEP_LISTING_MAX_BYTES) { /* of a longer one pg_restore may not write the end */
        sp_buf_reset(&job->why);
        sp_buf_text(&job->why, keep_listing_too_long);
        return sp_fail(SP_ELIMIT);
    }
    TRY(ended);
    return check_rows(job, sp_buf_borrow(&list), manifest);
}
