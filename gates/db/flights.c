/* SPDX-License-Identifier: Apache-2.0
 * Messages whose answers are not complete, in their order.
 * OWNS the ring of a session. PROCESS db gate workers. TRUST the client fills it: it has a maximum.
 * SPEC PostgreSQL 15 manual, 55.2.3 (skip until Sync), 55.2.6 (COPY).
 */
#include "gates/db/db.h"

enum { CAP_FIRST = 8, CAP_KEPT = 64, LINGER_US = 120, CROWD_US = 10000 };

static db_flight *at(const db_flights *flights, uint32_t place)
{
    return &flights->items[(flights->head + place) & (flights->cap - 1)];
}

static sp_err grow(db_flights *flights)
{
    uint32_t cap = flights->cap == 0 ? CAP_FIRST : flights->cap * 2;
    db_flight *items = NULL;
    TRY(sp_alloc(cap, sizeof(*items), &items));
    for (uint32_t i = 0; i < flights->count; i++) {
        items[i] = *at(flights, i);
    }
    sp_free(flights->items);
    flights->items = items;
    flights->head = 0;
    flights->cap = cap;
    return sp_ok();
}

/* A client that is alone waits for the gate to wake up, twice a statement. Where several ask there
 * is always something to do, and the core is better left to the server. */
static void count_busy(void)
{
    static uint64_t crowd_us; /* when several asked at once, last */
    uint64_t now_us = sp_loop_now_us(db_here.loop);
    if (db_here.busy != NULL && db_here.busy->next != NULL) {
        crowd_us = now_us;
    }
    sp_loop_linger(db_here.loop, now_us - crowd_us > CROWD_US ? LINGER_US : 0);
}

static bool comes_to_ready(const db_flight *flight)
{
    return flight->type == 'Q' || flight->type == 'S' || flight->type == 'F';
}

sp_err db_flights_add(db_session *session, const db_flight *flight)
{
    db_flights *flights = &session->flights;
    if (flights->count == flights->cap) {
        TRY(grow(flights));
    }
    *at(flights, flights->count) = *flight;
    flights->count++;
    flights->ready_count += comes_to_ready(flight) ? 1 : 0;
    session->is_asked = false;
    db_place_enter(&db_here.busy, &session->busy, session);
    count_busy();
    return sp_ok();
}

const db_flight *db_flights_at(const db_session *session, uint32_t place)
{
    return at(&session->flights, place);
}

db_flight *db_flights_head(db_session *session)
{
    return session->flights.count == 0 ? NULL : at(&session->flights, 0);
}

static void tell_end(db_session *session, db_flight *flight, db_how how)
{
    db_end end = {.how = how};
    if (flight->poison != NULL || (flight->flags & (DB_FLIGHT_OURS | DB_FLIGHT_GUARD)) != 0) {
        db_judge_ours_end(session, flight, &end);
        sp_free(flight->poison);
        return;
    }
    if (how != DB_END_SKIPPED) {
        uint64_t now_us = sp_loop_now_us(db_here.loop);
        end.rows = session->rows + session->copied;
        end.touched = session->touched;
        end.bytes_out = session->bytes_out;
        end.bytes_in = session->bytes_in;
        end.duration_us = now_us > flight->started_us ? now_us - flight->started_us : 0;
        end.tag = sp_span_cstr(session->tag);
        sp_copy(end.sqlstate, session->sqlstate, sizeof(end.sqlstate));
    }
    db_judge_end(session, flight, &end);
}

void db_flights_pop(db_session *session, db_how how)
{
    db_flights *flights = &session->flights;
    db_flight flight = *at(flights, 0);
    flights->head = (flights->head + 1) & (flights->cap - 1);
    flights->ready_count -= comes_to_ready(&flight) ? 1 : 0;
    if (--flights->count == 0) {
        db_place_leave(&session->busy);
        count_busy();
    }
    tell_end(session, &flight, how);
    if (how != DB_END_SKIPPED) {
        session->rows = session->copied = session->touched = 0;
        session->bytes_out = session->bytes_in = 0;
        session->tag[0] = '\0';
        session->sqlstate[0] = '\0';
    }
    if (flights->count == 0 && session->drains) {
        session->drains = false;
        db_session_resume(session);
    }
    if (flights->count == 0 && flights->cap > CAP_KEPT) {
        sp_free(flights->items);
        *flights = (db_flights){.items = NULL};
    }
}

void db_flights_fail(db_session *session)
{
    db_flights_pop(session, DB_END_FAILED);
    for (db_flight *next = db_flights_head(session); next != NULL && next->type != 'S';
         next = db_flights_head(session)) {
        db_flights_pop(session, DB_END_SKIPPED);
    }
    session->skipping = session->flights.count == 0;
}

bool db_flights_may_copy(const db_session *session)
{
    const db_flights *flights = &session->flights;
    return flights->count > 0 && !session->copy_in &&
           (at(flights, flights->count - 1)->flags & DB_FLIGHT_COPY) != 0;
}

bool db_flights_is_alone(const db_session *session)
{
    const db_flights *flights = &session->flights;
    return flights->count > 0 && !session->copy_in &&
           (at(flights, flights->count - 1)->flags & (DB_FLIGHT_COPY | DB_FLIGHT_LIMITED)) != 0;
}

void db_flights_done(db_session *session)
{
    session->drains = false;
    while (session->flights.count > 0) {
        db_flights_pop(session, DB_END_LOST);
    }
    sp_free(session->flights.items);
    session->flights = (db_flights){.items = NULL};
}
