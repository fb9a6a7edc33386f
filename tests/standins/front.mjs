// What stands before an emulated service: it takes only the token of the tests, answers what the emulator has not or completes
// what it says, and remembers for each request who answered it.
import { createServer } from "node:http";
import { start } from "./emulator.mjs";
import { listen } from "./tools.mjs";

/**
 * Serves `service` to whoever has `token`, and prints where it is as the environment variable `variable`. `answer` gets what was asked and returns
 * `{ status, body }`; `asked.emulated()` has the emulator answer. `refusal` makes the body of an error. Ends with standard input.
 */
export async function serve({ variable, service, token, seed, answer, refusal }) {
  const seen = [];
  const server = createServer((request, response) => {
    handle(request, response).catch((error) => reply(response, 500, refusal("internal", `The stand-in failed: ${error.stack}`)));
  });
  const url = await listen(server);
  const port = await start(service, seed, url);
  console.log(`${variable}=${url}`);
  process.stdin.resume().on("end", () => process.exit(0));

  async function handle(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { pathname, searchParams, search } = new URL(request.url, url);
    if (pathname === "/seen") return reply(response, 200, seen);
    if (request.headers.authorization !== `Bearer ${token}`) return reply(response, 401, refusal("authentication", "Invalid token."));
    let by = "double";
    const asked = {
      method: request.method, path: pathname, query: searchParams, headers: request.headers, body: Buffer.concat(chunks),
      what: `${request.method} ${pathname}`,
      /** What the emulator answers to this, or to something else. */
      async emulated({ method = request.method, path = `${pathname}${search}`, body = asked.body } = {}) {
        by = "emulate";
        const headers = { authorization: request.headers.authorization };
        for (const name of ["content-type", "x-vercel-digest"]) if (request.headers[name]) headers[name] = request.headers[name];
        if (method === "GET") body = undefined;
        const answered = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers, body });
        const text = await answered.text();
        return { status: answered.status, body: text ? JSON.parse(text) : null };
      },
      /** Says who answered, where it was not the emulator. */
      by: (name) => (by = name),
      /** Says that a double of ours kept what this changes, though others were read. */
      doubled: () => (by = "double"),
    };
    const { status, body } = await answer(asked);
    seen.push({ what: asked.what, by });
    reply(response, status, body);
  }
}

/** Calls the handler of the first route that fits: `"GET /v1/products/:id"`, its parts decoded in `asked.parts`. */
export function routed(routes, otherwise) {
  const compiled = Object.entries(routes).map(([route, handler]) => {
    const [method, path] = route.split(" ");
    return { method, pattern: new RegExp(`^${path.replace(/\/:\w+/g, "/([^/]+)")}$`), handler };
  });
  return (asked) => {
    for (const { method, pattern, handler } of compiled) {
      const found = method === asked.method && pattern.exec(asked.path);
      if (found) return handler(asked, ...found.slice(1).map(decodeURIComponent));
    }
    return otherwise(asked);
  };
}

function reply(response, status, body) {
  if (response.headersSent) return response.destroy();
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" });
  response.end(body === null ? undefined : JSON.stringify(body));
}
