/* SPDX-License-Identifier: Apache-2.0
 * Where an address is, by a file of the operator's in MaxMind's format (GeoLite2 City, DB-IP and
 * others have location.latitude, location.longitude and country.iso_code).
 * OWNS the mapped file. PROCESS watch, cli. TRUST the file is the operator's; the library checks
 * it. SPEC maxmind.github.io/MaxMind-DB.
 */
#ifndef SP_PLACE_PLACE_H
#define SP_PLACE_PLACE_H

#include "lib/detect/engine.h"

typedef struct sp_places sp_places;

/* Maps it whole, so that it can be used inside a sandbox. why: one sentence for people. */
SP_MUST sp_err sp_places_open(const char *path, sp_buf *why, sp_places **ret_places);
void sp_places_free(sp_places *places);
/* IPv4 as ::ffff:a.b.c.d. false: nothing is known of it. */
bool sp_places_find(sp_places *places, const uint8_t peer[16], sp_detect_place *ret_place);

#endif
