// Lists the tools and runs one, with the official TypeScript client: npm install @modelcontextprotocol/client@2.4.0
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const url = new URL(process.env.RESTO_URL ?? "http://127.0.0.1:8787/mcp");
const headers = { Authorization: `Bearer ${process.env.RESTO_TOKEN}` };
const client = new Client({ name: "example", version: "1" }, { versionNegotiation: { mode: "auto" } });
await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers } }));
for (const { name, description } of (await client.listTools()).tools) console.log(name, "-", description);
console.log(await client.callTool({ name: "github_get_account", arguments: {} }));
await client.close();
