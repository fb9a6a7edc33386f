// An MCP client that shows MCP Apps in Chromium, of official parts: the client, and the bridge between a page and its frame.
// Driven by the end-to-end tests: each line of input is a step, each line of output what is then shown.
//   app_host.mjs MODE URL     MODE is `legacy`, or a protocol revision such as 2026-07-28; the bearer token in MCP_TOKEN
//   {"show": tool, "arguments": {...}, "context": {...}}     calls the tool, and shows its result in the frame of its page
//   {"result": {...}}         shows another result there     {"context": {...}}  tells the frame what changed
//   {"cancel": reason}        {"teardown": true}             as the client does with a call, and with the frame
//   {"press": selector}  {"key": name}  {"run": script}      in the frame
//   {"scheme": "dark"}        what the system prefers        {"width": pixels}   {"picture": file}   {"check": true}
import { createInterface } from "node:readline";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { tool, top } from "../standins/tools.mjs";

const [mode, url] = process.argv.slice(2);
const { Client, StreamableHTTPClientTransport } = await tool("@modelcontextprotocol/client/dist/index.mjs");
const puppeteer = (await tool("puppeteer-core")).default;
const packages = resolve(top, ".tools/npm");
const axe = createRequire(resolve(packages, "package.json")).resolve("axe-core/axe.min.js");
const { build } = createRequire(resolve(top, ".tools/copilotkit/package.json"))("esbuild");

const client = new Client({ name: "tests", version: "1" }, {
  capabilities: { extensions: { "io.modelcontextprotocol/ui": { mimeTypes: ["text/html;profile=mcp-app"] } } },
  versionNegotiation: mode === "legacy" ? undefined : { mode: { pin: mode } },
});
await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { Authorization: `Bearer ${process.env.MCP_TOKEN}` } } }));
const { tools } = await client.listTools();

// What runs in the client's own page.
const bundle = await build({
  stdin: {
    resolveDir: packages,
    contents: `
      import { AppBridge, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";
      globalThis.opened = [];
      globalThis.show = async (html, sandbox, tool, input, result, context) => {
        document.body.replaceChildren();
        const frame = document.createElement("iframe");
        Object.assign(frame, { title: "App", srcdoc: html });
        frame.setAttribute("sandbox", sandbox);
        document.body.append(frame);
        const bridge = new AppBridge(null, { name: "tests", version: "1" }, { openLinks: {} }, { hostContext: { toolInfo: { tool }, ...context } });
        globalThis.bridge = bridge;
        bridge.onsizechange = ({ height }) => { frame.style.height = height + "px"; };
        bridge.onopenlink = async ({ url }) => { opened.push(url); return {}; };
        const ready = new Promise((done) => { bridge.oninitialized = done; });
        await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
        await ready;
        await bridge.sendToolInput({ arguments: input });
        await bridge.sendToolResult(result);
      };`,
  },
  bundle: true, format: "iife", write: false, logLevel: "error",
});

const browser = await puppeteer.launch({
  executablePath: process.env.RESTO_TEST_CHROMIUM ?? "/usr/bin/chromium",
  // A container's root has no sandbox to give; only pages of the tests are opened.
  args: ["--no-sandbox"],
  protocolTimeout: 60_000,
});
const page = await browser.newPage();
await page.setViewport({ width: 760, height: 900 });
await page.setContent("<!doctype html><html lang=en><title>Client</title><style>body { margin: 0 } iframe { display: block; border: 0; width: 100% }</style><body></body></html>");
await page.addScriptTag({ content: bundle.outputFiles[0].text });
/** What the page and its frame asked the network for, and what they said went wrong. */
const requests = [], said = [];
page.on("request", (request) => { if (!/^(about|data):/.test(request.url())) requests.push(request.url()); });
page.on("console", (message) => { if (message.type() === "error") said.push(message.text()); });
page.on("pageerror", (error) => said.push(`${error}`));

const frame = () => page.frames().find((one) => one.parentFrame() !== null);
/** Two frames drawn: what was told is shown, and its size is known. */
const drawn = async () => {
  for (const one of page.frames()) await one.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0)))));
};
let shown;
const steps = {
  async show(name, { arguments: input = {}, context = {} }) {
    const offered = tools.find((one) => one.name === name);
    const { contents: [contents] } = await client.readResource({ uri: offered._meta.ui.resourceUri });
    const result = await client.callTool({ name, arguments: input });
    const isTold = JSON.stringify(JSON.parse(result.content[0].text)) === JSON.stringify(result.structuredContent);
    shown = { mimeType: contents.mimeType, meta: contents._meta, bytes: contents.text.length, isTold, announced: client.getServerCapabilities().extensions };
    await page.evaluate((...all) => globalThis.show(...all), contents.text, "allow-scripts", offered, input, result, context);
  },
  result: (result) => page.evaluate((result) => globalThis.bridge.sendToolResult(result), result),
  context: (changed, { show }) => show ?? page.evaluate((changed) => globalThis.bridge.sendHostContextChange(changed), changed),
  arguments: () => {},
  cancel: (reason) => page.evaluate((reason) => globalThis.bridge.sendToolCancelled({ reason }), reason),
  teardown: () => page.evaluate(() => globalThis.bridge.teardownResource({})),
  press: async (selector) => (await frame().waitForSelector(selector)).click(),
  key: (name) => page.keyboard.press(name),
  run: (script) => frame().evaluate(script),
  scheme: (value) => page.emulateMediaFeatures([{ name: "prefers-color-scheme", value }]),
  width: (width) => page.setViewport({ width, height: 900 }),
  picture: async (path) => { await page.screenshot({ path, fullPage: true }); },
  check: async () => {
    await frame().evaluate(await readFile(axe, "utf8"));
    const { violations } = await frame().evaluate(() => window.axe.run());
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(" ")}`);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const all = JSON.parse(line);
  let found;
  try {
    for (const [step, value] of Object.entries(all)) found = await steps[step](value, all);
    await drawn();
    const { text, height, wide, paper, elements } = await frame().evaluate(() => ({
      text: document.body.innerText,
      height: Math.ceil(document.body.getBoundingClientRect().height),
      wide: document.documentElement.scrollWidth > window.innerWidth,
      paper: getComputedStyle(document.body).backgroundColor,
      elements: Object.fromEntries(["svg path", "table", "dl", "button", "img", "a"].map((name) => [name, document.querySelectorAll(name).length])),
    }));
    const given = await page.$eval("iframe", (frame) => frame.clientHeight);
    const opened = await page.evaluate(() => globalThis.opened);
    console.log(JSON.stringify({ ...shown, text, height, given, wide, paper, elements, opened, requests, said, found }));
  } catch (error) {
    console.log(JSON.stringify({ error: `${error.stack ?? error}` }));
  }
}
await browser.close();
process.exit(0);
