/* SPDX-License-Identifier: Apache-2.0
 * What the rooms documents, devices and admin share inside core.
 * OWNS what state.c made. PROCESS core. TRUST see each room. SPEC core/core.h.
 */
#ifndef SP_CORE_STATE_STATE_H
#define SP_CORE_STATE_STATE_H

#include "core/core.h"

typedef struct sp_publish sp_publish;     /* core/state/publish.h */
typedef struct sp_gates sp_gates;         /* core/state/gates.h */
typedef struct sp_documents sp_documents; /* core/documents/documents.h */
typedef struct sp_retention sp_retention; /* core/documents/start.h */
typedef struct sp_devices sp_devices;     /* core/devices/devices.h */

struct sp_state {
    sp_core *core;
    sp_publish *publish;
    sp_gates *gates;
    sp_documents *documents;
    sp_retention *retention;
    sp_devices *devices;
};

/* "https://<host>.<domain>[:port]" of an application. */
void sp_state_url(const sp_core *core, sp_span host, sp_buf *out);

#endif
