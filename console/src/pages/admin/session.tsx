// SPDX-License-Identifier: Apache-2.0
// Everything one session did, living or ended, and how much of it was recorded.
import { t } from "../../i18n";
import { isAdmin } from "../../lib/state";
import { Empty, PageHead } from "../../ui/basic";
import { SessionRecordPage } from "../../ui/session-record";

export function SessionRecord({ params }: { params: Record<string, string> }) {
  const words = t().session;
  if (!isAdmin("security") && !isAdmin("audit")) {
    return <><PageHead title={words.title} /><Empty icon="lock" title={words.notYours}><p>{words.notYoursText}</p></Empty></>;
  }
  return <SessionRecordPage id={params.id ?? ""} own={false} />;
}
