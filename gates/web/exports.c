/* SPDX-License-Identifier: Apache-2.0
 * The three names that nginx looks for in a module's file.
 * OWNS nothing. PROCESS nginx. TRUST none. SPEC nginx auto/make, "--add-dynamic-module".
 */
#include <ngx_config.h>
#include <ngx_core.h>

extern ngx_module_t ngx_http_sallyport_module;

#define SHOWN __attribute__((visibility("default")))

extern SHOWN ngx_module_t *ngx_modules[];
extern SHOWN char *ngx_module_names[];
extern SHOWN char *ngx_module_order[];

static char own_name[] = "ngx_http_sallyport_module";
static char before_name[] = "ngx_http_copy_filter_module";

ngx_module_t *ngx_modules[] = {&ngx_http_sallyport_module, NULL};
char *ngx_module_names[] = {own_name, NULL};
/* our filters stand before the copy filter in the list, so they see bodies after it */
char *ngx_module_order[] = {own_name, before_name, NULL};
