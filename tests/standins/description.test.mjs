// The judge itself: a judge that lets everything pass would make every story about GitHub pass.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { judge } from "./description.mjs";

const path = (name, more) => ({ name, in: "path", required: true, schema: { type: "string" }, ...more });
const ok = { responses: { 200: { description: "fine" } } };
const description = {
  openapi: "3.0.3",
  info: { title: "a small service", version: "1" },
  paths: {
    "/shelves/{shelf}/books": {
      get: { ...ok, parameters: [path("shelf"), { name: "page", in: "query", schema: { type: "integer" } }] },
      post: {
        ...ok,
        parameters: [path("shelf")],
        requestBody: {
          required: true,
          content: { "application/json": { schema: {
            type: "object",
            required: ["title"],
            properties: { title: { type: "string" }, author: { type: "object", properties: { name: { type: "string" } } } },
          } } },
        },
      },
    },
    "/shelves/{shelf}/files/{path}": { get: { ...ok, parameters: [path("shelf"), path("path", { "x-multi-segment": true })] } },
  },
};
const folder = await mkdtemp(join(tmpdir(), "resto-judge-"));
after(() => rm(folder, { recursive: true }));
const file = join(folder, "service.json");
await writeFile(file, JSON.stringify(description));
const violations = await judge(file);

const get = (url) => violations({ method: "GET", url, headers: {} });
const post = (body) => {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const headers = { "content-type": "application/json", "content-length": String(text.length) };
  return violations({ method: "POST", url: "/shelves/a/books", headers, body: text });
};

test("lets a described request pass", async () => {
  assert.deepEqual(await get("/shelves/a/books?page=2"), []);
  assert.deepEqual(await post({ title: "Dune", author: { name: "Herbert" } }), []);
});

test("refuses a path that the description does not have", async () => {
  assert.match((await get("/shelves")).join(), /\/shelves/);
});

test("refuses a wrong and an unknown query parameter", async () => {
  assert.match((await get("/shelves/a/books?page=two")).join(), /page must be integer/);
  assert.match((await get("/shelves/a/books?pgae=2")).join(), /no parameter pgae/);
});

test("refuses a missing, a wrong and an unknown body field", async () => {
  assert.match((await post({})).join(), /'title'/);
  assert.match((await post({ title: 1 })).join(), /title must be string/);
  assert.match((await post({ title: "Dune", yaer: 1965 })).join(), /'yaer'/);
  assert.match((await post({ title: "Dune", author: { nmae: "Herbert" } })).join(), /'nmae'/);
});

test("refuses a body that is missing or not JSON", async () => {
  assert.match((await violations({ method: "POST", url: "/shelves/a/books", headers: {} })).join(), /required/);
  assert.match((await post("{")).join(), /not JSON/);
});

test("takes slashes in a parameter that may hold them, and no path for the top folder", async () => {
  assert.deepEqual(await get("/shelves/a/files/src/main.rs"), []);
  assert.deepEqual(await get("/shelves/a/files"), []);
  assert.match((await get("/shelves/a/b/books")).join(), /hasn't been found/);
});
