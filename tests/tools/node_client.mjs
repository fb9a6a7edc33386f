// MCP clients for Node that others wrote, driven by the end-to-end tests as mcp_client.py is.
// Usage: node_client.mjs CLIENT URL, with the bearer token in MCP_TOKEN; a URL that ends in /sse is spoken to over SSE
//        node_client.mjs CLIENT -- COMMAND...   over standard input and output
// Each line of input is a call, {"method": "tools/list"} or {"method": "tools/call", "name": ..., "arguments": {...}}, of the
// official ones also {"method": "prompts/get", "params": {...}} and the like; each line of output its result as MCP has it,
// or {"error": sentence}. With MCP_ELICITS in the environment a person can be
// asked: a line of output then holds {"asked": ...}, and the next line of input {"action": ..., "content": ...}.
import { execFile, spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { tool, top } from "../standins/tools.mjs";

const [name, address, ...command] = process.argv.slice(2);
const stdio = address === "--" && { command: command[0], args: command.slice(1), env: { ...process.env } };
const url = stdio ? undefined : new URL(address);
const isSse = url?.pathname.endsWith("/sse");
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

/** The way to the server, of the classes that a client has for it. */
function transport(Stdio, Sse, Http) {
  if (stdio) return new Stdio(stdio);
  return new (isSse ? Sse : Http)(url, { requestInit: { headers } });
}

const clients = {
  // The official client of the first generation.
  async sdk() {
    const part = (name) => tool(`@modelcontextprotocol/sdk/dist/esm/${name}.js`);
    const { Client } = await part("client/index");
    const { StreamableHTTPClientTransport } = await part("client/streamableHttp");
    const { SSEClientTransport } = await part("client/sse");
    const { StdioClientTransport } = await part("client/stdio");
    const { ElicitRequestSchema } = await part("types");
    const client = new Client(info, { capabilities });
    if (elicits) client.setRequestHandler(ElicitRequestSchema, person);
    await client.connect(transport(StdioClientTransport, SSEClientTransport, StreamableHTTPClientTransport));
    return official(client);
  },

  // That of the second.
  async client() {
    const { Client, StreamableHTTPClientTransport, SSEClientTransport } = await tool("@modelcontextprotocol/client");
    const { StdioClientTransport } = await tool("@modelcontextprotocol/client/stdio");
    const client = new Client(info, { capabilities, versionNegotiation: { mode: "auto" } });
    if (elicits) client.setRequestHandler("elicitation/create", person);
    await client.connect(transport(StdioClientTransport, SSEClientTransport, StreamableHTTPClientTransport));
    return official(client);
  },

  async "ai-sdk"() {
    const { createMCPClient, ElicitationRequestSchema } = await tool("@ai-sdk/mcp");
    const { Experimental_StdioMCPTransport: StdioMCPTransport } = await tool("@ai-sdk/mcp/mcp-stdio");
    const way = stdio ? new StdioMCPTransport(stdio) : { type: isSse ? "sse" : "http", url: address, headers };
    const client = await createMCPClient({ transport: way, capabilities: elicits ? { elicitation: {} } : {} });
    if (elicits) client.onElicitationRequest(ElicitationRequestSchema, person);
    return {
      list: () => client.listTools(),
      call: async (name, input) => (await client.tools())[name].execute(input, { messages: [], toolCallId: "1" }),
    };
  },

  async langchain() {
    const { MultiServerMCPClient } = await tool("@langchain/mcp-adapters");
    const way = stdio ? { transport: "stdio", ...stdio } : { transport: isSse ? "sse" : "http", url: address, headers };
    const client = new MultiServerMCPClient({ mcpServers: { resto: way } });
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

// The Inspector as scripts run it: each step is a command of its own, and what a person is asked waits in its daemon.
const inspector = (era) => async () => {
  const file = resolve(top, ".tools/npm/node_modules/@modelcontextprotocol/inspector/clients/mcpdo/build/mcp-bin.js");
  const home = mkdtempSync(join(tmpdir(), "mcpdo-"));
  const env = { HOME: home, PATH: process.env.PATH ?? "/usr/bin:/bin" };
  // Stops the daemon when this process ends, however that is.
  const after = ["-c", 'cat; "$@"; rm -r "$HOME"', "sh", process.execPath, file, "daemon", "stop"];
  spawn("sh", after, { stdio: ["pipe", "ignore", "ignore"], detached: true, env }).unref();
  const run = (...words) =>
    new Promise((done, failed) => {
      const step = execFile(process.execPath, [file, "--format", "json", "--stored-auth-only", ...words], { env, maxBuffer: 1 << 26 }, (error, output, problems) => {
        try {
          // A tool that answers with an error ends it with 5, its result printed all the same.
          done(JSON.parse(output));
        } catch {
          failed(new Error(`${error ?? "no JSON"}: ${output}${problems}`));
        }
      });
      step.stdin.end();
    });
  const told = stdio
    ? ["--transport", "stdio", ...Object.entries(process.env).flatMap(([name, value]) => ["-e", `${name}=${value}`]), "--", stdio.command, ...stdio.args]
    : ["--transport", isSse ? "sse" : "http", "--server-url", address, "--header", `Authorization: ${headers.Authorization}`];
  await run("connect", "--connection", "resto", "--era", era, "--elicit", elicits ? "both" : "off", ...told);
  const step = (...words) => run("--connection", "resto", ...words);
  return {
    list: () => step("tools/list"),
    call: async (name, input) => {
      let result = await step("tools/call", name, JSON.stringify(input));
      while (result.elicitationPending) {
        const asked = result.elicitationPending;
        const { action, content } = await person({ params: asked });
        const refused = asked.mode === "url" ? "--cancel" : `--${action}`;
        const accepted = asked.mode === "url" ? "--done" : JSON.stringify(content);
        result = await step("elicitation/respond", asked.elicitationId, action === "accept" ? accepted : refused);
      }
      return { isError: false, ...result };
    },
  };
};
clients["mcpdo-legacy"] = inspector("legacy");
clients["mcpdo-modern"] = inspector("modern");

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
