// SPDX-License-Identifier: Apache-2.0
export { Overview } from "./overview";
export { People } from "./people";
export { Devices } from "./devices";
export { Resources } from "./resources";
export { Policy } from "./policy";
export { Databases } from "./databases";
export { SessionRecord } from "./session";
export { Sessions } from "./sessions";
export { Notices } from "./notices";
export { Systems } from "./systems";
export { Ledger } from "./ledger";
export { Health } from "./health";
