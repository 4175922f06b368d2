// SPDX-License-Identifier: Apache-2.0
export { AlarmList } from "./alarms";
export { Cuts } from "./cuts";
export { IncidentPage } from "./incident";
export { Incidents } from "./incidents";
export { PlanEditor } from "./editor";
export { PlanPage, Plans } from "./plans";
export { ReportPage, Reports } from "./reports";
export { RunPage } from "./runs";
export { Wall } from "./wall";
