// CopilotKit's runtime, whose agent works with the tools of Resto, and the page that talks to it.
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { getServerHash, MCPAppsActivityType, MCPAppsMiddleware } from "@ag-ui/mcp-apps-middleware";
import { createOpenAI } from "@ai-sdk/openai";
import { BuiltInAgent, CopilotRuntime } from "@copilotkit/runtime/v2";
import { createCopilotNodeListener } from "@copilotkit/runtime/v2/node";
import { concatMap } from "rxjs";

const { RESTO_TOKEN, RESTO_URL = "http://127.0.0.1:8787/mcp", MODEL = "gpt-5-mini", PORT = "3000" } = process.env;
if (!RESTO_TOKEN) {
  console.error("RESTO_TOKEN is missing: `resto token create --name copilotkit` prints one.");
  process.exit(1);
}

const headers = { Authorization: `Bearer ${RESTO_TOKEN}` };
const resto = new URL(RESTO_URL).pathname.endsWith("/sse")
  ? { type: "sse", url: RESTO_URL, headers }
  : { type: "http", url: RESTO_URL, options: { requestInit: { headers } } };

const agent = new BuiltInAgent({
  // OPENAI_API_KEY, and OPENAI_BASE_URL where the model is elsewhere.
  model: createOpenAI().chat(MODEL),
  maxSteps: 10,
  prompt:
    "You operate a business's accounts with the tools of Resto. When a tool answers action_required or with a link, the page shows " +
    "the link as a button: say what it is for and wait. When the person says that they are done, make the very same call again.",
  mcpServers: [resto],
});

// MCP Apps: results that are seen as charts and tables. The middleware tells which tools have a page, and fetches it. Left
// to call them as well, it would do so when the agent has ended, which then never reads what they told: the agent calls
// them itself, and the page is shown beside.
const apps = { type: resto.type, url: RESTO_URL, headers };
agent.use(new MCPAppsMiddleware({ mcpServers: [apps] }), (input, next) => {
  const page = /\[UI Resource: (ui:\/\/\S+)\]$/;
  const pages = new Map(input.tools.map(({ name, description }) => [name, page.exec(description)?.[1]]));
  const calls = new Map();
  return next.run(input).pipe(concatMap((event) => {
    const call = calls.get(event.toolCallId);
    if (event.type === "TOOL_CALL_START") calls.set(event.toolCallId, { name: event.toolCallName, input: "" });
    if (event.type === "TOOL_CALL_ARGS" && call) call.input += event.delta;
    const resourceUri = event.type === "TOOL_CALL_RESULT" && pages.get(call?.name);
    // Of what run_action ran there may be nothing to see, for which the chat would leave room.
    if (!resourceUri || call.name === "run_action") return [event];
    const result = JSON.parse(event.content);
    if (!result.structuredContent) return [event];
    const content = { result, resourceUri, serverHash: getServerHash(apps), toolInput: JSON.parse(call.input || "{}") };
    return [event, { type: "ACTIVITY_SNAPSHOT", messageId: randomUUID(), activityType: MCPAppsActivityType, content, replace: true }];
  }));
});

const copilotkit = createCopilotNodeListener({ runtime: new CopilotRuntime({ agents: { default: agent } }), basePath: "/copilotkit" });

const types = { ".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".woff2": "font/woff2", ".woff": "font/woff", ".ttf": "font/ttf" };
const folder = fileURLToPath(new URL(".", import.meta.url));

/** The page and what was built for it; nothing else of this folder. */
async function page(path, response) {
  const file = path === "/" ? "index.html" : normalize(path).startsWith("/dist/") ? normalize(path) : undefined;
  const content = file && (await readFile(join(folder, file)).catch(() => undefined));
  if (!content) return response.writeHead(404).end("There is no such page. `npm run build` makes the files of the page.\n");
  response.writeHead(200, { "content-type": types[extname(file)] ?? "application/octet-stream", "x-content-type-options": "nosniff" }).end(content);
}

const server = createServer((request, response) => {
  // Whoever can ask can use the token: no other page of the browser may, under no other name.
  const { port } = server.address();
  const names = [`127.0.0.1:${port}`, `localhost:${port}`];
  const { host, origin } = request.headers;
  if (!names.includes(host) || (origin && origin !== `http://${host}`)) return response.writeHead(403).end("Not from here.\n");
  const { pathname } = new URL(request.url, "http://localhost");
  return pathname.startsWith("/copilotkit") ? copilotkit(request, response) : page(pathname, response);
});
server.listen(Number(PORT), "127.0.0.1", () => console.log(`Open http://localhost:${server.address().port}`));
