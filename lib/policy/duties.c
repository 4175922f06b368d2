/* SPDX-License-Identifier: Apache-2.0
 * Which duties the gate of a resource can do. What it cannot do is refused there: data that a rule
 * wants masked must not leave in clear because its gate does not mask.
 * OWNS nothing. PROCESS gates, core, cli. TRUST the snapshot was checked by sp_policy_open.
 * SPEC docs/POLICY.md "Duties".
 */
#include "lib/policy/snapshot.h"

sp_face snap_face_of(const sp_policy *policy, uint32_t at, sp_face face)
{
    const snap_resource *resource = snap_resource_at(policy, at);
    if (face != SP_FACE_ANY || resource == NULL) {
        return face;
    }
    if (resource->database != SP_NONE) {
        return SP_FACE_DATABASE;
    }
    if (resource->ssh != SP_NONE) {
        return SP_FACE_SSH;
    }
    return (resource->flags & SNAP_WEB) != 0 ? SP_FACE_WEB : SP_FACE_ANY;
}

const char *snap_undone(const sp_policy *policy, uint32_t resource, uint64_t object_tags,
                        sp_face face, const snap_duties *duties)
{
    if ((duties->must & (SP_MUST_MASK | SP_MUST_LIMIT)) == 0) {
        return NULL;
    }
    face = snap_face_of(policy, resource, face);
    if (face != SP_FACE_WEB && face != SP_FACE_SSH) {
        return NULL;
    }
    if ((duties->mask_tags & object_tags) != 0) {
        return "mask";
    }
    if (duties->rows) {
        return "limit.rows";
    }
    return duties->day && face == SP_FACE_WEB ? "limit.per" : NULL;
}

snap_duties snap_duties_of_rule(const snap_rule *rule)
{
    return (snap_duties){.must = rule->must,
                         .mask_tags = rule->mask_tags,
                         .rows = (rule->limit_rows | rule->day_rows) != 0,
                         .day = rule->day_bytes != 0};
}

snap_duties snap_duties_of(const sp_decision *decision)
{
    return (snap_duties){.must = decision->must,
                         .mask_tags = decision->mask_tags,
                         .rows = (decision->limit_rows | decision->day_rows) != 0,
                         .day = decision->day_bytes != 0};
}
