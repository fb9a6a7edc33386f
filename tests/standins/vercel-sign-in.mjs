// Vercel's sign-in, as far as a loopback can be it: the emulator of it and of the API, and in front of it what that lacks: it
// says under which installation a token is given, ends that one, and takes no token that it did not give.
// Prints where it listens as an environment assignment, ends with its standard input.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { emulator } from "./emulator.mjs";
import { listen } from "./tools.mjs";

const seed = JSON.parse(await readFile(new URL("seed.json", import.meta.url), "utf8"));
/** The installation under which each token was given. */
const issued = new Map();
const front = createServer((request, response) => {
  answer(request, response).catch((error) => reply(response, 500, { error: { code: "internal", message: `The stand-in failed: ${error.message}` } }));
});
const url = await listen(front);
const forward = await emulator("vercel", seed, url);

console.log(`RESTO_STANDIN_VERCEL_URL=${url}`);
process.stdin.resume().on("end", () => process.exit(0));

async function answer(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const { method, headers } = request;
  if (request.url.startsWith("/oauth/authorize")) return forward(request, response, body);
  // The emulator has it where Vercel had it before.
  if (request.url === "/v2/oauth/access_token") return forward({ method, headers, url: "/login/oauth/token" }, response, body, install);
  const token = headers.authorization?.replace(/^Bearer /, "");
  if (!issued.has(token)) {
    return reply(response, 403, { error: { code: "forbidden", message: "Not authorized", invalidToken: true } });
  }
  if (method === "DELETE" && request.url === `/v1/integrations/configuration/${issued.get(token)}`) {
    issued.delete(token);
    return response.writeHead(204).end();
  }
  forward(request, response, body);
}

function install(answer) {
  const told = JSON.parse(answer);
  if (!told.access_token) return;
  told.installation_id = `icfg_${issued.size + 1}`;
  issued.set(told.access_token, told.installation_id);
  return JSON.stringify(told);
}

function reply(response, status, body) {
  if (response.headersSent) return response.destroy();
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" });
  response.end(JSON.stringify(body));
}
