// The judge of requests by Google's descriptions refuses what Google refuses.
import assert from "node:assert/strict";
import { test } from "node:test";
import { judge } from "./discovery.mjs";

const read = "https://www.googleapis.com/auth/analytics.readonly";
const edit = "https://www.googleapis.com/auth/analytics.edit";
const wrong = await judge("analyticsadmin.v1beta", "analyticsdata.v1beta");
const asks = (method, path, body, { query = "", scopes = [read, edit] } = {}) =>
  wrong({ method, path, query: new URLSearchParams(query), body, scopes });

test("takes what the descriptions allow", () => {
  assert.equal(asks("GET", "/v1beta/properties/1/keyEvents", undefined, { query: "pageSize=10" }), undefined);
  assert.equal(asks("POST", "/v1beta/properties/1:runReport", { metrics: [{ name: "sessions" }], limit: "10" }), undefined);
});

test("refuses an unknown path, parameter and field", () => {
  assert.equal(asks("GET", "/v1beta/properties/1/unknown").status, 404);
  assert.match(asks("GET", "/v1beta/properties/1/keyEvents", undefined, { query: "page=1" }).message, /"page"/);
  assert.match(asks("POST", "/v1beta/properties/1:runReport", { metrics: [{ nam: "sessions" }] }).message, /"nam" at 'metrics\[0\]'/);
});

test("refuses a value of another type, and another word", () => {
  assert.match(asks("POST", "/v1beta/properties/1:runReport", { limit: 10 }).message, /limit/);
  assert.match(asks("POST", "/v1beta/properties/1/keyEvents", { countingMethod: "TWICE" }).message, /countingMethod/);
});

test("refuses a body where there is none, and a token that is for something else", () => {
  assert.equal(asks("GET", "/v1beta/properties/1", {}).status, 400);
  assert.equal(asks("POST", "/v1beta/properties/1/keyEvents", {}, { scopes: [read] }).reason, "ACCESS_TOKEN_SCOPE_INSUFFICIENT");
});
