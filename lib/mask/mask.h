/* SPDX-License-Identifier: Apache-2.0
 * Masking one value of a database's answer, in text or binary form.
 * OWNS nothing. PROCESS database gate. TRUST values come from the database and may be anything.
 * SPEC lib/policy/types.h sp_mask; PostgreSQL 15 pg_type.dat for the types' numbers.
 */
#ifndef SP_MASK_MASK_H
#define SP_MASK_MASK_H

#include "lib/base/buf.h"
#include "lib/policy/types.h"

enum { SP_MASK_KEY_BYTES = 32 };

/* Appends what stands in the place of value, or sets *ret_is_null. Types that hold text keep a
 * text: "138****0042", "110*************2X", "************1234", "p***@example.com", "王**", a
 * keyed hash of 16 hexadecimal digits, or "***" when the value does not look like its kind. All
 * others become NULL, in both formats: nothing else is sure to be taken by a client that expects
 * the type. */
void sp_mask_value(sp_mask kind, uint32_t type_oid, const uint8_t key[SP_MASK_KEY_BYTES],
                   sp_span value, sp_buf *out, bool *ret_is_null);

#endif
