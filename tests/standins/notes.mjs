// The authorization server of the notes (oidc-provider): a public client with PKCE, tokens for the one server that the
// client names (RFC 8707). Everybody who comes consents. Prints where it is, ends with its standard input.
import { createServer } from "node:http";
import { listen, tool } from "./tools.mjs";

const { Provider } = await tool("oidc-provider");
const resource = process.argv[2];
const server = createServer();
const url = await listen(server);

const provider = new Provider(url, {
  // As native apps, clients come back to any port of this machine.
  clients: [{
    client_id: "resto", application_type: "native", redirect_uris: ["http://127.0.0.1/oauth/callback/notes"],
    response_types: ["code"], grant_types: ["authorization_code", "refresh_token"], token_endpoint_auth_method: "none",
  }],
  scopes: ["offline_access", "notes:read"],
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => false,
      getResourceServerInfo: (_, named) => {
        if (named !== resource) throw new Error(`tokens for ${named} were asked for`);
        return { scope: "notes:read", audience: resource, accessTokenFormat: "jwt", accessTokenTTL: 3600, jwt: { sign: { alg: "RS256" } } };
      },
    },
  },
  issueRefreshToken: () => true,
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  cookies: { keys: ["of the tests"] },
});
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
