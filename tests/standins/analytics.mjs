// Google Analytics, as far as a loopback can be it: properties and what they are set up with, the collection of events by the
// Measurement Protocol, and reports that are computed from what was collected. Each request is held against Google's own
// descriptions first.
import { randomUUID } from "node:crypto";
import { judge } from "./discovery.mjs";
import { Wrong, compatibility, funnel, metadata, realtime, report } from "./reports.mjs";
import { routed } from "./front.mjs";

const wrong = await judge("analyticsadmin.v1beta", "analyticsadmin.v1alpha", "analyticsdata.v1beta", "analyticsdata.v1alpha");
/** The descriptions leave these out. */
const UNDESCRIBED = /:runFunnelReport$|\/propertyQuotasSnapshot$/;
const accounts = new Map([["accounts/1", { account: "accounts/1", displayName: "Shop" }]]);
const properties = new Map();
let ids = 400;

const ok = (body) => ({ status: 200, body });
const refuse = (code, status, message, reason) => ({ status: code, body: { error: {
  code, message, status, ...(reason && { details: [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason, domain: "googleapis.com" }] }),
} } });
const missing = () => refuse(404, "NOT_FOUND", "Requested entity was not found.");
const invalid = (message) => refuse(400, "INVALID_ARGUMENT", message);

/** A page of a list, as the query asks for it. */
function page(name, all, { query }) {
  const [from, size] = [Number(query.get("pageToken") ?? 0), Number(query.get("pageSize") ?? 50)];
  const to = from + size;
  // Google leaves empty lists out.
  return ok({ ...(all.length > from && { [name]: all.slice(from, to) }), ...(all.length > to && { nextPageToken: String(to) }) });
}

const within = (handler) => (asked, id, ...rest) => {
  const property = properties.get(`properties/${id}`);
  return property ? handler(asked, property, ...rest) : refuse(403, "PERMISSION_DENIED", "User does not have sufficient permissions for this property.");
};
const inStream = (handler) => within((asked, property, id, ...rest) => {
  const stream = property.dataStreams.get(id);
  return stream ? handler(asked, stream, ...rest) : missing();
});
/** Keeps something below `owner`, unless there is one with the same `names` already. */
const keep = (kind, names, facts = () => ({})) => ({ body }, owner) => {
  const there = [...owner[kind].values()];
  if (names.length && there.some((one) => names.every((name) => one[name] === body[name]))) return refuse(409, "ALREADY_EXISTS", `${body[names[0]]} already exists.`);
  const id = String((ids += 1));
  const made = { name: `${owner.name}/${kind}/${id}`, createTime: new Date().toISOString(), ...body, ...facts(id, body) };
  owner[kind].set(id, made);
  return ok(told(made));
};
const list = (kind) => (asked, owner) => page(kind, [...owner[kind].values()].map(told), asked);
const read = (kind) => (_, owner, id) => (owner[kind].has(id) ? ok(told(owner[kind].get(id))) : missing());
const remove = (kind) => (_, owner, id) => (owner[kind].delete(id) ? ok({}) : missing());
/** What Google tells of something: not what is kept below it, and not what is ours. */
const told = (one) => Object.fromEntries(Object.entries(one).filter(([name, value]) => !(value instanceof Map || ["dayAt", "dayOf", "events", "spent"].includes(name))));

function create({ body }) {
  const parent = accounts.get(body.parent);
  if (!parent) return refuse(403, "PERMISSION_DENIED", "The caller does not have permission.");
  try {
    new Intl.DateTimeFormat("en", { timeZone: body.timeZone });
  } catch {
    return invalid(`Invalid time zone: ${body.timeZone}`);
  }
  const name = `properties/${(ids += 1)}`;
  const days = new Intl.DateTimeFormat("en-CA", { timeZone: body.timeZone });
  const dayAt = (at) => days.format(at).replaceAll("-", "");
  const property = {
    name, currencyCode: "USD", ...body, account: body.parent, propertyType: "PROPERTY_TYPE_ORDINARY", serviceLevel: "GOOGLE_ANALYTICS_STANDARD",
    createTime: new Date().toISOString(), dayAt,
    /** A day as a report asks for it: a date, or days counted back from today. */
    dayOf(text) {
      const ago = { today: 0, yesterday: 1 }[text] ?? /^(\d+)daysAgo$/.exec(text)?.[1];
      return ago === undefined ? text.replaceAll("-", "") : dayAt(Date.now() - 86_400_000 * ago);
    },
    dataStreams: new Map(), keyEvents: new Map(), customDimensions: new Map(), customMetrics: new Map(), reportingDataAnnotations: new Map(),
    events: [], spent: { core: 0, realtime: 0, funnel: 0 },
  };
  properties.set(name, property);
  return ok(told(property));
}

const limits = { tokensPerDay: 200_000, tokensPerHour: 40_000, tokensPerProjectPerHour: 14_000, concurrentRequests: 10, serverErrorsPerProjectPerHour: 10, potentiallyThresholdedRequestsPerHour: 120 };
const quota = (spent) => Object.fromEntries(Object.entries(limits).map(([name, limit]) => [name, name.startsWith("tokens") ? { consumed: 1, remaining: limit - spent } : { remaining: limit }]));
const counted = (kind, make) => within(({ body }, property) => {
  const bodies = body.requests ?? [body];
  const made = bodies.map((one) => {
    property.spent[kind] += 1;
    return { ...make(property, one), ...(one.returnPropertyQuota && { propertyQuota: quota(property.spent[kind]) }) };
  });
  return ok(body.requests ? { reports: made } : made[0]);
});

const serve = routed({
  "GET /v1beta/accountSummaries": (asked) => page("accountSummaries", [...accounts.values()].map((one) => ({
    name: one.account.replace("accounts", "accountSummaries"), ...one,
    propertySummaries: [...properties.values()].filter(({ account }) => account === one.account)
      .map(({ name, displayName }) => ({ property: name, displayName, propertyType: "PROPERTY_TYPE_ORDINARY", parent: one.account, canEdit: true })),
  })), asked),
  "POST /v1beta/properties": create,
  "GET /v1beta/properties/:id": within((_, property) => ok(told(property))),
  "GET /v1beta/properties/:id/dataStreams": within(list("dataStreams")),
  "POST /v1beta/properties/:id/dataStreams": within(keep("dataStreams", [], (id, { webStreamData }) => ({
    webStreamData: { ...webStreamData, measurementId: `G-T${id}` }, measurementProtocolSecrets: new Map(), eventCreateRules: new Map(),
  }))),
  "GET /v1beta/properties/:id/dataStreams/:stream": within(read("dataStreams")),
  "GET /v1alpha/properties/:id/dataStreams/:stream/globalSiteTag": inStream((_, { name, webStreamData: { measurementId } }) =>
    ok({ name: `${name}/globalSiteTag`, snippet: `<script async src="https://www.googletagmanager.com/gtag/js?id=${measurementId}"></script>` })),
  "GET /v1beta/properties/:id/dataStreams/:stream/measurementProtocolSecrets": inStream(list("measurementProtocolSecrets")),
  "POST /v1beta/properties/:id/dataStreams/:stream/measurementProtocolSecrets": inStream(keep("measurementProtocolSecrets", [], () => ({ secretValue: randomUUID() }))),
  "DELETE /v1beta/properties/:id/dataStreams/:stream/measurementProtocolSecrets/:secret": inStream(remove("measurementProtocolSecrets")),
  "POST /v1alpha/properties/:id/dataStreams/:stream/eventCreateRules": inStream(keep("eventCreateRules", ["destinationEvent"])),
  "GET /v1beta/properties/:id/keyEvents": within(list("keyEvents")),
  "POST /v1beta/properties/:id/keyEvents": within(keep("keyEvents", ["eventName"], () => ({ deletable: true, custom: true }))),
  "GET /v1beta/properties/:id/keyEvents/:event": within(read("keyEvents")),
  "DELETE /v1beta/properties/:id/keyEvents/:event": within(remove("keyEvents")),
  "GET /v1beta/properties/:id/customDimensions": within(list("customDimensions")),
  "POST /v1beta/properties/:id/customDimensions": within(keep("customDimensions", ["parameterName", "scope"])),
  "POST /v1beta/properties/:id/customMetrics": within(keep("customMetrics", ["parameterName"])),
  "POST /v1alpha/properties/:id/reportingDataAnnotations": within(keep("reportingDataAnnotations", [])),
  "GET /v1beta/properties/:id/metadata": within((_, property) => ok(metadata(property))),
  "POST /v1beta/properties/:id:checkCompatibility": within(({ body }, property) => ok(compatibility(property, body))),
  "POST /v1beta/properties/:id:runReport": counted("core", report),
  "POST /v1beta/properties/:id:batchRunReports": counted("core", report),
  "POST /v1beta/properties/:id:runRealtimeReport": counted("realtime", realtime),
  "POST /v1alpha/properties/:id:runFunnelReport": counted("funnel", funnel),
  "GET /v1alpha/properties/:id/propertyQuotasSnapshot": within((_, { name, spent }) =>
    ok({ name: `${name}/propertyQuotasSnapshot`, corePropertyQuota: quota((spent.core += 1)), realtimePropertyQuota: quota(spent.realtime), funnelPropertyQuota: quota(spent.funnel) })),
}, () => missing());

/**
 * Answers a request to Google Analytics: `{ method, path, query, text, scopes }`, with the scopes of its token; nothing if it is
 * not one.
 */
export function analytics({ method, path, query, text, scopes }) {
  if (/^\/(debug\/)?mp\/collect$/.test(path)) return collect(path, query, JSON.parse(text));
  if (!/^\/v1(alpha|beta)\/(properties|accountSummaries)\b/.test(path)) return undefined;
  const body = text ? JSON.parse(text) : undefined;
  const problem = UNDESCRIBED.test(path) ? undefined : wrong({ method, path, query, body, scopes });
  if (problem) return refuse(problem.status, { 403: "PERMISSION_DENIED", 404: "NOT_FOUND" }[problem.status] ?? "INVALID_ARGUMENT", problem.message, problem.reason);
  try {
    return serve({ method, path, query, body });
  } catch (error) {
    if (error instanceof Wrong) return invalid(error.message);
    throw error;
  }
}

/** The Measurement Protocol: it takes anything, and counts what comes with the secret of the stream; its twin says what is wrong. */
function collect(path, query, { client_id: client, user_id: user, timestamp_micros: micros, events }) {
  if (path.startsWith("/debug")) {
    const bad = events.filter(({ name, params = {} }) => !/^[A-Za-z]\w{0,39}$/.test(name) || Object.keys(params).length > 25);
    return ok({ validationMessages: bad.map(({ name }) => ({ fieldPath: "events", description: `Event at index: [0] has invalid name [${name}]. Only alphanumeric characters and underscores are allowed.`, validationCode: "NAME_INVALID" })) });
  }
  for (const property of properties.values()) {
    for (const stream of property.dataStreams.values()) {
      const secrets = [...stream.measurementProtocolSecrets.values()];
      if (stream.webStreamData.measurementId !== query.get("measurement_id") || !secrets.some(({ secretValue }) => secretValue === query.get("api_secret"))) continue;
      for (const { name, params = {} } of events) received(property, stream, { name, params, client, user, at: micros ? micros / 1000 : Date.now() });
    }
  }
  return { status: 204, body: null };
}

/** Keeps an event, and those that rules make of it. */
function received(property, stream, { name, params, client, user, at }) {
  const add = (name, params) => property.events.push({ name, params, at, user: user ?? client, session: params.session_id && `${client} ${params.session_id}`, day: property.dayAt(at) });
  add(name, params);
  for (const rule of stream.eventCreateRules.values()) {
    if (!rule.eventConditions.every((condition) => fits(condition, name, params))) continue;
    const changed = Object.fromEntries((rule.parameterMutations ?? []).map(({ parameter, parameterValue }) => [parameter, params[/^\[\[(.+)\]\]$/.exec(parameterValue)?.[1]] ?? parameterValue]));
    add(rule.destinationEvent, { ...(rule.sourceCopyParameters && params), ...changed });
  }
}

function fits({ field, comparisonType, value, negated = false }, name, params) {
  const given = String(field === "event_name" ? name : (params[field] ?? ""));
  const [told, wanted] = comparisonType.endsWith("_CASE_INSENSITIVE") ? [given.toLowerCase(), value.toLowerCase()] : [given, value];
  const kind = comparisonType.replace("_CASE_INSENSITIVE", "");
  const compares = {
    EQUALS: () => told === wanted, CONTAINS: () => told.includes(wanted), STARTS_WITH: () => told.startsWith(wanted), ENDS_WITH: () => told.endsWith(wanted),
    GREATER_THAN: () => Number(told) > Number(wanted), GREATER_THAN_OR_EQUAL: () => Number(told) >= Number(wanted),
    LESS_THAN: () => Number(told) < Number(wanted), LESS_THAN_OR_EQUAL: () => Number(told) <= Number(wanted), REGULAR_EXPRESSION: () => new RegExp(wanted).test(told),
  };
  return compares[kind]() !== negated;
}
