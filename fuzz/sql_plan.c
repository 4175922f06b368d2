/* SPDX-License-Identifier: Apache-2.0
 * Plans as a server may send them.
 * OWNS nothing. PROCESS fuzz. TRUST the input is hostile. SPEC lib/sql/plan.h.
 */
#include "lib/sql/plan.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_sql_plan plan = {.rows = UINT64_MAX - 1};
    sp_err err = sp_sql_plan_read(sp_span_of(data, size), &plan);
    if (sp_failed(err) && plan.rows != UINT64_MAX - 1) {
        abort(); /* what is not a plan says nothing */
    }
    return 0;
}
