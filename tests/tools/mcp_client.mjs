// The official TypeScript MCP client without an access token, driven by the end-to-end tests: it finds the authorization
// server by itself, registers there and asks its person to sign in.
//   mcp_client.mjs MODE URL REDIRECT      MODE is `legacy`, or a protocol revision such as 2026-07-28
// A line of output {"asked": address} wants the person to go there; the next line of input is {"back": address}, where they
// came back to. Else each line of input is a call, {"method": "tools/call", "name": ..., "arguments": {...}}, and each line
// of output its result, or {"error": sentence}.
import { createInterface } from "node:readline";
import { tool } from "../standins/tools.mjs";

const { Client, StreamableHTTPClientTransport, UnauthorizedError } = await tool("@modelcontextprotocol/client/dist/index.mjs");
const [mode, url, redirect] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (value) => console.log(JSON.stringify(value));
const kept = {};
const provider = {
  redirectUrl: redirect,
  clientMetadata: {
    client_name: "tests", redirect_uris: [redirect], application_type: "native", token_endpoint_auth_method: "none",
    grant_types: ["authorization_code"], response_types: ["code"],
  },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens; },
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
  redirectToAuthorization: (address) => { kept.asked = address.href; },
};

/** Does something; where it needs a person first, asks for one and does it again. */
async function signedIn(transport, act) {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof UnauthorizedError) || !kept.asked) throw error;
      say({ asked: kept.asked });
      kept.asked = undefined;
      const { back } = JSON.parse((await lines.next()).value);
      await transport().finishAuth(new URL(back).searchParams);
    }
  }
}

let client, transport;
async function connect() {
  const versionNegotiation = mode === "legacy" ? undefined : { mode: { pin: mode } };
  const starting = new Client({ name: "tests", version: "1" }, { versionNegotiation });
  transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
  await starting.connect(transport);
  client = starting;
}
for await (const line of { [Symbol.asyncIterator]: () => lines }) {
  const call = JSON.parse(line);
  try {
    say(await signedIn(() => transport, async () => {
      if (!client) await connect();
      return client.callTool({ name: call.name, arguments: call.arguments });
    }));
  } catch (error) {
    say({ error: String(error) });
  }
}
await client?.close();
