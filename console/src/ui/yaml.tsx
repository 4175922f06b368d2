// SPDX-License-Identifier: Apache-2.0
// YAML on screen: enough colour to read by. Colouring only; the server parses.
import type { ComponentChildren } from "preact";

function value(text: string): ComponentChildren {
  const parts = text.split(/("(?:[^"\\]|\\.)*"|'[^']*'|\b(?:true|false|null)\b|\b\d+\b)/);
  return parts.map((part, at) => (at % 2 === 0 ? part : <span key={at} class={/^["']/.test(part) ? "y-string" : "y-word"}>{part}</span>));
}
function line(text: string): ComponentChildren {
  if (/^\s*#/.test(text)) return <span class="y-note">{text}</span>;
  if (/^(---|\.\.\.)\s*$/.test(text)) return <span class="y-mark">{text}</span>;
  const key = /^(\s*(?:- )?)([\w.-]+)(:)(.*)$/.exec(text);
  if (!key) return value(text);
  return <>{key[1]}<span class="y-key">{key[2]}</span>{key[3]}{value(key[4] ?? "")}</>;
}
export function yamlLines(text: string, bad: ReadonlySet<number> = new Set()): ComponentChildren {
  return text.split("\n").map((one, at) => <span key={at} class={bad.has(at + 1) ? "y-line y-bad" : "y-line"}>{line(one)}{"\n"}</span>);
}
export function Yaml({ text }: { text: string }) {
  return <pre class="code"><code>{yamlLines(text.replace(/\n$/, ""))}</code></pre>;
}
