// SPDX-License-Identifier: Apache-2.0
// Confirms the sign-in of a command line by the code it shows.
import { useEffect, useState } from "preact/hooks";
import { api } from "../../api/client";
import { t } from "../../i18n";
import { useData } from "../../lib/data";
import { takeFragment } from "../../lib/router";
import { Facts } from "../../ui/basic";
import { CodePage, CodeQuestion } from "./code";

function Question({ code, onBack }: { code: string; onBack: () => void }) {
  const words = t().cli;
  const asked = useData(`cli:${code}`, () => api("get", "/cli/login/{user_code}", { path: { user_code: code } }));
  const facts = asked.data && <Facts items={[[words.client, asked.data.client], [words.peer, <code>{asked.data.peer}</code>]]} />;
  return (
    <CodeQuestion code={code} onBack={onBack} asked={asked} facts={facts} words={words}
      answer={(allow) => api("post", "/cli/login/{user_code}", { path: { user_code: code }, body: { allow } })} />
  );
}

export function CliLogin() {
  const [code, setCode] = useState("");
  useEffect(() => setCode(takeFragment()), []);
  return <CodePage words={t().cli} code={code} onCode={setCode}>{code && <Question code={code} onBack={() => setCode("")} />}</CodePage>;
}
