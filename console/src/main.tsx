// SPDX-License-Identifier: Apache-2.0
import { render } from "preact";
import { App } from "./app";
import { startEvents } from "./lib/events";
import { startRouter } from "./lib/router";
import { loadMe, loadOffice } from "./lib/state";
import "./style/tokens.css";
import "./style/base.css";
import "./style/parts.css";
import "./style/frame.css";
import "./style/pages.css";
import "./style/terminal.css";
import "./style/room.css";

startRouter();
startEvents();
void loadOffice();
void loadMe();
const root = document.getElementById("app");
if (root) render(<App />, root);
