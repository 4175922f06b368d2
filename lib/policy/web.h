/* SPDX-License-Identifier: Apache-2.0
 * What a policy snapshot says about web resources: hosts, upstreams, and how a request becomes an
 * action on a part.
 * OWNS nothing; spans point into the snapshot. PROCESS web gate, core. TRUST method and path are
 * hostile. SPEC docs/ARCHITECTURE.md "Web".
 */
#ifndef SP_POLICY_WEB_H
#define SP_POLICY_WEB_H

#include "lib/policy/decide.h"

typedef struct {
    sp_span host;     /* label under the office's domain: "wiki" */
    sp_span upstream; /* "http://127.0.0.1:9001", "https://...", checked at compile time */
    sp_span title_en;
    sp_span title_zh;
    bool identity_jwt;         /* send the signed identity token */
    bool websocket;            /* upgrades allowed */
    uint64_t upload_max_bytes; /* client_max_body_size; 0 = no limit */
} sp_web_resource;

/* False when the resource has no web side. */
bool sp_policy_web_resource(const sp_policy *policy, uint32_t resource, sp_web_resource *ret_web);
/* Resource whose web host is this label (lower case); SP_NONE. */
uint32_t sp_policy_web_find_host(const sp_policy *policy, sp_span host);

typedef struct {
    uint32_t part;    /* SP_NONE = the resource as a whole */
    sp_action action; /* by the resource's own method and path rules, else by the method */
} sp_web_place;

/* path is the decoded, normalised path without the query. Longest prefix on a segment border wins.
 */
sp_web_place sp_policy_web_place(const sp_policy *policy, uint32_t resource, sp_span method,
                                 sp_span path);

/* Whether a response is an export: by Content-Disposition, media type and size, as the resource
 * says (defaults: attachment; archives, office files, octet-stream; over 8 MiB).
 * size_bytes UINT64_MAX = unknown (chunked). */
bool sp_policy_web_is_export(const sp_policy *policy, uint32_t resource, uint32_t part,
                             sp_span content_type, sp_span content_disposition,
                             uint64_t size_bytes);
/* Size at which a response of unknown length becomes an export while it streams; 0 = never. */
uint64_t sp_policy_web_export_over_bytes(const sp_policy *policy, uint32_t resource, uint32_t part);
/* Whether a request body is an import: multipart/form-data with files, PUT, by type and size. */
bool sp_policy_web_is_import(const sp_policy *policy, uint32_t resource, uint32_t part,
                             sp_span method, sp_span content_type, uint64_t size_bytes);

#endif
