// Judges requests by a provider's official OpenAPI description. Prism routes and validates;
// on top of it, query parameters and body fields that the description does not know are refused too.
import { readFile } from "node:fs/promises";
import { tool } from "./tools.mjs";

const { default: prism } = await tool("@stoplight/prism-http");

const silent = { child: () => silent };
for (const level of ["trace", "debug", "info", "success", "warn", "error", "fatal"]) silent[level] = () => {};

/**
 * Reads the description in `file` and returns its judge: an async function from
 * `{ method, url, headers, body }` (body: text) to a list of sentences, empty when the request is right.
 */
export async function judge(file) {
  const description = JSON.parse(await readFile(file, "utf8"));
  const routes = multiSegmentRoutes(description);
  const known = new Map();
  // Prism takes seconds for a whole description: it gets the paths that a request may mean.
  const operationsAt = (templates) => {
    const key = templates.join();
    if (!known.has(key)) known.set(key, operationsOf(excerpt(description, templates)));
    return known.get(key);
  };

  // Prism calls `forward` with the operation that it found; the request itself is sent elsewhere.
  const instance = prism.createInstance(
    { isProxy: true, errors: true, validateRequest: true, validateResponse: false, checkSecurity: false,
      mock: { dynamic: false }, upstream: new URL("http://127.0.0.1") },
    { logger: silent, forward: (_, __, ___, operation) => () => async () =>
        ({ _tag: "Right", right: { statusCode: 200, operation } }) },
  );

  return async ({ method, url, headers, body }) => {
    const { pathname, searchParams } = new URL(url, "http://127.0.0.1");
    const query = {};
    for (const name of searchParams.keys()) {
      const values = searchParams.getAll(name);
      query[name] = values.length > 1 ? values : values[0];
    }
    let value = null;
    if (body) {
      try {
        value = JSON.parse(body);
      } catch {
        return ["the body is not JSON"];
      }
    }
    const path = joinSegments(routes, method, pathname);
    const operations = await operationsAt(routes.filter(({ strict }) => strict.test(path)).map(({ template }) => template));
    if (operations.length === 0) return [`the path ${pathname} hasn't been found in the description`];
    const outcome = await instance.request({ method: method.toLowerCase(), url: { path, query }, headers, body: value }, operations)();
    if (outcome._tag === "Left") return [outcome.left.detail ?? outcome.left.message];
    const { output, validations } = outcome.right;
    const parameters = new Set((output.operation.request?.query ?? []).map(({ name }) => name));
    return [
      ...validations.input.map(({ path: place, message }) => `${(place ?? []).join(".") || "request"}: ${message}`),
      ...Object.keys(query).filter((name) => !parameters.has(name)).map((name) => `query: the description has no parameter ${name}`),
    ];
  };
}

async function operationsOf(description) {
  const operations = await prism.getHttpOperationsFromSpec(description);
  for (const operation of operations)
    for (const content of operation.request?.body?.contents ?? []) close(content.schema);
  return operations;
}

/** The description of these paths only, with the components that they lead to. */
function excerpt(description, templates) {
  const { openapi, info } = description;
  const part = { openapi, info, components: {}, paths: Object.fromEntries(templates.map((path) => [path, description.paths[path]])) };
  const take = (node) => {
    if (!node || typeof node !== "object") return;
    const [, kind, name] = node.$ref?.match?.(/^#\/components\/(\w+)\/([^/]+)$/) ?? [];
    if (kind && !part.components[kind]?.[name]) {
      (part.components[kind] ??= {})[name] = description.components[kind][name];
      take(part.components[kind][name]);
    }
    Object.values(node).forEach(take);
  };
  take(part.paths);
  return part;
}

/** Makes every object schema that lists its fields refuse others. */
function close(schema) {
  if (!schema || typeof schema !== "object") return;
  const parts = [...(schema.allOf ?? []), ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
  if (schema.properties && schema.additionalProperties === undefined && !parts.some((part) => part.properties || part.$ref))
    schema.additionalProperties = false;
  for (const inner of [...parts, schema.items, ...Object.values(schema.properties ?? {})]) close(inner);
}

/** The paths of the description as patterns; `spanning` where a parameter may hold slashes, as GitHub marks it. */
function multiSegmentRoutes(description) {
  const resolve = (part) => part.$ref
    ? part.$ref.slice(2).split("/").reduce((node, key) => node[key.replaceAll("~1", "/")], description)
    : part;
  const pattern = (template, replacement) =>
    new RegExp(`^${template.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{(\w+)\}/g, replacement)}$`, "d");
  const routes = [];
  for (const [template, methods] of Object.entries(description.paths))
    for (const [method, operation] of Object.entries(methods)) {
      const wide = (operation.parameters ?? []).map(resolve).find((part) => part["x-multi-segment"])?.name;
      routes.push({
        template,
        method: method.toUpperCase(),
        strict: pattern(template, "[^/]+"),
        spanning: wide && pattern(template, (_, name) => (name === wide ? "(?<wide>.+)" : "[^/]+")),
        // Whoever reads a repository's top folder leaves the path out, with its slash.
        topFolder: method === "get" && wide === "path" && pattern(template.replace("/{path}", ""), "[^/]+"),
      });
    }
  return routes;
}

/** Prism wants such a parameter as one segment: `contents/src/main.rs` becomes `contents/src%2Fmain.rs`. */
function joinSegments(routes, method, path) {
  const candidates = routes.filter((route) => route.method === method);
  if (candidates.some(({ strict }) => strict.test(path))) return path;
  for (const { spanning, topFolder } of candidates) {
    if (topFolder && topFolder.test(path)) return `${path}/%2F`;
    const [start, end] = spanning?.exec(path)?.indices.groups.wide ?? [];
    if (end) return path.slice(0, start) + path.slice(start, end).replaceAll("/", "%2F") + path.slice(end);
  }
  return path;
}
