// Chromium without a window, as wide as a phone, driven by the end-to-end tests: each line of input is a step, each
// line of output the page after it. Scripts of pages do not run: people's pages must work without them; other pages get
// theirs with `scripts`, and then `press` and `wait` are what `click` is without.
//   {"open": address}  {"fill": {selector: text}}  {"click": selector}  {"check": true}  {"picture": file}
//   {"scripts": true}  {"press": selector}  {"wait": selector}  {"framed": text}
import { createInterface } from "node:readline";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { tool, top } from "../standins/tools.mjs";

const puppeteer = (await tool("puppeteer-core")).default;
const axe = createRequire(resolve(top, ".tools/npm/package.json")).resolve("axe-core/axe.min.js");
const browser = await puppeteer.launch({
  executablePath: process.env.RESTO_TEST_CHROMIUM ?? "/usr/bin/chromium",
  // A container's root has no sandbox to give; only pages of the tests are opened.
  args: ["--no-sandbox"],
  protocolTimeout: 60_000,
});
const page = await browser.newPage();
await page.setViewport({ width: 390, height: 844, isMobile: true, hasTouch: true, deviceScaleFactor: 2 });
await page.setJavaScriptEnabled(false);

const settled = { waitUntil: "networkidle0" };
const steps = {
  open: (address) => page.goto(address, settled),
  fill: async (fields) => {
    for (const [selector, text] of Object.entries(fields)) await page.type(selector, text);
  },
  click: async (selector) => {
    const button = await page.waitForSelector(selector);
    await Promise.all([page.waitForNavigation(settled), button.click()]);
    // A page that leads on by itself is not where a step ends.
    await page.waitForSelector("html:not(:has(meta[http-equiv='refresh'])) body");
    await page.waitForNetworkIdle({ idleTime: 100 });
  },
  scripts: (enabled) => page.setJavaScriptEnabled(enabled),
  // Where a page still moves, a click would meet what has just gone from there: a locator waits until it stands.
  press: (selector) => page.locator(selector).click(),
  wait: async (selector) => { await page.waitForSelector(selector, { timeout: 55_000 }); },
  /** Waits for a text in a frame of the page, or in one of its frames. */
  framed: async (text) => {
    const isThere = (text) => {
      const within = (frame) => [...Array(frame.length).keys()].flatMap((index) => [frame[index], ...within(frame[index])]);
      return within(window).some((frame) => frame.document.body?.innerText.includes(text));
    };
    await page.waitForFunction(isThere, { timeout: 55_000 }, text);
  },
  picture: (path) => page.screenshot({ path, fullPage: true }),
  check: async () => {
    // The judge itself is a script.
    await page.setJavaScriptEnabled(true);
    await page.evaluate(await readFile(axe, "utf8"));
    const { violations } = await page.evaluate(() => window.axe.run());
    await page.setJavaScriptEnabled(false);
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(" ")}`);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  let found;
  try {
    for (const [step, value] of Object.entries(JSON.parse(line))) found = await steps[step](value);
  } catch (error) {
    // What was there instead says more than that something was not.
    const shown = await page.evaluate(() => document.body.innerText).catch(String);
    console.error(`${line} failed at ${page.url()}:\n${shown}`);
    throw error;
  }
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
  const text = await page.evaluate(() => document.body.innerText);
  console.log(JSON.stringify({ url: page.url(), text, wide, violations: Array.isArray(found) ? found : [] }));
}
await browser.close();
