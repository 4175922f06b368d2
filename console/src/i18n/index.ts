// SPDX-License-Identifier: Apache-2.0
// Two complete catalogues; the Chinese one has the English one's type, so a missing phrase does not
// compile. Reading t() in a component subscribes it to the language.
import { lang } from "../lib/state";
import { en } from "./en";
import { zh } from "./zh";

export const t = () => (lang.value === "zh" ? zh : en);
