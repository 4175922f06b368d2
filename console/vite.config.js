// SPDX-License-Identifier: Apache-2.0
// Everything is served from the portal's own origin under a CSP without inline scripts, inline
// styles or data: fonts: nothing is inlined and nothing is fetched from elsewhere.
import { defineConfig } from "vite";

export default defineConfig({
  // its package names a module that it does not have
  resolve: { alias: { "@xterm/headless": "@xterm/headless/lib-headless/xterm-headless.mjs" } },
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
});
