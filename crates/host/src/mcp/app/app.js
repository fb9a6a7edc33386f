// Shows the result of one tool inside an MCP client, as the view that its action declares says; that of run_action as the
// view of the action says which it ran. It speaks with the client alone, by messages, as
// https://github.com/modelcontextprotocol/ext-apps has it. What comes from a service becomes text, never markup.
"use strict";
/** Of run_action, the views of all actions, by name; what it runs is told by its arguments. */
let { title, parts, views } = JSON.parse(document.getElementById("view").textContent);
const main = document.querySelector("main");
/** What may be drawn of a list; the text beside this tells the rest. */
const MOST_ROWS = 200, MOST_POINTS = 400, MOST_LINES = 4, MOST_TEXT = 300;

// Speaking with the client: JSON-RPC over postMessage.

const waiting = new Map();
let asked = 0;
const send = (message) => parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
const ask = (method, params) => new Promise((resolve, reject) => {
  waiting.set(++asked, { resolve, reject });
  send({ id: asked, method, params });
});
const heard = new Map(Object.entries({
  "ping": () => ({}),
  "ui/resource-teardown": () => ({}),
  "ui/notifications/tool-input": ({ arguments: given }) => { if (views) ({ title, parts } = own(views, given?.action) ?? {}); show(); },
  "ui/notifications/tool-result": (told) => { result = told; show(); },
  "ui/notifications/tool-cancelled": () => { result = { content: [{ type: "text", text: "The call was cancelled." }] }; show(); },
  "ui/notifications/host-context-changed": (changed) => { dress(changed); show(); },
}));
addEventListener("message", ({ source, data }) => {
  if (source !== parent || data?.jsonrpc !== "2.0") return;
  if (data.method === undefined) {
    const one = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.error) one?.reject(data.error);
    else one?.resolve(data.result);
    return;
  }
  const answer = heard.get(data.method);
  if (data.id === undefined) answer?.(data.params ?? {});
  else if (answer) send({ id: data.id, result: answer(data.params ?? {}) });
  else send({ id: data.id, error: { code: -32601, message: "This view does not know that." } });
});

/** What the client is and how it looks. */
const host = {};
let result, canOpen = false;
function dress(changed) {
  Object.assign(host, changed);
  if (host.theme === "light" || host.theme === "dark") document.documentElement.style.colorScheme = host.theme;
  for (const [name, value] of Object.entries(changed.styles?.variables ?? {})) {
    if (name.startsWith("--") && typeof value === "string") document.documentElement.style.setProperty(name, value);
  }
}

// Words and numbers.

/** Whether the browser takes this language or time zone; what it does not take is as if it was not told. */
const taken = (option) => { try { new Intl.DateTimeFormat(option.locale, option); return option; } catch { return {}; } };
const number = (value, options) => new Intl.NumberFormat(taken({ locale: host.locale }).locale, options).format(value);
const words = (name) => {
  const text = name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replace(/[_:]+/g, " ").toLowerCase().trim();
  return text.charAt(0).toUpperCase() + text.slice(1);
};
const date = (value, options) => {
  const { locale } = taken({ locale: host.locale });
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium", ...options }).format(value);
};
const isCurrency = (word) => /^[A-Za-z]{3}$/.test(word ?? "");
// Stripe counts these in hundredths, though they have none.
const PLACES = { ISK: 2, UGX: 2 };
function amount(minor, currency, more) {
  const style = { style: "currency", currency, ...more };
  const places = PLACES[currency.toUpperCase()] ?? new Intl.NumberFormat("en", style).resolvedOptions().maximumFractionDigits;
  return number(minor / 10 ** places, style);
}

/** A value as a person reads it; with `more` for numbers. */
function told(value, column, row, more) {
  if (value === undefined || value === null) return "–";
  if (typeof value === "number") {
    if (column.isAmount && isCurrency(row.currency)) return amount(value, row.currency, more);
    if (isCurrency(column.unit)) return number(value, { style: "currency", currency: column.unit, ...more });
    if (column.unit === "seconds") return value < 60 ? `${number(value, { maximumFractionDigits: 1 })} s` : `${number(Math.floor(value / 60))} min ${number(Math.round(value % 60))} s`;
    if (/rate$/i.test(column.name) && Math.abs(value) <= 1) return number(value, { style: "percent", maximumFractionDigits: 1 });
    return number(value, { maximumFractionDigits: 2 });
  }
  if (typeof value === "boolean") return value ? "Yes" : "No";
  if (Array.isArray(value)) return value.every((one) => typeof one !== "object") ? value.join(", ") : number(value.length);
  if (typeof value === "object") return number(Object.keys(value).length);
  const text = String(value);
  const day = /^(\d{4})-?(\d{2})-?(\d{2})$/.exec(text);
  if (day && (text.includes("-") || /date/i.test(column.name))) {
    const parsed = new Date(Date.UTC(day[1], day[2] - 1, day[3]));
    if (!Number.isNaN(parsed.valueOf())) return date(parsed, { timeZone: "UTC" });
  }
  if (/^\d{4}-\d{2}-\d{2}T[\d:.]+(Z|[+-]\d{2}:?\d{2})$/.test(text)) {
    const parsed = new Date(text);
    if (!Number.isNaN(parsed.valueOf())) return date(parsed, { timeStyle: "short", ...taken({ timeZone: host.timeZone }) });
  }
  return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}…` : text;
}

// What the view leads to.

const own = (value, name) => (typeof value === "object" && value !== null && Object.hasOwn(value, name) ? value[name] : undefined);
const at = (value, path) => path.split(".").filter(Boolean).reduce(own, value);
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
function rowsOf(value, path) {
  const found = at(value, path);
  return (Array.isArray(found) ? found : [found]).filter(isObject);
}
/** The columns of some rows: an object is as many as it has fields. */
function columnsOf(rows, paths, amounts, units) {
  return paths.flatMap((path) => {
    const values = rows.map((row) => at(row, path));
    const names = [...new Set(values.filter(isObject).flatMap(Object.keys))];
    const all = names.length ? names.map((name) => ({ name, get: (row) => own(at(row, path), name) })) : [{ name: path.split(".").at(-1), get: (row) => at(row, path) }];
    return all.filter(({ get }) => rows.some((row) => (get(row) ?? null) !== null)).map(({ name, get }) => ({
      name, path, get, full: names.length ? `${path}.${name}` : path, isAmount: amounts.includes(path), label: words(name),
      unit: Array.isArray(units) ? units.find((one) => one?.metric === name)?.unit : undefined,
      change: (row) => own(own(row, "change_percent"), name),
      isLong: rows.some((row) => String(get(row)).length > 30),
      isNumber: rows.every((row) => ["number", "undefined"].includes(typeof (get(row) ?? undefined))),
    }));
  });
}
const isDrawn = (part, column) => column.isNumber && part.drawn.some((path) => path === column.path || path === column.full);

// Drawing.

/** An element with classes and content, which is text unless it is elements. */
function make(name, classes, ...content) {
  const element = document.createElement(name);
  if (classes) element.className = classes;
  element.append(...content);
  return element;
}
function draw(name, attributes, ...content) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  element.append(...content);
  return element;
}
function changed(column, row) {
  const percent = column.change(row);
  if (typeof percent !== "number") return [];
  return [make("span", "change", ` ${number(percent / 100, { style: "percent", maximumFractionDigits: 1, signDisplay: "exceptZero" })}`)];
}
const GOOD = /^(ready|promoted|active|succeeded|paid|complete|completed|success)$/i;
const BAD = /^(error|canceled|failed|failure|blocked|expired|frozen|needs_reauth|revocation_pending|past_due)$/i;
/** A cell's content: an address is a button that asks the client to open it, and shows where it leads. */
function cell(column, row) {
  const value = column.get(row), text = told(value, column, row);
  if (canOpen && typeof value === "string" && /^https:\/\/[^\s]+$/.test(value) && URL.canParse(value)) {
    const url = new URL(value), button = make("button", "", url.host + (url.pathname === "/" ? "" : url.pathname));
    button.addEventListener("click", () => ask("ui/open-link", { url: url.href }).catch(() => {}));
    return button;
  }
  const word = /^(status|state)$/.test(column.name) ? text.trim() : "";
  const shown = word ? text.replaceAll("_", " ") : text;
  return GOOD.test(word) ? make("span", "good", shown) : BAD.test(word) ? make("span", "bad", shown) : shown;
}

function scorecard(rows, columns) {
  return rows.slice(0, MOST_ROWS).map((row) => make("dl", "", ...columns.map((column) => {
    const value = make("dd", "", cell(column, row), ...changed(column, row));
    value.dir = "auto";
    return make("div", "", make("dt", "", column.label), value);
  })));
}

function table(part, rows, columns, name) {
  const most = new Map(columns.filter((column) => part.shape === "bar" && isDrawn(part, column)).map((column) => [column, Math.max(...rows.map((row) => Math.abs(column.get(row) ?? 0)), 0)]));
  const head = make("tr", "", ...columns.map((column) => {
    const th = make("th", column.isNumber ? "number" : "", column.label);
    th.scope = "col";
    return th;
  }));
  const body = rows.slice(0, MOST_ROWS).map((row) => make("tr", "", ...columns.map((column) => {
    const td = make("td", column.isNumber ? "number" : column.isLong ? "long" : "", cell(column, row), ...changed(column, row));
    td.dir = "auto";
    if (most.get(column)) {
      const value = column.get(row) ?? 0, bar = make("span", value < 0 ? "bar below" : "bar");
      bar.style.width = `${(100 * Math.abs(value)) / most.get(column)}%`;
      td.append(bar);
    }
    return td;
  })));
  const scroll = make("div", "scroll", make("table", "", make("thead", "", head), make("tbody", "", ...body)));
  // So that it can be scrolled with the keyboard.
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", name);
  const rest = rows.length - body.length;
  return [scroll, ...(rest > 0 ? [make("p", "quiet", `And ${number(rest)} more, which the text beside this tells.`)] : [])];
}

/** A step of 1, 2 or 5 by which at most four lines of a grid go over a range. */
function step(range) {
  const rough = range / 4 || 1, power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((times) => times * power >= rough);
}
const DASHES = ["", "7 4", "2 3", "9 3 2 3"];
function lines(rows, along, series, name) {
  const width = Math.min(Math.max(main.clientWidth, 260), 1000), height = 190;
  const points = [...rows].slice(0, MOST_POINTS).sort((one, other) => (String(along.get(one)) < String(along.get(other)) ? -1 : 1));
  const values = points.flatMap((row) => series.map((one) => one.get(row) ?? 0));
  const by = step(Math.max(...values, 0) - Math.min(...values, 0));
  const low = Math.floor(Math.min(...values, 0) / by) * by, high = Math.max(Math.ceil(Math.max(...values, 0) / by) * by, low + by);
  const scale = [];
  for (let value = low; value <= high + by / 2; value += by) scale.push(value);
  const labels = scale.map((value) => told(value, series[0], points[0], { trailingZeroDisplay: "stripIfInteger" }));
  const left = 10 + 7 * Math.max(...labels.map((label) => label.length)), right = width - 12, top = 10, bottom = height - 24;
  const x = (index) => left + ((right - left) * index) / Math.max(points.length - 1, 1);
  const y = (value) => bottom - ((bottom - top) * (value - low)) / (high - low);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${name}: ${series.map(({ label }) => label).join(", ")} along ${along.label}. The numbers follow in a table.` });
  for (const [index, value] of scale.entries()) {
    svg.append(draw("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }), draw("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, labels[index]));
  }
  const shown = width > 480 ? [0, Math.floor((points.length - 1) / 2), points.length - 1] : [0, points.length - 1];
  for (const index of new Set(shown)) {
    const anchor = index === 0 ? "start" : index === points.length - 1 ? "end" : "middle";
    svg.append(draw("text", { x: x(index), y: height - 6, "text-anchor": anchor }, told(along.get(points[index]), along, points[index])));
  }
  for (const [order, one] of series.entries()) {
    const path = points.map((row, index) => `${index ? "L" : "M"}${x(index).toFixed(1)} ${y(one.get(row) ?? 0).toFixed(1)}`).join("");
    const line = draw("g", { class: `s${order}` }, draw("path", { class: "series", d: path, "stroke-dasharray": DASHES[order] }));
    if (points.length <= 62) {
      for (const [index, row] of points.entries()) {
        const words = `${told(along.get(row), along, row)}: ${told(one.get(row), one, row)} ${one.label}`;
        line.append(draw("circle", { class: "dot", cx: x(index), cy: y(one.get(row) ?? 0), r: 3 }, draw("title", {}, words)));
      }
    }
    svg.append(line);
  }
  const legend = series.map((one, order) => make("li", "", draw("svg", { class: `s${order}`, viewBox: "0 0 26 8", "aria-hidden": "true" }, draw("path", { class: "series", d: "M0 4H26", "stroke-dasharray": DASHES[order] })), one.label));
  return [make("ul", "legend", ...legend), svg];
}

function chart(part, rows, columns, name) {
  const [along, ...rest] = columns, drawn = rest.filter((column) => isDrawn(part, column));
  if (rows.length < 2 || !drawn.length) return scorecard(rows, columns);
  // Numbers of different units have no scale in common.
  const units = Map.groupBy(drawn, (column) => (column.isAmount ? "amount" : column.unit ?? ""));
  const charts = [...units.values()].flatMap((series) => lines(rows, along, series.slice(0, MOST_LINES), name));
  return [...charts, make("details", "", make("summary", "", "Numbers"), ...table(part, rows, columns, name))];
}

/** The elements of a part. */
function section(part, whole, units) {
  if (part.shape === "notes") {
    return [at(whole, part.rows)].flat().filter((note) => typeof note === "string").map((note) => make("p", "quiet", note));
  }
  const rows = rowsOf(whole, part.rows);
  if (part.shape === "cards") {
    return rows.flatMap((card) => {
      const shape = ["scorecard", "line", "bar", "table"].includes(card.kind) ? card.kind : "table";
      return section({ ...part, shape, title: String(card.title ?? ""), rows: "rows", drawn: part.columns }, card, card.metrics);
    });
  }
  const heading = part.title ? [make("h2", "", part.title)] : [];
  if (!rows.length) return [...heading, make("p", "quiet", "Nothing.")];
  const name = part.title || title;
  // Money of different currencies is not added up, nor drawn on one scale.
  const groups = part.amounts.length ? Map.groupBy(rows, (row) => row.currency) : new Map([["", rows]]);
  return [...heading, ...[...groups].flatMap(([currency, some]) => {
    const columns = columnsOf(some, part.columns, part.amounts, units);
    if (!columns.length) return [make("p", "quiet", "Nothing.")];
    const of = groups.size > 1 ? `${name}, ${String(currency).toUpperCase()}` : name;
    const caption = groups.size > 1 && part.shape !== "scorecard" ? [make("p", "quiet", String(currency).toUpperCase())] : [];
    if (part.shape === "scorecard") return [...caption, ...scorecard(some, columns)];
    return [...caption, ...(part.shape === "line" ? chart(part, some, columns, of) : table(part, some, columns, of))];
  })];
}

/** The sentence of a result that has no data: what failed, or waits for a person. */
function sentence() {
  const error = own(own(result._meta, "dev.resto/error"), "message");
  const texts = [result.content ?? []].flat().filter((block) => block?.type === "text").map((block) => block.text);
  return String(error ?? (texts.join("\n") || "The result is empty."));
}

function show() {
  // Of most actions there is nothing to see but the text beside this.
  document.body.hidden = !parts;
  if (!parts) return;
  const heading = make("h1", "", title);
  if (!result) return main.replaceChildren(heading, make("p", "quiet", "Waiting for the result …"));
  const data = result.structuredContent;
  if (result.isError || !isObject(data)) {
    const words = make("p", "told", sentence());
    words.dir = "auto";
    return main.replaceChildren(heading, words);
  }
  const more = data.next_cursor ? [make("p", "quiet", "There are more; ask for the next page.")] : [];
  let shown;
  try {
    shown = parts.flatMap((part) => section(part, data, data.metrics));
  } catch {
    shown = [make("p", "told", "This cannot be drawn; the text beside it tells all.")];
  }
  main.replaceChildren(heading, ...shown, ...more);
}

const page = document.documentElement;
let width, height;
new ResizeObserver(() => {
  const before = width;
  width = Math.ceil(page.clientWidth);
  height = Math.ceil(document.body.getBoundingClientRect().height);
  if (before !== undefined && before !== width) show();
  send({ method: "ui/notifications/size-changed", params: { width, height } });
}).observe(document.body);

show();
ask("ui/initialize", {
  appInfo: { name: "resto", version: "1" }, appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] }, protocolVersion: "2026-01-26",
}).then(({ hostCapabilities, hostContext }) => {
  canOpen = hostCapabilities?.openLinks !== undefined;
  dress(hostContext ?? {});
  show();
  send({ method: "ui/notifications/initialized", params: {} });
}).catch(() => {
  result = { content: [{ type: "text", text: "The client does not show this; the text beside it tells all." }] };
  show();
});
