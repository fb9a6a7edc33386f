// Google, as far as a loopback can be it: the emulator of Gmail and of Google's sign-in, and in front of it what it lacks: the
// profile, the vacation reply, contacts, and Analytics. Each request is held against Google's own descriptions.
// Prints where it listens as an environment assignment, ends with its standard input.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { randomUUID } from "node:crypto";
import { analytics } from "./analytics.mjs";
import { judge } from "./discovery.mjs";
import { emulator } from "./emulator.mjs";
import { listen } from "./tools.mjs";

const seed = JSON.parse(await readFile(new URL("seed.json", import.meta.url), "utf8"));
const wrong = await judge("gmail.v1", "people.v1");
/** Who answered each request to an API. */
const seen = [];
/** The people of the address book, by their resource names; each change gives another etag. */
const people = new Map();
let vacation = { enableAutoReply: false };
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
  if (request.url === "/seen") return reply(response, 200, seen);
  if (request.url.startsWith("/o/oauth2/")) return forward(request, response, body);
  if (request.url === "/oauth2/token") return forward(request, response, body, remember);
  // Whatever token is revoked, Google ends all that the person allowed.
  if (request.url === "/oauth2/revoke") return issued.clear(), forward(request, response, body);
  const token = request.headers.authorization?.replace(/^Bearer /, "");
  const { pathname, searchParams } = new URL(request.url, url);
  const what = `${request.method} ${pathname}`;
  const events = pathname.endsWith("/mp/collect");
  // The emulator takes an unknown token for its first user; Google does not. Events come with a secret in place of one.
  if (!issued.has(token) && !events) {
    return reply(response, 401, { error: { code: 401, message: "Request had invalid authentication credentials.", status: "UNAUTHENTICATED" } });
  }
  const email = seed.google.users[0].email;
  const ask = async (path) => (await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } })).json();
  const scopes = issued.get(token)?.split(" ") ?? [];
  const described = /^\/(gmail\/v1|v1\/people)\b/.test(pathname);
  const problem = described && wrong({ method: request.method, path: pathname, query: searchParams, body: body.length ? JSON.parse(body.toString()) : undefined, scopes });
  if (problem) return reply(response, problem.status, { error: { code: problem.status, message: problem.message, status: "INVALID_ARGUMENT" } });
  const measured = analytics({ method: request.method, path: pathname, query: searchParams, text: body.toString(), scopes });
  const own = measured ? [measured.status, measured.body] : doubled(what, searchParams, body);
  if (own) {
    seen.push({ what, by: "double" });
    return reply(response, ...own);
  }
  if (request.method === "POST" && request.url === "/tokeninfo") {
    return reply(response, 200, { scope: issued.get(token), email, sub: (await ask("/oauth2/v2/userinfo")).sub });
  }
  if (request.url === "/gmail/v1/users/me/profile") {
    const listed = async (what) =>
      (await ask(`/gmail/v1/users/me/${what}?includeSpamTrash=true&maxResults=500`))[what]?.length ?? 0;
    seen.push({ what, by: "double" });
    return reply(response, 200, { emailAddress: email, messagesTotal: await listed("messages"), threadsTotal: await listed("threads"), historyId: "1" });
  }
  // All its mail is new, and it knows no words for that.
  request.url = request.url.replace(/(\+|%20)?newer_than%3A\d+d/, "");
  forward(request, response, body, () => void seen.push({ what, by: "emulate" }));
}

/** The status and body of what the emulator lacks. */
function doubled(what, query, body) {
  const told = body.length ? JSON.parse(body.toString()) : {};
  if (what === "GET /gmail/v1/users/me/settings/vacation") return [200, vacation];
  if (what === "PUT /gmail/v1/users/me/settings/vacation") return [200, (vacation = told)];
  const store = (name, fields) => {
    const id = name.replace("people/", "");
    const etag = `#${randomUUID()}`;
    const names = fields.names?.map((one) => ({ ...one, displayName: `${one.givenName ?? ""} ${one.familyName ?? ""}`.trim() }));
    const person = { ...fields, ...(names && { names }), resourceName: name, etag, metadata: { sources: [{ type: "CONTACT", id, etag }], objectType: "PERSON" } };
    people.set(name, person);
    return [200, person];
  };
  if (what === "GET /v1/people/me/connections") return [200, { connections: [...people.values()] }];
  if (what === "GET /v1/people:searchContacts") {
    const wanted = query.get("query").toLowerCase();
    const found = [...people.values()].filter((person) => wanted && JSON.stringify([person.names, person.emailAddresses]).toLowerCase().includes(wanted));
    return [200, { results: found.map((person) => ({ person })) }];
  }
  if (what === "POST /v1/people:createContact") return store(`people/c${people.size + 1}`, told);
  const [, method, id, verb] = /^(\w+) \/v1\/people\/(c\d+)(?::(\w+))?$/.exec(what) ?? [];
  if (!id) return undefined;
  const person = people.get(`people/${id}`);
  if (!person) return [404, { error: { code: 404, message: "Requested entity was not found.", status: "NOT_FOUND" } }];
  if (method === "GET") return [200, person];
  if (verb === "deleteContact") return people.delete(`people/${id}`) && [200, {}];
  if (told.metadata?.sources?.[0]?.etag !== person.etag) {
    return [400, { error: { code: 400, message: "Request person.etag is different than the current person.etag.", status: "FAILED_PRECONDITION" } }];
  }
  const changed = Object.fromEntries(query.get("updatePersonFields").split(",").map((field) => [field, told[field]]));
  return store(`people/${id}`, { ...person, ...changed });
}

function remember(answer) {
  const { access_token: token, scope } = JSON.parse(answer);
  if (token) issued.set(token, scope);
}

function reply(response, status, body) {
  if (response.headersSent) return response.destroy();
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" });
  response.end(body === null ? undefined : JSON.stringify(body));
}
