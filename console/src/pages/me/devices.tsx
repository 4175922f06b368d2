// SPDX-License-Identifier: Apache-2.0
// My devices: what the company knows of them, and how to add one.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useList } from "../../lib/data";
import { toast } from "../../lib/state";
import { Badge, Button, Card, CopyBox, Empty, Facts, PageHead, Skeleton } from "../../ui/basic";
import { Confirm, Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { Time } from "../../ui/time";
import { DeviceState, Owner, Posture, systemOf, wordIn } from "../../ui/words";

type Device = Schema["Device"];

export function Checks({ checks }: { checks: Device["checks"] }) {
  if (!checks?.length) return null;
  return (
    <ul class="checks">
      {checks.map((check) => (
        <li key={check.name} class={check.ok ? "ok" : "bad"}>
          <Icon name={check.ok ? "check" : "alert"} size={15} />
          <span>{wordIn(t().words.check, check.name)}</span>
          {check.detail && <span class="muted">{check.detail}</span>}
        </li>
      ))}
    </ul>
  );
}

function Enrol({ onClose }: { onClose: () => void }) {
  const [code, setCode] = useState<Schema["EnrolCode"]>();
  const { busy, error, run } = useAction();
  const words = t().devices;
  return (
    <Dialog title={words.enrolTitle} onClose={onClose}>
      <div class="stack">
        <ol class="steps">
          <li>{words.step1}</li>
          <li>{words.step2}
            {code ? (
              <div class="stack-small">
                <CopyBox text={code.command} label={words.command} />
                <p>{words.codeAsked}</p>
                <CopyBox text={code.code} label={words.code} />
                <p class="hint">{words.codeUntil} <Time at={code.expires_at} /></p>
              </div>
            ) : (
              <p><Button tone="primary" icon="key" busy={busy} onClick={() => void run(async () => setCode(await api("post", "/me/devices/enrol-code")))}>{words.makeCode}</Button></p>
            )}
          </li>
          <li>{words.step3}</li>
          <li>{words.step4} <code>sallyport agent browser-import</code></li>
        </ol>
        <ErrorNote error={error} />
      </div>
    </Dialog>
  );
}

function DeviceCard({ device, onRevoke }: { device: Device; onRevoke: () => void }) {
  const words = t().devices;
  return (
    <Card class="device-card" title={<><Icon name="laptop" /> {device.name} {device.current && <Badge tone="accent">{words.thisOne}</Badge>}</>}
      actions={<DeviceState state={device.state} />}>
      {device.state !== "active" && <p class="muted">{wordIn(words.stateText, device.state)}{device.why && <> {device.why}</>}</p>}
      <Facts items={[
        [words.owner, <Owner owner={device.owner} />],
        [words.posture, <Posture posture={device.posture} />],
        [words.system, systemOf(device.platform)],
        [words.seen, <Time at={device.seen_at} ago />],
        [words.certificate, device.certificate_expires_at && <Time at={device.certificate_expires_at} ago />],
        [words.added, <Time at={device.created_at} />],
      ]} />
      <Checks checks={device.checks} />
      {device.state !== "revoked" && <div class="row row-end"><Button small tone="quiet" icon="close" onClick={onRevoke}>{words.lost}</Button></div>}
    </Card>
  );
}

export function MyDevices() {
  const list = useList("my-devices", (_, signal) => api("get", "/me/devices", { signal }), ["me", "devices"]);
  const [enrol, setEnrol] = useState(false);
  const [lost, setLost] = useState<Device>();
  const words = t().devices;
  return (
    <>
      <PageHead title={words.title} lead={words.lead}
        actions={<Button tone="primary" icon="plus" onClick={() => setEnrol(true)}>{words.add}</Button>} />
      {list.error ? <ErrorNote error={list.error} onRetry={list.reload} />
        : !list.data ? <Skeleton rows={3} />
        : list.data.length === 0 ? <Empty icon="laptop" title={words.none}><p>{words.noneText}</p></Empty>
        : <div class="cards">{list.data.map((d) => <DeviceCard key={d.id} device={d} onRevoke={() => setLost(d)} />)}</div>}
      {enrol && <Enrol onClose={() => { setEnrol(false); list.reload(); }} />}
      {lost && (
        <Confirm title={words.lostTitle(lost.name)} text={<p>{words.lostText}</p>} action={words.lostYes} why onClose={() => setLost(undefined)}
          onYes={async (why) => {
            await api("post", "/me/devices/{id}/revoke", { path: { id: lost.id }, body: { why } });
            toast(words.revoked(lost.name));
            list.reload();
          }} />
      )}
    </>
  );
}
