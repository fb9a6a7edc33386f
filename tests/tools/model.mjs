// A language model of which one knows what it will do: an OpenAI-compatible server on loopback for agents under test.
//   `TOOL {arguments}` at the end of what the person says, or a sentence of `asked`, calls that tool; `the same call again`
//   calls the last one again; `which tools?` names all. After a call it says what the tool told.
// Prints where it listens as an environment assignment, ends with its standard input.
import { createServer } from "node:http";

const asked = [
  [/services are connected/i, () => ["list_integrations", {}]],
  [/connect our (\w+) account/i, ([, service]) => ["connect_integration", { integration: service.toLowerCase() }]],
  [/([a-z]\w*_\w+) (\{.*\})\s*$/s, ([, tool, text]) => [tool, JSON.parse(text)]],
];

/** What is said next: `{ text }`, or `{ tool, input }`. */
function next({ messages, tools = [] }) {
  const last = messages.at(-1);
  if (last.role === "tool") return { text: told(textOf(last.content)) };
  const names = tools.map((tool) => tool.function.name);
  const said = textOf(last.content);
  if (/which tools\?/i.test(said)) return { text: JSON.stringify(names) };
  const call = /the same call again/i.test(said) ? lastCall(messages) : newCall(said);
  if (!call) return { text: "I do only what my script says." };
  const [tool, input] = call;
  return names.includes(tool) ? { tool, input } : { text: `I have no tool ${tool}.` };
}

function newCall(said) {
  for (const [pattern, call] of asked) {
    const found = pattern.exec(said);
    if (found) return call(found);
  }
}

function lastCall(messages) {
  const { name, arguments: input } = messages.findLast((message) => message.tool_calls).tool_calls.at(-1).function;
  return [name, JSON.parse(input)];
}

/** Content is a text, or parts with texts. */
function textOf(content) {
  return typeof content === "string" ? content : content.map((part) => part.text ?? "").join("");
}

/** Agents hand their model the whole result, or its content alone. */
function told(result) {
  const answer = JSON.parse(result);
  const { code, link } = JSON.parse((answer.content ?? answer).at(0).text);
  if (!code) return link ? "Please open the page." : "It is done.";
  return { action_required: "Please look at it and approve it.", denied: "It was refused, so I leave it." }[code] ?? `It failed: ${code}.`;
}

let calls = 0;
const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { tool, input, text } = next(JSON.parse(Buffer.concat(chunks)));
  const call = () => ({ index: 0, id: `call_${(calls += 1)}`, type: "function", function: { name: tool, arguments: JSON.stringify(input) } });
  const delta = tool ? { role: "assistant", tool_calls: [call()] } : { role: "assistant", content: text };
  const chunk = (choice, more) => `data: ${JSON.stringify({ id: "scripted", object: "chat.completion.chunk", created: 0, model: "scripted", choices: [{ index: 0, ...choice }], ...more })}\n\n`;
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write(chunk({ delta, finish_reason: null }));
  response.write(chunk({ delta: {}, finish_reason: tool ? "tool_calls" : "stop" }, { usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }));
  response.end("data: [DONE]\n\n");
});
server.listen(0, "127.0.0.1", () => console.log(`OPENAI_BASE_URL=http://127.0.0.1:${server.address().port}/v1`));
process.stdin.resume().on("end", () => process.exit(0));
