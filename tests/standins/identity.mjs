// A real authorization server (oidc-provider) with PKCE required and dynamic registration, where everybody can sign in: as
// `somebody@tenant`, with any password. Prints where it is as an environment assignment, ends with its standard input.
import { createServer } from "node:http";
import { listen, tool } from "./tools.mjs";

const { Provider } = await tool("oidc-provider");
const server = createServer();
const issuer = await listen(server);
const scopes = ["openid", "offline_access", "read", "write", "github:read", "github:outward"];

const provider = new Provider(issuer, {
  // As native apps, clients come back to any port of this machine.
  clients: [{
    client_id: "resto", client_secret: "plainly-fake", application_type: "native",
    redirect_uris: ["http://127.0.0.1/sign-in/callback"], grant_types: ["authorization_code"], response_types: ["code"],
  }],
  scopes,
  claims: { openid: ["sub", "tenant"] },
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: true },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        audience: resource, scope: scopes.slice(2).join(" "), accessTokenFormat: "jwt", jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
  // Clients register with the scopes that they need first, and ask for more later: they may.
  extraClientMetadata: { properties: ["more"], validator: (_ctx, _key, _value, client) => { client.scope = undefined; } },
  extraTokenClaims: (_, token) => ({ tenant: tenantOf(token.accountId) }),
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, tenant: tenantOf(id) }) }),
  cookies: { keys: ["of the tests"] },
});
server.on("request", provider.callback());

console.log(`RESTO_STANDIN_IDENTITY_URL=${issuer}`);
process.stdin.resume().on("end", () => process.exit(0));

function tenantOf(account) {
  return account.split("@")[1];
}
