#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes ngx_auto_config.h for the installed nginx: runs Debian's nginx configure (package nginx-dev)
# once with Debian's own flags. usage: nginx-headers.sh OUTPUT_DIRECTORY
set -euo pipefail
src=/usr/share/nginx/src
out=$1
[ -r "$src/configure" ] || { echo "nginx's headers are missing: apt-get install nginx-dev" >&2; exit 1; }
version=$(/usr/sbin/nginx -v 2>&1)
[ -f "$out/made" ] && [ "$(cat "$out/made")" = "$version" ] && exit 0
rm -rf "$out"
mkdir -p "$out/empty/module"
cp -r "$src"/. "$out/empty"
cd "$out/empty"
# a module of nothing makes configure write the signature of dynamic modules
printf 'ngx_addon_name=empty\nngx_module_type=HTTP_AUX_FILTER\nngx_module_name=empty\nngx_module_srcs=%s\n. auto/module\n' \
    "$out/empty/module/empty.c" > module/config
: > module/empty.c
# shellcheck disable=SC1091
. ./conf_flags
./configure "${NGX_CONF_FLAGS[@]}" --builddir="$out/objs" --add-dynamic-module="$out/empty/module" \
    > "$out/configure.log" 2>&1 || { tail -20 "$out/configure.log" >&2; exit 1; }
echo "$version" > "$out/made"
