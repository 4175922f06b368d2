// SPDX-License-Identifier: Apache-2.0
// What is recorded about one session of mine.
import { SessionRecordPage } from "../../ui/session-record";

export function MySession({ params }: { params: Record<string, string> }) {
  return <SessionRecordPage id={params.id ?? ""} own />;
}
