/* SPDX-License-Identifier: Apache-2.0
 * Looking up addresses with libmaxminddb.
 * OWNS the mapped file. PROCESS watch, cli. TRUST see place.h. SPEC infra/place/place.h.
 */
#include "infra/place/place.h"

#include <maxminddb.h>
#include <netinet/in.h>

struct sp_places {
    MMDB_s file;
};

sp_err sp_places_open(const char *path, sp_buf *why, sp_places **ret_places)
{
    sp_places *places = NULL;
    TRY(sp_alloc(1, sizeof(*places), &places));
    int status = MMDB_open(path, MMDB_MODE_MMAP, &places->file);
    if (status != MMDB_SUCCESS) {
        sp_buf_fmt(why, "%s: %s", path, MMDB_strerror(status));
        sp_free(places);
        return sp_fail(SP_EINVALID);
    }
    *ret_places = places;
    return sp_ok();
}

void sp_places_free(sp_places *places)
{
    if (places != NULL) {
        MMDB_close(&places->file);
        sp_free(places);
    }
}

static bool number_at(MMDB_entry_s *entry, const char *const *path, double *ret_number)
{
    MMDB_entry_data_s data;
    if (MMDB_aget_value(entry, &data, path) != MMDB_SUCCESS || !data.has_data) {
        return false;
    }
    if (data.type == MMDB_DATA_TYPE_DOUBLE) {
        *ret_number = data.double_value;
    } else if (data.type == MMDB_DATA_TYPE_FLOAT) {
        *ret_number = (double)data.float_value;
    } else {
        return false;
    }
    return true;
}

static bool is_on_earth(const sp_detect_place *place)
{
    return place->latitude >= -90 && place->latitude <= 90 && place->longitude >= -180 &&
           place->longitude <= 180;
}

bool sp_places_find(sp_places *places, const uint8_t peer[16], sp_detect_place *ret_place)
{
    static const char *const latitude[] = {"location", "latitude", NULL};
    static const char *const longitude[] = {"location", "longitude", NULL};
    static const char *const country[] = {"country", "iso_code", NULL};
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    int status = MMDB_SUCCESS;
    MMDB_lookup_result_s found;
    if (sp_span_eq(sp_span_of(peer, sizeof(mapped)), sp_span_of(mapped, sizeof(mapped)))) {
        struct sockaddr_in v4 = {.sin_family = AF_INET};
        sp_copy(&v4.sin_addr, peer + sizeof(mapped), 4);
        found = MMDB_lookup_sockaddr(&places->file, (const struct sockaddr *)&v4, &status);
    } else {
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
        sp_copy(&v6.sin6_addr, peer, 16);
        found = MMDB_lookup_sockaddr(&places->file, (const struct sockaddr *)&v6, &status);
    }
    sp_detect_place place = {0};
    MMDB_entry_data_s code;
    if (status != MMDB_SUCCESS || !found.found_entry ||
        !number_at(&found.entry, latitude, &place.latitude) ||
        !number_at(&found.entry, longitude, &place.longitude) || !is_on_earth(&place)) {
        return false;
    }
    bool named = MMDB_aget_value(&found.entry, &code, country) == MMDB_SUCCESS && code.has_data &&
                 code.type == MMDB_DATA_TYPE_UTF8_STRING && code.data_size == 2;
    sp_copy(place.country, named ? code.utf8_string : "??", 2);
    *ret_place = place;
    return true;
}
