// A real authorization server (oidc-provider) in front of a little Gmail: PKCE is required, an access lives for 5 seconds, a
// refresh token is spent by its use, and one that is used twice ends the whole consent. Everybody who comes consents.
// Prints where it is as an environment assignment, ends with its standard input.
import { createServer } from "node:http";
import { listen, tool } from "./tools.mjs";

const { Provider } = await tool("oidc-provider");
const server = createServer();
const url = await listen(server);
const email = "ada@example.com";
const seen = { renewed: 0, refused: 0, ended: 0 };

const provider = new Provider(url, {
  // As native apps, clients come back to any port of this machine.
  clients: [{
    client_id: "gmail", client_secret: "plainly-fake", application_type: "native",
    redirect_uris: ["http://127.0.0.1/oauth/callback/gmail"], response_types: ["code"],
    grant_types: ["authorization_code", "refresh_token"], token_endpoint_auth_method: "client_secret_post",
  }],
  scopes: ["openid", "email", "offline_access", ...["gmail.modify", "gmail.settings.basic", "contacts"].map((name) => `https://www.googleapis.com/auth/${name}`)],
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  ttl: { AccessToken: 5, AuthorizationCode: 60, RefreshToken: 3600, Grant: 3600, Interaction: 600, Session: 600 },
  rotateRefreshToken: true,
  issueRefreshToken: () => true,
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  cookies: { keys: ["of the tests"] },
});
provider.on("grant.success", ({ oidc }) => { if (oidc.params.grant_type === "refresh_token") seen.renewed += 1; });
provider.on("grant.error", ({ oidc }) => { if (oidc.params?.grant_type === "refresh_token") seen.refused += 1; });
provider.on("grant.revoked", () => { seen.ended += 1; });
const authorize = provider.callback();

server.on("request", (request, response) => {
  answer(request, response).catch((error) => reply(response, 500, { message: `The stand-in failed: ${error.stack}` }));
});
console.log(`RESTO_STANDIN_TOKENS_URL=${url}`);
process.stdin.resume().on("end", () => process.exit(0));

async function answer(request, response) {
  const { pathname, search } = new URL(request.url, url);
  if (pathname === "/consent") return response.writeHead(302, { location: await consent(search) }).end();
  if (pathname === "/seen") return reply(response, 200, seen);
  if (pathname.startsWith("/interaction/")) return interact(request, response);
  if (pathname !== "/tokeninfo" && !pathname.startsWith("/gmail/")) return authorize(request, response);
  const token = await provider.AccessToken.find(request.headers.authorization?.replace(/^Bearer /, "") ?? "");
  if (!token || token.isExpired) {
    return reply(response, 401, { error: { code: 401, message: "Request had invalid authentication credentials.", status: "UNAUTHENTICATED" } });
  }
  if (pathname === "/tokeninfo") return reply(response, 200, { scope: token.scope, email });
  reply(response, 200, { emailAddress: email, messagesTotal: 1, threadsTotal: 1 });
}

/** Goes the way of a browser, and returns where that leads in the end. */
async function consent(search) {
  const cookies = new Map();
  let to = `${url}/auth${search}`;
  while (to.startsWith(`${url}/`)) {
    const cookie = [...cookies].map((pair) => pair.join("=")).join("; ");
    const step = await fetch(to, { redirect: "manual", headers: { cookie } });
    for (const set of step.headers.getSetCookie()) {
      const [name, value] = set.split(";")[0].split("=");
      cookies.set(name, value);
    }
    const next = step.headers.get("location");
    if (!next) throw new Error(`no way on from ${to}: ${await step.text()}`);
    to = new URL(next, url).href;
  }
  return to;
}

/** Signs somebody in who consents to everything. */
async function interact(request, response) {
  const { params } = await provider.interactionDetails(request, response);
  const grant = new provider.Grant({ accountId: email, clientId: params.client_id });
  if (params.scope) grant.addOIDCScope(params.scope);
  const login = { accountId: email };
  await provider.interactionFinished(request, response, { login, consent: { grantId: await grant.save() } });
}

function reply(response, status, body) {
  if (response.headersSent) return response.destroy();
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" });
  response.end(JSON.stringify(body));
}
