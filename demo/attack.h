/* SPDX-License-Identifier: Apache-2.0
 * The attack: what its two parts share, what is done and who looks on.
 * OWNS nothing. PROCESS sallyport-demo. TRUST none of it is hostile. SPEC demo/README.md "The
 * attack".
 */
#ifndef SP_DEMO_ATTACK_H
#define SP_DEMO_ATTACK_H

#include "demo/drill.h"

typedef struct {
    demo *d;
    demo_person sam; /* sits before the wall */
    bool fast;
    unsigned caught;
    unsigned missed;
} attack;

void attack_chapter(const attack *a, const char *title);
/* What the attacker does: told, then a pause, so that one can look. */
void attack_does(const attack *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What was seen of it; counted. */
void attack_check(attack *a, bool good, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Alarms and runs there are now: what comes later is new. */
uint64_t attack_now(attack *a);
/* Waits for an alarm of that detection about what its keys name (part of "person=dan"), newer than
 * `since` or, while the detection is quiet, an older one. Says what came of it: how long it took
 * from `from_us`, which plan ran, how soon it cut. */
void attack_expect(attack *a, const char *detection, const char *keys, uint64_t since,
                   uint64_t from_us);
/* kind: detections or canaries, as the office in force has them. */
bool attack_has_detection(attack *a, const char *kind, const char *name);

#endif
