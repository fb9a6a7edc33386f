// GitHub, as far as a loopback can be it: the emulator, behind a judge of every request.
// Prints where it listens as environment assignments, reports refused requests on stderr, ends with its standard input.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { resolve } from "node:path";
import { judge } from "./description.mjs";
import { emulator } from "./emulator.mjs";
import { listen } from "./tools.mjs";
import { top } from "./tools.mjs";

const seed = JSON.parse(await readFile(new URL("seed.json", import.meta.url), "utf8"));
const description = resolve(top, ".tools/specs/github.json");
const violationsOf = await describedRequests();
/** Who answered each request to the API. */
const seen = [];
/** Tokens that people got on the sign-in page. */
const issued = new Set();
const front = createServer((request, response) => {
  answer(request, response).catch((error) => reply(response, 500, `The stand-in failed: ${error.message}`));
});
const url = await listen(front);
const forward = await emulator("github", seed, url);

console.log(`RESTO_STANDIN_GITHUB_URL=${url}`);
console.log(`RESTO_STANDIN_GITHUB_TOKEN=${Object.keys(seed.tokens)[0]}`);
console.log(`RESTO_STANDIN_GITHUB_CHECKED=${violationsOf ? "yes" : "no"}`);
process.stdin.resume().on("end", () => process.exit(0));

async function describedRequests() {
  if (existsSync(description)) return judge(description);
  const sentence = `GitHub's description is not at ${description}: tests/run tools installs it.`;
  if (process.env.CI) {
    console.error(sentence);
    process.exit(1);
  }
  console.log(`# ${sentence} Requests are not checked.`);
  return undefined;
}

async function answer(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  if (request.url === "/seen") return response.end(JSON.stringify(seen));
  // What is not the API is neither described nor called with a token.
  if (/^\/(login\/oauth|_emulate)\//.test(request.url)) return forward(request, response, body, remember);
  const wrong = [...missingHeaders(request.headers)];
  if (violationsOf) wrong.push(...await violationsOf({ method: request.method, url: request.url, headers: request.headers, body: body.toString() }));
  if (wrong.length > 0) {
    console.error(`refused ${request.method} ${request.url}: ${wrong.join("; ")}`);
    return reply(response, 422, `Against GitHub's description: ${wrong.join("; ")}`);
  }
  // The emulator takes an unknown token for its first user; GitHub does not.
  const token = request.headers.authorization?.replace(/^(Bearer|token) /i, "");
  if (token !== undefined && !(token in seed.tokens) && !issued.has(token)) return reply(response, 401, "Bad credentials");
  forward(request, response, body, () => void seen.push({ what: `${request.method} ${request.url}`, by: "emulate" }));
}

function remember(answer) {
  const token = /"access_token":"([^"]+)"/.exec(answer)?.[1];
  if (token) issued.add(token);
}

/** What GitHub demands of every request, and no description says. */
function missingHeaders(headers) {
  const wrong = [];
  if (!headers["user-agent"]) wrong.push("header: User-Agent is missing");
  const version = headers["x-github-api-version"];
  if (version !== "2026-03-10") wrong.push(`header: X-GitHub-Api-Version is ${version ?? "missing"}, not 2026-03-10`);
  return wrong;
}

function reply(response, status, message) {
  if (response.headersSent) return response.destroy();
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" });
  response.end(JSON.stringify({ message, documentation_url: "https://docs.github.com/rest", status: String(status) }));
}
