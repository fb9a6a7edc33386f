// An emulated service behind a front of ours.
import { createServer, request as send } from "node:http";
import { listen, tool } from "./tools.mjs";

const { createEmulator } = await tool("emulate/dist/api.js");

/**
 * Starts the emulator of a service, which takes `url` for its own address. Returns what hands it a request with its
 * body; `see` gets the text of the answer before the client does, and may give another one in its place.
 */
export async function emulator(service, seed, url) {
  const port = await start(service, seed, url);
  return (request, response, body, see = () => {}) => {
    const { method, headers } = request;
    const upstream = send({ host: "127.0.0.1", port, path: request.url, method, headers }, async (incoming) => {
      const chunks = [];
      for await (const chunk of incoming) chunks.push(chunk);
      const whole = Buffer.concat(chunks);
      const answer = Buffer.from(see(whole.toString()) ?? whole);
      const { "transfer-encoding": _, ...kept } = incoming.headers;
      response.writeHead(incoming.statusCode, { ...kept, "content-length": answer.length });
      response.end(answer);
    });
    upstream.on("error", (error) => {
      if (response.headersSent) return response.destroy();
      response.writeHead(502).end(`The emulator did not answer: ${error.message}`);
    });
    upstream.end(body);
  };
}

/**
 * Starts the emulator of a service, and returns its port. It does not tell which one it was given: it is given one that was free
 * a moment ago.
 */
export async function start(service, seed, baseUrl) {
  for (let attempt = 1; ; attempt += 1) {
    const probe = createServer();
    const { port } = new URL(await listen(probe));
    await new Promise((closed) => probe.close(closed));
    try {
      await createEmulator({ service, port: Number(port), hostname: "127.0.0.1", seed, baseUrl });
      return Number(port);
    } catch (error) {
      if (error.code !== "EADDRINUSE" || attempt === 5) throw error;
    }
  }
}
