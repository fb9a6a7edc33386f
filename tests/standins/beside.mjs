// An MCP server as the official SDK's examples show it: what it asks a person comes beside the answer of the call, on the
// stream of its session. Prints where it is, ends with its standard input.
import { createServer } from "node:http";
import { listen, tool } from "./tools.mjs";

const part = (name) => tool(`@modelcontextprotocol/sdk/dist/esm/server/${name}.js`);
const { McpServer } = await part("mcp");
const { StreamableHTTPServerTransport } = await part("streamableHttp");
const sessions = new Map();

async function begin() {
  const mcp = new McpServer({ name: "beside", version: "1" });
  mcp.registerTool("greet", { description: "Greets somebody." }, async () => {
    const requestedSchema = { type: "object", properties: { name: { type: "string" } }, required: ["name"] };
    const { action, content } = await mcp.server.elicitInput({ message: "Whom?", requestedSchema });
    return { content: [{ type: "text", text: `${action} ${content?.name}` }] };
  });
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: () => crypto.randomUUID(),
    onsessioninitialized: (id) => { sessions.set(id, transport); },
  });
  await mcp.connect(transport);
  return transport;
}

const server = createServer(async (request, response) => {
  const transport = sessions.get(request.headers["mcp-session-id"]) ?? await begin();
  await transport.handleRequest(request, response);
});
console.log(`RESTO_STANDIN_BESIDE_URL=${await listen(server)}`);
process.stdin.on("end", () => process.exit()).resume();
