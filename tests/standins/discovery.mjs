// Judges requests by Google's own descriptions of its APIs, as Google does: a field that it does not know is refused, and so is
// a token that is for something else.
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { top } from "./tools.mjs";

/**
 * Reads these descriptions, such as `analyticsdata.v1beta`, and returns their judge: a function from
 * `{ method, path, query, body, scopes }` (body: parsed, scopes: those that were granted) to nothing, or what is wrong:
 * `{ status, reason, message }`.
 */
export async function judge(...names) {
  const methods = [];
  for (const name of names) {
    const description = JSON.parse(await readFile(resolve(top, ".tools/specs/discovery", `${name}.json`), "utf8"));
    const gather = ({ methods: own = {}, resources = {} }) => {
      for (const method of Object.values(own)) methods.push({ ...method, description, pattern: pattern(method) });
      Object.values(resources).forEach(gather);
    };
    gather(description);
  }
  return ({ method, path, query, body, scopes }) => {
    const found = methods.find((one) => one.httpMethod === method && one.pattern.test(path));
    if (!found) return { status: 404, message: `No method of the descriptions is ${method} ${path}.` };
    if (!found.scopes.some((scope) => scopes.includes(scope))) {
      return { status: 403, reason: "ACCESS_TOKEN_SCOPE_INSUFFICIENT", message: "Request had insufficient authentication scopes." };
    }
    const known = { ...found.description.parameters, ...found.parameters };
    const asked = [...query].map(([name, value]) => parameter(known[name], name, value));
    const wrong = [...asked, found.request ? value(found.description.schemas, found.request, body, "") : body && "There is no body."].find(Boolean);
    return wrong && { status: 400, message: wrong };
  };
}

/** `v1beta/{+name}` with the pattern of `name`; a parameter without one is one segment. */
function pattern({ path, parameters = {} }) {
  const parts = path.split(/\{\+?(\w+)\}/).map((part, at) =>
    at % 2 ? (parameters[part].pattern ?? "^[^/]+$").slice(1, -1) : part.replace(/[.*+?^$()|[\]\\]/g, "\\$&"));
  return new RegExp(`^/${parts.join("")}$`);
}

function parameter(known, name, text) {
  if (known?.location !== "query") return `Invalid query parameter: Unknown name "${name}".`;
  if (known.type === "integer" && !/^-?\d+$/.test(text)) return `Invalid value at '${name}', "${text}".`;
  if (known.enum && !known.enum.includes(text)) return `Invalid value at '${name}', "${text}".`;
}

/** What is wrong with a value at this place; nothing if it is right. */
function value(schemas, told, given, at) {
  const schema = told.$ref ? schemas[told.$ref] : told;
  const invalid = `Invalid value at '${at}' (${schema.format ?? schema.type}), ${JSON.stringify(given)}`;
  switch (schema.type) {
    case "object":
      if (typeof given !== "object" || given === null || Array.isArray(given)) return invalid;
      return Object.entries(given).map(([name, inner]) => {
        const field = schema.properties?.[name] ?? schema.additionalProperties;
        if (!field) return `Invalid JSON payload received. Unknown name "${name}" at '${at}': Cannot find field.`;
        return value(schemas, field, inner, at ? `${at}.${name}` : name);
      }).find(Boolean);
    case "array":
      return Array.isArray(given) ? given.map((inner, index) => value(schemas, schema.items, inner, `${at}[${index}]`)).find(Boolean) : invalid;
    case "string":
      if (typeof given !== "string" || (schema.format === "int64" && !/^-?\d+$/.test(given))) return invalid;
      return schema.enum && !schema.enum.includes(given) ? invalid : undefined;
    case "integer": return Number.isInteger(given) ? undefined : invalid;
    case "number": return typeof given === "number" ? undefined : invalid;
    case "boolean": return typeof given === "boolean" ? undefined : invalid;
    default: return undefined;
  }
}
