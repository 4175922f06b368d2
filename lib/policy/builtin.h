/* SPDX-License-Identifier: Apache-2.0
 * The documents that come with the program, as bytes. Private to lib/policy.
 * OWNS nothing. PROCESS core, cli. TRUST they are ours. SPEC packaging/detections/detections.yaml,
 * packaging/notices/notices.yaml, packaging/plans/plans.yaml, packaging/law/law.yaml.
 */
#ifndef SP_POLICY_BUILTIN_H
#define SP_POLICY_BUILTIN_H

#include <stddef.h>
#include <stdint.h>

extern const uint8_t doc_builtin_detections[];
extern const size_t doc_builtin_detections_bytes;
extern const uint8_t doc_builtin_notices[];
extern const size_t doc_builtin_notices_bytes;
extern const uint8_t doc_builtin_law[];
extern const size_t doc_builtin_law_bytes;
extern const uint8_t doc_builtin_plans[];
extern const size_t doc_builtin_plans_bytes;

#endif
