// The authorization server of the notes (oidc-provider): public clients with PKCE, tokens for the one server that the client
// names (RFC 8707), which live for so many seconds. A client is one that is registered, or describes itself at
// https://resto.example.com, which in truth is the third argument. A refresh token that is used twice ends the consent.
// Everybody who comes consents. Prints where it is, ends with its standard input.
import { createServer } from "node:http";
import { listen, tool } from "./tools.mjs";

const { Provider } = await tool("oidc-provider");
const [resource, life, product] = process.argv.slice(2);
const server = createServer();
const url = await listen(server);
const seen = { renewed: 0, refused: 0, ended: 0, described: 0 };

const provider = new Provider(url, {
  // As native apps, clients come back to any port of this machine.
  clients: [{
    client_id: "resto", application_type: "native", redirect_uris: ["http://127.0.0.1/oauth/callback/notes"],
    response_types: ["code"], grant_types: ["authorization_code", "refresh_token"], token_endpoint_auth_method: "none",
  }, {
    // The notes themselves, which ask what a token is.
    client_id: "notes", client_secret: "plainly-fake", redirect_uris: [], response_types: [], grant_types: [],
  }],
  scopes: ["offline_access", "notes:read"],
  pkce: { required: () => true },
  features: {
    clientIdMetadataDocument: { enabled: true, ack: "draft-02" },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => false,
      getResourceServerInfo: (_, named) => {
        if (named !== resource) throw new Error(`tokens for ${named} were asked for`);
        return { scope: "notes:read", audience: resource, accessTokenFormat: "opaque", accessTokenTTL: Number(life) };
      },
    },
  },
  // Only the way to it is another one: there are neither names nor certificates on this machine.
  fetch(to, options) {
    seen.described += 1;
    return fetch(String(to).replace("https://resto.example.com", product), { ...options, dispatcher: undefined });
  },
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
  answer(request, response).catch((error) => {
    response.writeHead(500).end(`The stand-in failed: ${error.stack}`);
  });
});
console.log(`RESTO_STANDIN_NOTES_URL=${url}`);
process.stdin.resume().on("end", () => process.exit(0));

async function answer(request, response) {
  const { pathname, search } = new URL(request.url, url);
  if (pathname === "/consent") return response.writeHead(302, { location: await consent(search) }).end();
  if (pathname === "/seen") return response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(seen));
  if (!pathname.startsWith("/interaction/")) return authorize(request, response);
  const { params } = await provider.interactionDetails(request, response);
  const grant = new provider.Grant({ accountId: "ada", clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  grant.addResourceScope(resource, "notes:read");
  await provider.interactionFinished(request, response, { login: { accountId: "ada" }, consent: { grantId: await grant.save() } });
}

/** Goes the way of a browser, and returns where that leads in the end. */
async function consent(search) {
  const cookies = new Map();
  let to = `${url}/auth${search}`;
  for (let hops = 0; to.startsWith(`${url}/`); hops += 1) {
    const cookie = [...cookies].map((pair) => pair.join("=")).join("; ");
    const step = await fetch(to, { redirect: "manual", headers: { cookie } });
    for (const set of step.headers.getSetCookie()) {
      const [name, value] = set.split(";")[0].split("=");
      cookies.set(name, value);
    }
    const next = step.headers.get("location");
    if (!next || hops > 9) throw new Error(`no way on from ${to}: ${await step.text()}`);
    to = new URL(next, url).href;
  }
  return to;
}
