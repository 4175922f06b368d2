// SPDX-License-Identifier: Apache-2.0
// What the watch room has now: new alarms, open incidents, plans at work, cuts.
import { api } from "../api/client";
import { useData } from "../lib/data";

export const useNewAlarms = () => useData("alarms-new", (signal) => api("get", "/alarms", { query: { new: "1", limit: 50 }, signal }), ["alarms"]);
export const useOpenIncidents = () => useData("incidents-open", (signal) => api("get", "/incidents", { query: { limit: 50 }, signal }), ["incidents"]);
export const useRuns = () => useData("runs-now", (signal) => api("get", "/plan-runs", { signal }), ["plans"]);
export const useCuts = () => useData("cuts-now", (signal) => api("get", "/cuts", { signal }), ["cuts"]);
