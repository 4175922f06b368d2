/* SPDX-License-Identifier: Apache-2.0
 * What doctor's parts share: a list of findings.
 * OWNS the findings. PROCESS cli: `sallyport doctor`. TRUST what roles, sockets and /proc say is
 * bounded and escaped when printed. SPEC docs/OPERATIONS.md "Doctor".
 */
#ifndef SP_PORTER_DOCTOR_H
#define SP_PORTER_DOCTOR_H

#include "infra/proc/config.h"
#include "lib/base/buf.h"

typedef enum {
    DOCTOR_GOOD,
    DOCTOR_WARN, /* works, should be looked at */
    DOCTOR_BAD,
    DOCTOR_LEVEL_COUNT
} doctor_level;

enum { DOCTOR_FINDINGS_MAX = 128, DOCTOR_TEXT_BYTES = 640 };

typedef struct {
    doctor_level level;
    const char *area; /* "users", "directories", "roles" ...: literals */
    char text[DOCTOR_TEXT_BYTES];
    char hint[DOCTOR_TEXT_BYTES]; /* what to do; empty when nothing */
} doctor_finding;

typedef struct {
    const sp_config *config;
    doctor_finding *findings; /* DOCTOR_FINDINGS_MAX */
    size_t count;
    bool running;   /* a porter holds the office */
    pid_t web;      /* process of the web role, 0 = none */
    unsigned units; /* without a porter: bits of the roles that run */
} doctor;

void doctor_say(doctor *d, doctor_level level, const char *area, const char *hint,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Each looks at one side of the office and says what it finds. */
void doctor_users(doctor *d);
void doctor_directories(doctor *d);
void doctor_commands(doctor *d);
void doctor_disk(doctor *d);
void doctor_clock(doctor *d);
void doctor_porter(doctor *d); /* sets d->running */
void doctor_roles(doctor *d);
void doctor_ports(doctor *d); /* and the certificate that is served there */
void doctor_vault(doctor *d);
void doctor_ledger(doctor *d);

#endif
