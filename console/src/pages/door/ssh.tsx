// SPDX-License-Identifier: Apache-2.0
// Confirms the sign-in of an SSH connection by the code it shows. The code comes behind '#', or, from
// links that people typed, in the path.
import { useEffect, useState } from "preact/hooks";
import { api } from "../../api/client";
import { t } from "../../i18n";
import { useData } from "../../lib/data";
import { go, takeFragment } from "../../lib/router";
import { Facts } from "../../ui/basic";
import { Icon } from "../../ui/icon";
import { CodeQuestion, CodePage } from "./code";

function Question({ code, onBack }: { code: string; onBack: () => void }) {
  const words = t().sshSignIn;
  const asked = useData(`ssh:${code}`, () => api("get", "/ssh/sign-in/{code}", { path: { code } }));
  const facts = asked.data && (
    <>
      <Facts items={[
        [words.user, asked.data.user],
        [words.machine, asked.data.resource],
        [words.account, asked.data.account],
        [t().cli.client, asked.data.client],
        [t().cli.peer, <code>{asked.data.peer}</code>],
      ]} />
      {!asked.data.same_place && <div class="note note-warn"><Icon name="alert" /><div class="note-text"><p>{words.elsewhere}</p></div></div>}
    </>
  );
  return (
    <CodeQuestion code={code} onBack={onBack} asked={asked} facts={facts} words={words}
      answer={(allow) => api("post", "/ssh/sign-in/{code}", { path: { code }, body: { allow } })} />
  );
}

export function SshSignIn({ params }: { params: Record<string, string> }) {
  const [code, setCode] = useState("");
  useEffect(() => {
    const given = takeFragment() || params.code || "";
    if (params.code) go("/ssh", { replace: true });
    if (given) setCode(given.toUpperCase());
  }, []);
  const words = t().sshSignIn;
  return <CodePage words={words} code={code} onCode={setCode}>{code && <Question code={code} onBack={() => setCode("")} />}</CodePage>;
}
