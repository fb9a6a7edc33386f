// The npm packages of tests/tools live outside the import path of this folder: this finds them.
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const top = fileURLToPath(new URL("../..", import.meta.url));
const packages = resolve(top, ".tools/npm");

/** Loads an installed package: `name`, or `name/file` of one that only ES modules may import. */
export function tool(name) {
  const file = /\.m?js$/.test(name)
    ? resolve(packages, "node_modules", name)
    : createRequire(resolve(packages, "package.json")).resolve(name);
  return import(pathToFileURL(file).href);
}

/** Listens on a free loopback port, and returns the address. */
export async function listen(server) {
  await new Promise((ready, failed) => server.once("error", failed).listen(0, "127.0.0.1", ready));
  return `http://127.0.0.1:${server.address().port}`;
}
