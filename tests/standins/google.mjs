// Google, as far as a loopback can be it: the emulator of Gmail and of Google's sign-in, and in front of it what it lacks,
// such as the list of Analytics accounts.
// Prints where it listens as an environment assignment, ends with its standard input.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { emulator } from "./emulator.mjs";
import { listen } from "./tools.mjs";

const seed = JSON.parse(await readFile(new URL("seed.json", import.meta.url), "utf8"));
/** The scopes of each token that a person got on the sign-in page. */
const issued = new Map();
const front = createServer((request, response) => {
  answer(request, response).catch((error) => reply(response, 500, { error: { message: `The stand-in failed: ${error.message}` } }));
});
const url = await listen(front);
const forward = await emulator("google", seed, url);

console.log(`RESTO_STANDIN_GOOGLE_URL=${url}`);
process.stdin.resume().on("end", () => process.exit(0));

async function answer(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  if (request.url.startsWith("/o/oauth2/")) return forward(request, response, body);
  if (request.url === "/oauth2/token") return forward(request, response, body, remember);
  // Whatever token is revoked, Google ends all that the person allowed.
  if (request.url === "/oauth2/revoke") return issued.clear(), forward(request, response, body);
  const token = request.headers.authorization?.replace(/^Bearer /, "");
  // The emulator takes an unknown token for its first user; Google does not.
  if (!issued.has(token)) {
    return reply(response, 401, { error: { code: 401, message: "Request had invalid authentication credentials.", status: "UNAUTHENTICATED" } });
  }
  const email = seed.google.users[0].email;
  const ask = async (path) => (await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } })).json();
  if (request.method === "POST" && request.url === "/tokeninfo") {
    return reply(response, 200, { scope: issued.get(token), email, sub: (await ask("/oauth2/v2/userinfo")).sub });
  }
  if (request.url.startsWith("/v1beta/accountSummaries")) {
    return reply(response, 200, { accountSummaries: [{ name: "accountSummaries/1", account: "accounts/1", displayName: "Shop" }] });
  }
  if (request.url === "/gmail/v1/users/me/profile") {
    const listed = async (what) =>
      (await ask(`/gmail/v1/users/me/${what}?includeSpamTrash=true&maxResults=500`))[what]?.length ?? 0;
    return reply(response, 200, { emailAddress: email, messagesTotal: await listed("messages"), threadsTotal: await listed("threads"), historyId: "1" });
  }
  forward(request, response, body);
}

function remember(answer) {
  const { access_token: token, scope } = JSON.parse(answer);
  if (token) issued.set(token, scope);
}

function reply(response, status, body) {
  if (response.headersSent) return response.destroy();
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" });
  response.end(JSON.stringify(body));
}
