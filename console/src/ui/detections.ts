// SPDX-License-Identifier: Apache-2.0
// What is looked for: detections and canaries, with their titles in the reader's language.
import { api, type Schema } from "../api/client";
import { useData } from "../lib/data";
import { text2 } from "./words";

export const useDetections = () => useData("detections", (signal) => api("get", "/detections", { signal }), ["policy", "health"]);

/* By its name, or by its English title, which is all that an incident knows. */
export function useTitles(): (detection: string, fallback: string) => string {
  const data = useDetections().data;
  const all = [...(data?.detections ?? []), ...(data?.canaries ?? [])] as { name?: string; title?: Schema["Text2"] }[];
  return (detection, fallback) => text2(all.find((d) => d.name === detection || d.title?.en === detection)?.title, fallback);
}
