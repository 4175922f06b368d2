/* SPDX-License-Identifier: Apache-2.0
 * Addresses of clients as text: IPv4 in four decimal numbers, IPv6 in groups with one "::"; and
 * networks of them.
 * OWNS nothing. PROCESS core, cli, ssh gate. TRUST texts are hostile; every index is bounded.
 * SPEC RFC 4291 section 2.2, RFC 6943 section 3.1.1 (the strict form of IPv4).
 */
#ifndef SP_BASE_ADDRESS_H
#define SP_BASE_ADDRESS_H

#include "lib/base/span.h"

typedef struct {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint32_t bits;       /* 0..128 */
} sp_address_range;

/* As 16 bytes, IPv4 as ::ffff:a.b.c.d. SP_EINVALID. */
SP_MUST sp_err sp_address_parse(sp_span text, uint8_t ret_address[16], bool *ret_is_v4);
/* "203.0.113.0/24", "2001:db8::/32", or one address. SP_EINVALID, SP_ELIMIT; SP_ECONFLICT: bits
 * beyond the length of the network. */
SP_MUST sp_err sp_address_range_parse(sp_span text, sp_address_range *ret_range);
bool sp_address_in(const sp_address_range *range, const uint8_t address[16]);

/* The same machine, or the same network behind one: a /64 of IPv6. */
bool sp_address_same_place(const uint8_t one[16], const uint8_t other[16]);

#endif
