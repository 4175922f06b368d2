// SPDX-License-Identifier: Apache-2.0
// The one way to the API. Paths, bodies and answers are typed by docs/api/openapi.yaml; every
// failure becomes an ApiError that carries the problem document.
import type { components, paths } from "./schema";

export type Schema = components["schemas"];
export type Problem = Schema["Problem"];

type Verb = "get" | "post" | "put" | "patch" | "delete";
export type PathsOf<M extends Verb> = {
  [P in keyof paths]: paths[P] extends Record<M, { responses: unknown }> ? P : never;
}[keyof paths];
type Json<R> = R extends { content: { "application/json": infer J } } ? J : undefined;
type Answer<O> = O extends { responses: infer R }
  ? R extends { 200: infer X }
    ? Json<X>
    : R extends { 201: infer X }
      ? Json<X>
      : R extends { 202: infer X }
        ? Json<X>
        : undefined
  : never;
type Body<O> = O extends { requestBody: { content: { "application/json": infer B } } } ? B : never;
type Query<O> = O extends { parameters: { query?: infer Q } } ? Q : never;
type PathParams<O> = O extends { parameters: { path: infer Q } } ? Q : never;
type Options<O> = {
  path?: PathParams<O>;
  query?: Query<O>;
  body?: Body<O>;
  signal?: AbortSignal;
};

export class ApiError extends Error {
  constructor(
    readonly problem: Problem,
    readonly status: number,
  ) {
    super(problem.detail ?? problem.title);
  }
}

export const BASE = "/api/v1";

/* Asked when the server wants the person to prove himself again; true = done, repeat the request. */
let askStepUp: (strength: string) => Promise<boolean> = () => Promise.resolve(false);
export function onStepUp(handler: typeof askStepUp): void {
  askStepUp = handler;
}
/* Told when the server no longer knows the session. */
let signedOut: () => void = () => undefined;
export function onSignedOut(handler: () => void): void {
  signedOut = handler;
}

export function urlOf(
  path: string,
  params: Record<string, unknown> = {},
  query: Record<string, unknown> = {},
): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(params[name])),
  );
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return BASE + filled + (text ? `?${text}` : "");
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    const body: unknown = await response.json();
    if (body && typeof body === "object" && "code" in body) return body as Problem;
  } catch {
    /* not JSON: a proxy or a dead upstream answered */
  }
  const gone = response.status >= 502 && response.status <= 504;
  return {
    type: "about:blank",
    title: response.statusText || `HTTP ${response.status}`,
    status: response.status,
    code: gone ? "unavailable" : "internal",
  };
}

async function send(verb: Verb, url: string, body: unknown, signal?: AbortSignal) {
  const init: RequestInit = {
    method: verb.toUpperCase(),
    headers: { Accept: "application/json" },
    credentials: "same-origin",
    cache: "no-store",
    signal,
  };
  if (verb !== "get") {
    init.headers = { ...init.headers, "X-Sallyport-Request": "1" };
    if (verb !== "delete") {
      init.headers = { ...init.headers, "Content-Type": "application/json" };
      init.body = JSON.stringify(body ?? {});
    }
  }
  try {
    return await fetch(url, init);
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new ApiError({ type: "about:blank", title: "offline", status: 0, code: "offline" }, 0);
  }
}

/* The answer as it came, when it is one of those that are not problems. */
export async function response<M extends Verb, P extends PathsOf<M>>(
  verb: M,
  path: P,
  options: Options<paths[P][M]> = {},
): Promise<Response> {
  const url = urlOf(path, options.path ?? {}, options.query ?? {});
  for (let repeated = false; ; repeated = true) {
    const answer = await send(verb, url, options.body, options.signal);
    if (answer.ok) return answer;
    const problem = await problemOf(answer);
    if (problem.code === "step_up_required" && !repeated) {
      if (await askStepUp(problem.step_up?.strength ?? "totp")) continue;
    }
    if (answer.status === 401 && problem.code === "signed_out") signedOut();
    throw new ApiError(problem, answer.status);
  }
}

export async function api<M extends Verb, P extends PathsOf<M>>(
  verb: M,
  path: P,
  options: Options<paths[P][M]> = {},
): Promise<Answer<paths[P][M]>> {
  type Result = Answer<paths[P][M]>;
  const answer = await response(verb, path, options);
  if (answer.status === 204) return undefined as Result;
  const kind = answer.headers.get("Content-Type") ?? "";
  if (!kind.includes("json")) return (await answer.text()) as unknown as Result;
  return (await answer.json()) as Result;
}
