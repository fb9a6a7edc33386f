// MCP clients for Node that others wrote, driven by the end-to-end tests as mcp_client.py is.
// Usage: node_client.mjs CLIENT URL, with the bearer token in MCP_TOKEN; a URL that ends in /sse is spoken to over SSE.
// Each line of input is a call, {"method": "tools/list"} or {"method": "tools/call", "name": ..., "arguments": {...}}, of the
// official ones also {"method": "prompts/get", "params": {...}} and the like; each line of output its result as MCP has it,
// or {"error": sentence}. With MCP_ELICITS in the environment a person can be
// asked: a line of output then holds {"asked": ...}, and the next line of input {"action": ..., "content": ...}.
import { createInterface } from "node:readline";
import { tool } from "../standins/tools.mjs";

const [name, address] = process.argv.slice(2);
const url = new URL(address);
const isSse = url.pathname.endsWith("/sse");
const headers = { Authorization: `Bearer ${process.env.MCP_TOKEN}` };
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (value) => console.log(JSON.stringify(value));
const info = { name: "tests", version: "1" };
const elicits = process.env.MCP_ELICITS !== undefined;
const capabilities = elicits ? { elicitation: { form: {}, url: {} } } : {};

async function person({ params }) {
  say({ asked: params });
  return JSON.parse((await lines.next()).value);
}

const clients = {
  // The official client of the first generation.
  async sdk() {
    const part = (name) => tool(`@modelcontextprotocol/sdk/dist/esm/${name}.js`);
    const { Client } = await part("client/index");
    const { StreamableHTTPClientTransport } = await part("client/streamableHttp");
    const { SSEClientTransport } = await part("client/sse");
    const { ElicitRequestSchema } = await part("types");
    const client = new Client(info, { capabilities });
    if (elicits) client.setRequestHandler(ElicitRequestSchema, person);
    await client.connect(new (isSse ? SSEClientTransport : StreamableHTTPClientTransport)(url, { requestInit: { headers } }));
    return official(client);
  },

  // That of the second.
  async client() {
    const { Client, StreamableHTTPClientTransport, SSEClientTransport } = await tool("@modelcontextprotocol/client");
    const client = new Client(info, { capabilities, versionNegotiation: { mode: "auto" } });
    if (elicits) client.setRequestHandler("elicitation/create", person);
    await client.connect(new (isSse ? SSEClientTransport : StreamableHTTPClientTransport)(url, { requestInit: { headers } }));
    return official(client);
  },

  async "ai-sdk"() {
    const { createMCPClient, ElicitationRequestSchema } = await tool("@ai-sdk/mcp");
    const client = await createMCPClient({ transport: { type: isSse ? "sse" : "http", url: address, headers }, capabilities: elicits ? { elicitation: {} } : {} });
    if (elicits) client.onElicitationRequest(ElicitationRequestSchema, person);
    return {
      list: () => client.listTools(),
      call: async (name, input) => (await client.tools())[name].execute(input, { messages: [], toolCallId: "1" }),
    };
  },

  async langchain() {
    const { MultiServerMCPClient } = await tool("@langchain/mcp-adapters");
    const client = new MultiServerMCPClient({ mcpServers: { resto: { transport: isSse ? "sse" : "http", url: address, headers } } });
    const tools = await client.getTools();
    return {
      list: () => ({ tools: tools.map(({ name, description }) => ({ name, description })) }),
      call: async (name, input) => {
        try {
          const { structuredContent } = await tools.find((tool) => tool.name === name).invoke(input);
          return { isError: false, structuredContent };
        } catch (error) {
          // What it gives to its model.
          return { isError: true, content: [{ type: "text", text: error.message.replace(/^MCP tool .* returned an error: /, "") }] };
        }
      },
    };
  },

  // CopilotKit's runtime: the address is that of the example, which knows its server and has its token.
  async copilotkit() {
    const messages = [];
    const tell = async (content) => {
      messages.push({ id: `message-${messages.length}`, role: "user", content });
      const body = { threadId: "thread", runId: `run-${messages.length}`, state: {}, messages, tools: [], context: [], forwardedProps: {} };
      const response = await fetch(`${address}/agent/default/run`, { method: "POST", headers: { "content-type": "application/json", accept: "text/event-stream" }, body: JSON.stringify(body) });
      const answer = await response.text();
      if (!response.ok) throw new Error(answer);
      return answer.split("\n").filter((line) => line.startsWith("data: ")).map((line) => JSON.parse(line.slice(6)));
    };
    const textOf = (events) => events.filter(({ type }) => /^TEXT_MESSAGE_(CONTENT|CHUNK)$/.test(type)).map(({ delta }) => delta).join("");
    return {
      list: async () => ({ tools: JSON.parse(textOf(await tell("Which tools?"))).map((name) => ({ name })) }),
      call: async (name, input) => {
        const events = await tell(`${name} ${JSON.stringify(input)}`);
        const result = events.find(({ type }) => type === "TOOL_CALL_RESULT");
        if (!result) throw new Error(`no result in ${JSON.stringify(events)}`);
        return JSON.parse(result.content);
      },
    };
  },
};

const others = { "prompts/list": "listPrompts", "prompts/get": "getPrompt", "completion/complete": "complete", "resources/list": "listResources", "resources/read": "readResource" };
const official = (client) => ({
  list: () => client.listTools(),
  call: (name, input) => client.callTool({ name, arguments: input }),
  other: (method, params) => client[others[method]](params),
});

const client = await clients[name]();
for (let line = await lines.next(); !line.done; line = await lines.next()) {
  const call = JSON.parse(line.value);
  try {
    if (call.params) say(await client.other(call.method, call.params));
    else say(await (call.method === "tools/list" ? client.list() : client.call(call.name, call.arguments)));
  } catch (error) {
    say({ error: `${error.message ?? error}` });
  }
}
process.exit(0);
