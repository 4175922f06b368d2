// SPDX-License-Identifier: Apache-2.0
// Machines that I may reach, and how: the command, the line for any ssh client, the gate's host key.
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useData } from "../../lib/data";
import { Badge, Card, CopyBox, Empty, Facts, Skeleton } from "../../ui/basic";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { text2 } from "../../ui/words";

type Here = Awaited<ReturnType<typeof load>>;
const load = (signal: AbortSignal) => api("get", "/me/ssh", { signal });

export const sshLine = (here: Here, name: string): string =>
  `ssh ${here.port === 22 ? "" : `-p ${here.port} `}${here.user}:${name}@${here.host}`;
const snippet = (here: Here, name: string): string =>
  `Host ${name}.sallyport\n    HostName ${here.host}\n    Port ${here.port}\n    User ${here.user}:${name}`;

function HostKeys({ keys }: { keys: Schema["SshHostKey"][] }) {
  const words = t().machines;
  return (
    <Card title={<><Icon name="lock" /> {words.hostKey}</>}>
      <p class="muted">{words.hostKeyText}</p>
      {keys.map((key) => (
        <div key={key.fingerprint} class="stack-small">
          <p><code class="plain">{key.algorithm}</code> <code class="wrap">{key.fingerprint}</code></p>
          <CopyBox text={key.line} label="known_hosts" />
        </div>
      ))}
    </Card>
  );
}

function Machine({ here, machine }: { here: Here; machine: Here["items"][number] }) {
  const words = t().machines;
  return (
    <Card title={<><Icon name="machine" /> {text2(machine.title, machine.name)} {machine.connections > 0 && <Badge tone="accent">{words.open(machine.connections)}</Badge>}</>}>
      <Facts items={[
        [words.name, <code>{machine.name}</code>],
        [words.account, machine.accounts.map((account) => <code key={account} class="plain">{account} </code>)],
        [words.shell, machine.shell ? null : words.noShell],
      ]} />
      <CopyBox text={`sallyport ssh ${machine.name}`} label={words.command} />
      {here.port > 0 && (
        <details class="fold">
          <summary>{words.anyClient}</summary>
          <div class="stack-small">
            <CopyBox text={sshLine(here, machine.name)} label={words.line} />
            <pre class="code-block"><code>{snippet(here, machine.name)}</code></pre>
            <p class="hint">{words.configHint}</p>
          </div>
        </details>
      )}
      {machine.commands.length > 0 && (
        <details class="fold">
          <summary>{words.commands(machine.commands.length)}</summary>
          <ul class="plain-list">{machine.commands.map((c) => <li key={c.name}>{c.name}<code class="block">{c.argv}</code></li>)}</ul>
        </details>
      )}
    </Card>
  );
}

export function Here() {
  const here = useData("my-ssh", load, ["me", "policy", "ssh"]);
  const words = t().machines;
  if (here.error) return <ErrorNote error={here.error} onRetry={here.reload} />;
  if (!here.data) return <Skeleton rows={3} />;
  if (here.data.items.length === 0) return <Empty icon="machine" title={words.none}><p>{words.noneText}</p></Empty>;
  const data = here.data;
  return (
    <div class="stack">
      {data.port === 0 && <div class="note note-warn"><Icon name="alert" /><p class="note-text">{words.noGate}</p></div>}
      <div class="cards">{data.items.map((machine) => <Machine key={machine.name} here={data} machine={machine} />)}</div>
      {data.host_keys.length > 0 && <HostKeys keys={data.host_keys} />}
    </div>
  );
}
