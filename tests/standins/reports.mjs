// Reports as Google Analytics makes them, computed from the events that a property received. What an event does not tell is
// `(not set)`.

const param = (name) => ({ params }) => params[name] ?? "(not set)";
const page = ({ params }) => (params.page_location ? new URL(params.page_location) : undefined);
const source = ({ params: { source, medium } }) => (source ? `${source} / ${medium ?? "(none)"}` : "(direct) / (none)");
const day = (event) => event.day;
const people = (events) => new Set(events.map(({ user }) => user)).size;
const sessions = (events) => new Set(events.map(({ session }) => session).filter(Boolean));
const engaged = (events) => new Set(events.filter(({ params }) => Number(params.engagement_time_msec) >= 10_000).map(({ session }) => session).filter(Boolean));
const named = (events, name) => events.filter((event) => event.name === name);
const sum = (events, name) => events.reduce((all, { params }) => all + Number(params[name] ?? 0), 0);
const share = (part, whole) => (whole ? part / whole : 0);

/** By what: the title, the category, and how an event tells it; the whole session has the word of its first event. */
const DIMENSIONS = {
  date: ["Date", "Time", day],
  eventName: ["Event name", "Event", ({ name }) => name],
  pagePath: ["Page path", "Page / screen", (event) => page(event)?.pathname ?? "(not set)"],
  pageTitle: ["Page title", "Page / screen", param("page_title")],
  landingPage: ["Landing page", "Page / screen", ({ first }) => page(first)?.pathname ?? "(not set)"],
  sessionSourceMedium: ["Session source / medium", "Traffic source", ({ first }) => source(first)],
  sessionDefaultChannelGroup: ["Session default channel group", "Traffic source", ({ first }) => ({ organic: "Organic Search", email: "Email" })[first.params.medium] ?? "Direct"],
  country: ["Country", "Geography", param("country")],
  deviceCategory: ["Device category", "Platform / device", param("device_category")],
  newVsReturning: ["New / returning", "User", ({ isNew }) => (isNew ? "new" : "returning")],
  itemName: ["Item name", "Ecommerce", param("item_name")],
};
/** What is counted: the title, the category, the type, and how. */
const METRICS = {
  activeUsers: ["Active users", "User", "TYPE_INTEGER", people],
  newUsers: ["New users", "User", "TYPE_INTEGER", (events) => people(events.filter(({ isNew }) => isNew))],
  sessions: ["Sessions", "Session", "TYPE_INTEGER", (events) => sessions(events).size],
  engagedSessions: ["Engaged sessions", "Session", "TYPE_INTEGER", (events) => engaged(events).size],
  engagementRate: ["Engagement rate", "Session", "TYPE_FLOAT", (events) => share(engaged(events).size, sessions(events).size)],
  averageSessionDuration: ["Average session duration", "Session", "TYPE_SECONDS", (events) => share(sum(events, "engagement_time_msec") / 1000, sessions(events).size)],
  screenPageViews: ["Views", "Page / screen", "TYPE_INTEGER", (events) => named(events, "page_view").length],
  eventCount: ["Event count", "Event", "TYPE_INTEGER", (events) => events.length],
  keyEvents: ["Key events", "Event", "TYPE_FLOAT", (events, { keys }) => keys.reduce((all, { eventName, countingMethod }) => {
    const found = named(events, eventName);
    return all + (countingMethod === "ONCE_PER_SESSION" ? sessions(found).size : found.length);
  }, 0)],
  totalRevenue: ["Total revenue", "Revenue", "TYPE_CURRENCY", (events) => sum(named(events, "purchase"), "value")],
  itemsViewed: ["Items viewed", "Ecommerce", "TYPE_INTEGER", (events) => named(events, "view_item").length],
};

/** What a property can be asked for, its custom definitions included. */
export function fieldsOf(property) {
  const custom = ({ scope, parameterName }) => `custom${scope[0]}${scope.slice(1).toLowerCase()}:${parameterName}`;
  const dimensions = { ...DIMENSIONS };
  const metrics = { ...METRICS };
  for (const one of property.customDimensions.values()) dimensions[custom(one)] = [one.displayName, "Custom", param(one.parameterName), true];
  for (const one of property.customMetrics.values()) metrics[custom(one)] = [one.displayName, "Custom", "TYPE_FLOAT", (events) => sum(events, one.parameterName), true];
  return { dimensions, metrics };
}

export function metadata(property) {
  const { dimensions, metrics } = fieldsOf(property);
  const told = ([apiName, [uiName, category]], more) => ({ apiName, uiName, category, description: `${uiName}, as it is counted.`, ...more });
  return {
    name: `${property.name}/metadata`,
    dimensions: Object.entries(dimensions).map((one) => told(one, { customDefinition: one[1][3] === true })),
    metrics: Object.entries(metrics).map((one) => told(one, { type: one[1][2], customDefinition: one[1][4] === true })),
  };
}

/** Items go with items only. */
const ofItems = (name) => name.startsWith("item");
export function compatibility(property, { dimensions = [], metrics = [] }) {
  const all = metadata(property);
  const items = [...dimensions, ...metrics].some(({ name }) => ofItems(name));
  const judged = (kind, fields) => fields.map((field) => ({ [kind]: field, compatibility: ofItems(field.apiName) === items ? "COMPATIBLE" : "INCOMPATIBLE" }));
  return { dimensionCompatibilities: judged("dimensionMetadata", all.dimensions), metricCompatibilities: judged("metricMetadata", all.metrics) };
}

export class Wrong extends Error {}

/** The events of these days, with what is known of their sessions and people. */
function eventsOf(property, ranges) {
  const inTime = ranges.map(({ startDate, endDate }) => [startDate, endDate].map((text) => property.dayOf(text)));
  return known(property).filter((event) => inTime.some(([from, to]) => from <= event.day && event.day <= to));
}

function known(property) {
  const [first, seen] = [new Map(), new Map()];
  const inOrder = property.events.toSorted((one, other) => one.at - other.at);
  return inOrder.map((event) => {
    if (event.session && !first.has(event.session)) first.set(event.session, event);
    const start = event.session ?? event.at;
    if (!seen.has(event.user)) seen.set(event.user, start);
    return { ...event, first: first.get(event.session) ?? event, isNew: seen.get(event.user) === start };
  });
}

/** A report on events, by name of what is asked. */
function table(property, events, asked) {
  const fields = fieldsOf(property);
  const [dimensions, metrics] = ["dimensions", "metrics"].map((kind) => (asked[kind] ?? []).map(({ name }) => {
    if (!fields[kind][name]) throw new Wrong(`Field ${name} is not a valid ${kind.slice(0, -1)}. For a list of valid dimensions and metrics, see https://developers.google.com/analytics/devguides/reporting/data/v1/api-schema`);
    return name;
  }));
  if (new Set([...dimensions, ...metrics].map(ofItems)).size > 1) throw new Wrong("The request's dimensions & metrics are incompatible. Please remove some to make the request compatible.");
  const tell = (name, event) => String(fields.dimensions[name][2](event));
  const kept = events.filter((event) => !asked.dimensionFilter || holds(asked.dimensionFilter, (name) => tell(name, event)));
  const groups = Map.groupBy(kept, (event) => JSON.stringify(dimensions.map((name) => tell(name, event))));
  const context = { keys: [...property.keyEvents.values()] };
  let rows = [...groups].map(([key, of]) => ({ values: JSON.parse(key), numbers: metrics.map((name) => fields.metrics[name][3](of, context)) }));
  const of = (row, name) => (dimensions.includes(name) ? row.values[dimensions.indexOf(name)] : row.numbers[metrics.indexOf(name)]);
  if (asked.metricFilter) rows = rows.filter((row) => holds(asked.metricFilter, (name) => of(row, name)));
  for (const { metric, dimension, desc } of (asked.orderBys ?? []).toReversed()) {
    const [name, way] = [metric?.metricName ?? dimension.dimensionName, desc ? -1 : 1];
    rows.sort((one, other) => way * (of(one, name) < of(other, name) ? -1 : of(one, name) > of(other, name) ? 1 : 0));
  }
  const from = Number(asked.offset ?? 0);
  return {
    dimensionHeaders: dimensions.map((name) => ({ name })),
    metricHeaders: metrics.map((name) => ({ name, type: fields.metrics[name][2] })),
    rows: rows.slice(from, from + Number(asked.limit ?? 10_000)).map(cells),
    rowCount: rows.length,
    metadata: { currencyCode: property.currencyCode, timeZone: property.timeZone },
  };
}

const cells = ({ values, numbers }) => ({ dimensionValues: values.map((value) => ({ value })), metricValues: numbers.map((number) => ({ value: String(number) })) });

/** Whether a filter holds of what `tell` says of a field. */
function holds(filter, tell) {
  if (filter.andGroup) return filter.andGroup.expressions.every((inner) => holds(inner, tell));
  if (filter.orGroup) return filter.orGroup.expressions.some((inner) => holds(inner, tell));
  if (filter.notExpression) return !holds(filter.notExpression, tell);
  const { fieldName, stringFilter, inListFilter, numericFilter } = filter.filter;
  const told = tell(fieldName);
  if (stringFilter) return fits(stringFilter, told);
  if (inListFilter) return inListFilter.values.some((value) => fits({ matchType: "EXACT", value }, told));
  if (!numericFilter) return ["", "(not set)"].includes(told);
  const wanted = Number(numericFilter.value.doubleValue ?? numericFilter.value.int64Value);
  return { EQUAL: told === wanted, LESS_THAN: told < wanted, LESS_THAN_OR_EQUAL: told <= wanted, GREATER_THAN: told > wanted, GREATER_THAN_OR_EQUAL: told >= wanted }[numericFilter.operation];
}

function fits({ matchType, value }, told) {
  const [text, wanted] = [told.toLowerCase(), value.toLowerCase()];
  return { EXACT: text === wanted, CONTAINS: text.includes(wanted), BEGINS_WITH: text.startsWith(wanted), ENDS_WITH: text.endsWith(wanted), PARTIAL_REGEXP: matchType === "PARTIAL_REGEXP" && new RegExp(value, "i").test(told) }[matchType];
}

export const report = (property, asked) => table(property, eventsOf(property, asked.dateRanges), asked);

export function realtime(property, asked) {
  const minutes = asked.minuteRanges?.[0]?.startMinutesAgo ?? 29;
  return table(property, known(property).filter(({ at }) => Date.now() - at < (minutes + 1) * 60_000), asked);
}

/** How many people go from step to step. */
export function funnel(property, asked) {
  const { dimensions } = fieldsOf(property);
  const { steps, isOpenFunnel } = asked.funnel;
  const by = asked.funnelBreakdown?.breakdownDimension.name;
  if (by && !dimensions[by]) throw new Wrong(`Field ${by} is not a valid dimension.`);
  const told = (name, event) => String(dimensions[name][2](event));
  const everybody = Map.groupBy(eventsOf(property, asked.dateRanges), ({ user }) => user);
  const reached = steps.map(() => []);
  for (const events of everybody.values()) {
    for (let enter = 0; enter < (isOpenFunnel ? steps.length : 1); enter += 1) {
      let at = -1;
      for (let step = enter; step < steps.length; step += 1) {
        const next = events.findIndex((event, place) => place > at && matches(steps[step].filterExpression, event, told) && follows(steps[step], events[at], event, place - at));
        if (next < 0) break;
        at = next;
        if (!reached[step].some(({ user }) => user === events[at].user)) reached[step].push(events[at]);
      }
    }
  }
  const names = steps.map(({ name }, at) => `${at + 1}. ${name}`);
  const groups = by ? ["RESERVED_TOTAL", ...new Set(reached.flat().map((event) => told(by, event)))] : [undefined];
  const rows = names.flatMap((name, step) => groups.map((group) => {
    const count = (at) => (reached[at] ?? []).filter((event) => [undefined, "RESERVED_TOTAL", told(by ?? "eventName", event)].includes(group)).length;
    const [here, there] = [count(step), step + 1 < steps.length ? count(step + 1) : 0];
    const left = step + 1 < steps.length ? here - there : 0;
    return cells({ values: by ? [name, group] : [name], numbers: [here, share(there, here), left, share(left, here)] });
  }));
  const metrics = { activeUsers: "TYPE_INTEGER", funnelStepCompletionRate: "TYPE_FLOAT", funnelStepAbandonments: "TYPE_INTEGER", funnelStepAbandonmentRate: "TYPE_FLOAT" };
  return { funnelTable: {
    dimensionHeaders: ["funnelStepName", ...(by ? [by] : [])].map((name) => ({ name })),
    metricHeaders: Object.entries(metrics).map(([name, type]) => ({ name, type })),
    rows, metadata: {},
  } };
}

function matches(filter, event, told) {
  if (filter.andGroup) return filter.andGroup.expressions.every((inner) => matches(inner, event, told));
  if (filter.funnelEventFilter) return filter.funnelEventFilter.eventName === event.name;
  const { fieldName, stringFilter } = filter.funnelFieldFilter;
  return fits(stringFilter, told(fieldName, event));
}

function follows({ isDirectlyFollowedBy, withinDurationFromPriorStep }, before, event, distance) {
  if (!before) return true;
  if (isDirectlyFollowedBy && distance !== 1) return false;
  return !withinDurationFromPriorStep || event.at - before.at <= 1000 * parseInt(withinDurationFromPriorStep, 10);
}
