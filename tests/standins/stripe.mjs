// Stripe in test mode, as far as a loopback can be it: an emulator of its prices and checkout, and another, localstripe, of
// products, customers, payments, subscriptions, coupons and payouts. What both lack is kept here. What Stripe demands of every
// request, and they do not, is demanded too.
import { randomUUID } from "node:crypto";
import { routed, serve } from "./front.mjs";
import { everything, local } from "./localstripe.mjs";

const token = `rk_${"test"}_of_nobody_0123456789`;
/** What the two do not keep of their objects, by their ids. */
const more = new Map();
/** What only this file keeps, by kind. */
const kept = new Map();
/** The answers to requests that changed something, by their idempotency keys. */
const answered = new Map();

const now = () => Math.floor(Date.now() / 1000);
const id = (prefix) => `${prefix}_${randomUUID().replaceAll("-", "").slice(0, 24)}`;
const all = (kind) => kept.get(kind) ?? kept.set(kind, []).get(kind);
const ok = (body) => ({ status: 200, body });
const refusal = (code, message) => ({ error: { type: "invalid_request_error", code, message } });
const refuse = (status, code, message) => ({ status, body: refusal(code, message) });
const missing = (what) => refuse(404, "resource_missing", `No such object: '${what}'`);
const complete = (object) => ({ ...object, ...more.get(object.id) });
const listed = (data) => ok({ object: "list", url: "/", has_more: false, data });

/** A form as nested JSON, lists as lists: `items[0][price]`. */
function form({ body }) {
  const root = {};
  for (const [name, value] of new URLSearchParams(body.toString())) {
    const keys = name.split(/[[\]]+/).filter(Boolean);
    const last = keys.pop();
    keys.reduce((place, key) => (place[key] ??= {}), root)[last] = value;
  }
  const lists = (value) => {
    if (typeof value !== "object") return value;
    const entries = Object.entries(value).map(([name, inner]) => [name, lists(inner)]);
    return entries.length && entries.every(([name], at) => name === String(at)) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries);
  };
  return lists(root);
}

const price = async (asked, of) => {
  const { status, body } = await asked.emulated({ method: "GET", path: `/v1/prices/${of}` });
  return status === 200 ? complete(body) : undefined;
};

/** What localstripe says to a request as it was made. */
const asIs = async (asked) => {
  const { status, body } = await local(asked, asked.method, asked.path, asked.method === "GET" ? undefined : form(asked));
  return { status, body: status === 200 ? complete(body) : body };
};

/** Has localstripe do what it knows of this; the rest is kept here. */
const partly = (known) => async (asked, wanted = form(asked)) => {
  const [taken, left] = [true, false].map((taken) => Object.fromEntries(Object.entries(wanted).filter(([name]) => known.includes(name) === taken)));
  const { status, body } = await local(asked, asked.method, asked.path, taken);
  if (status !== 200) return { status, body };
  more.set(body.id, { ...more.get(body.id), ...left });
  return ok(complete(body));
};

/** A page of what localstripe has of a kind, and fits. */
const some = (path, fits = () => true) => async (asked) => {
  const { query } = asked;
  const told = Object.entries({ gte: (at, limit) => at >= limit, gt: (at, limit) => at > limit, lte: (at, limit) => at <= limit, lt: (at, limit) => at < limit });
  const timely = ({ created }) => told.every(([name, holds]) => !query.has(`created[${name}]`) || holds(created, Number(query.get(`created[${name}]`))));
  const all = (await everything(asked, path)).map(complete).filter((one) => timely(one) && fits(one, query));
  const from = all.findIndex((one) => one.id === query.get("starting_after")) + 1;
  const to = from + Number(query.get("limit") ?? 10);
  return ok({ object: "list", url: asked.path, has_more: all.length > to, data: all.slice(from, to) });
};
/** What has these fields as the query says. */
const same = (...names) => (one, query) => names.every((name) => !query.has(name) || ["all", String(one[name])].includes(query.get(name)));

const find = (kind, handler) => async (asked, of) => {
  const found = all(kind).find((one) => one.id === of);
  return found ? handler(asked, found) : missing(of);
};
const remove = (kind) => find(kind, (_, found) => {
  kept.set(kind, all(kind).filter((one) => one !== found));
  return ok({ id: found.id, deleted: true });
});
const keptOnes = (kind, names = []) => ({ query }) => listed(all(kind).filter((one) => same(...names)(one, query)));
const keep = (kind, one) => (all(kind).unshift(one), one);

/** localstripe has plans for what recurs, and no prices: the same under the same id. */
async function planned(asked, of) {
  const found = await price(asked, of);
  if (!found?.recurring) return undefined;
  const { interval, interval_count } = found.recurring;
  const { unit_amount: amount, currency, product } = found;
  if ((await local(asked, "GET", `/v1/plans/${of}`)).status === 404) {
    await local(asked, "POST", "/v1/plans", { id: of, amount, currency, interval, interval_count, product });
  }
  return of;
}

/** A subscription of localstripe with prices in place of its plans. */
async function priced(asked, told) {
  if (told.status !== 200) return told;
  const { items, ...rest } = told.body;
  const data = await Promise.all(items.data.map(async ({ plan, ...item }) => ({ ...item, price: await price(asked, plan.id) })));
  asked.by("localstripe");
  return ok({ ...rest, items: { object: "list", has_more: false, data } });
}

/** The items of a subscription as a change leaves them, in the words of localstripe. */
async function changed(asked, found, wanted) {
  const [{ plan, quantity }] = found.items.data;
  return Promise.all(wanted.map(async (one) => ({ plan: (one.price && (await planned(asked, one.price))) ?? plan.id, quantity: one.quantity ?? quantity })));
}

const invoice = (facts) => keep("invoices", {
  id: id("in"), object: "invoice", number: null, status: "draft", total: 0, amount_due: 0, amount_paid: 0, amount_remaining: 0,
  collection_method: "send_invoice", created: now(), livemode: false, ...facts,
});
function owe(one, amount) {
  for (const name of ["total", "amount_due", "amount_remaining"]) one[name] += amount;
}
const open = (one) => Object.assign(one, { status: "open", number: `T-${all("invoices").length}`, hosted_invoice_url: `https://invoice.stripe.example/${one.id}` });
const customer = async (asked, of) => {
  const { status, body } = await local(asked, "GET", `/v1/customers/${of}`);
  asked.doubled();
  return status === 200 ? body : undefined;
};

const answer = routed({
  "GET /v1/account": () => ok({ id: "acct_1", object: "account", business_profile: { name: "Acme" }, charges_enabled: true, payouts_enabled: true, details_submitted: true }),
  async "GET /v1/balance"(asked) {
    const moved = await everything(asked, "/v1/balance_transactions");
    return ok({ livemode: false, available: [{ amount: 0, currency: "eur" }], pending: [{ amount: moved.reduce((sum, { net }) => sum + net, 0), currency: "eur" }] });
  },
  "GET /v1/balance_transactions": some("/v1/balance_transactions", same("currency")),
  // The emulator knows a product for its prices; all that is told of it, localstripe tells.
  async "POST /v1/products"(asked) {
    const { default_price_data: terms, ...wanted } = form(asked);
    const { status, body } = await asked.emulated();
    if (status !== 200) return { status, body };
    more.set(body.id, { updated: now(), default_price: null });
    const made = await sold(asked, { ...wanted, id: body.id });
    if (!terms) return made;
    const asks = new URLSearchParams({ product: body.id, currency: terms.currency, unit_amount: terms.unit_amount });
    const { body: first } = await asked.emulated({ path: "/v1/prices", body: asks.toString() });
    more.set(first.id, { recurring: recurring(terms) });
    more.get(body.id).default_price = first.id;
    return ok({ ...complete(made.body), default_price: complete(first) });
  },
  "GET /v1/products": some("/v1/products", same("active")),
  "GET /v1/products/:id": asIs,
  "POST /v1/products/:id": async (asked) => sold(asked, { ...form(asked), updated: now() }),
  async "POST /v1/prices"(asked) {
    const wanted = form(asked);
    const { status, body } = await asked.emulated();
    if (status !== 200) return { status, body };
    more.set(body.id, { recurring: recurring(wanted), nickname: wanted.nickname ?? null, lookup_key: wanted.lookup_key ?? null });
    return ok(complete(body));
  },
  async "GET /v1/prices"(asked) {
    const { status, body } = await asked.emulated({ path: `/v1/prices?${new URLSearchParams([...asked.query].filter(([name]) => name !== "active"))}` });
    return { status, body: status === 200 ? { ...body, data: body.data.map(complete).filter((one) => same("active")(one, asked.query)) } : body };
  },
  "POST /v1/customers": asIs,
  "GET /v1/customers": some("/v1/customers", same("email")),
  async "GET /v1/customers/search"(asked) {
    const part = /name~"([^"]*)"/.exec(asked.query.get("query"))[1].toLowerCase();
    const fits = ({ name, email }) => `${name}\n${email}`.toLowerCase().includes(part);
    const { body } = await some("/v1/customers", fits)({ ...asked, query: new URLSearchParams({ limit: "100" }) });
    return ok({ object: "search_result", url: asked.path, has_more: false, next_page: null, data: body.data });
  },
  "GET /v1/customers/:id": asIs,
  "POST /v1/customers/:id": asIs,
  "DELETE /v1/customers/:id": asIs,
  "POST /v1/payment_intents": asIs,
  "POST /v1/payment_intents/:id/confirm": asIs,
  "GET /v1/payment_intents": some("/v1/payment_intents", same("customer")),
  "GET /v1/payment_intents/:id": asIs,
  // The emulator has other customers.
  async "POST /v1/checkout/sessions"(asked) {
    const { customer: of } = form(asked);
    const asks = new URLSearchParams(asked.body.toString());
    asks.delete("customer");
    if (of && !(await customer(asked, of))) return missing(of);
    const { status, body } = await asked.emulated({ body: asks.toString() });
    if (status !== 200) return { status, body };
    more.set(body.id, { customer: of ?? null, expires_at: body.created + 86_400 });
    return ok(complete(body));
  },
  async "POST /v1/refunds"(asked) {
    const { payment_intent: of, amount, ...rest } = form(asked);
    const paid = await local(asked, "GET", `/v1/payment_intents/${of}`);
    if (paid.status !== 200) return paid;
    const before = paid.body.status === "succeeded" ? await everything(asked, `/v1/refunds?payment_intent=${of}`) : [];
    const left = paid.body.amount_received - before.reduce((sum, one) => sum + one.amount, 0);
    const wanted = Number(amount ?? left);
    if (wanted > left || wanted === 0) return refuse(400, "charge_already_refunded", "There is not so much to refund.");
    return partly(["payment_intent", "amount", "metadata"])(asked, { ...rest, payment_intent: of, amount: wanted });
  },
  "POST /v1/coupons": (asked) =>
    partly(["id", "duration", "amount_off", "percent_off", "currency", "metadata", "duration_in_months"])(asked, { id: id("co"), ...form(asked) }),
  "GET /v1/coupons": some("/v1/coupons"),
  "GET /v1/coupons/:id": asIs,
  "DELETE /v1/coupons/:id": asIs,
  async "POST /v1/payment_links"(asked) {
    const parts = await Promise.all(form(asked).line_items.map(({ price: of }) => price(asked, of)));
    asked.doubled();
    if (parts.includes(undefined)) return missing("price");
    const link = id("plink");
    return ok(keep("payment_links", { id: link, object: "payment_link", url: `https://buy.stripe.example/${link}`, active: true, livemode: false, created: now(), line_items: parts }));
  },
  async "POST /v1/billing_portal/sessions"(asked) {
    const { customer: of } = form(asked);
    const known = await customer(asked, of);
    return known ? ok({ id: id("bps"), object: "billing_portal.session", customer: of, url: `https://billing.stripe.example/${of}`, livemode: false }) : missing(of);
  },
  "POST /v1/webhook_endpoints"(asked) {
    const { url, enabled_events } = form(asked);
    return ok(keep("webhook_endpoints", { id: id("we"), object: "webhook_endpoint", url, status: "enabled", enabled_events, secret: "plainly the words of a test", livemode: false }));
  },
  "DELETE /v1/webhook_endpoints/:id": remove("webhook_endpoints"),
  // It charges saved cards, and knows no other way to collect.
  async "POST /v1/subscriptions"(asked) {
    const { items, customer: of, payment_behavior, metadata, trial_period_days, expand } = form(asked);
    const plans = await Promise.all(items.map(async ({ price: named, ...item }) => ({ ...item, plan: await planned(asked, named) })));
    if (plans.some(({ plan }) => !plan)) return missing("price");
    return priced(asked, await local(asked, "POST", "/v1/subscriptions", { items: plans, customer: of, payment_behavior, metadata, trial_period_days, expand }));
  },
  async "GET /v1/subscriptions"(asked) {
    const told = await some("/v1/subscriptions?status=all", same("customer", "status"))(asked);
    told.body.data = await Promise.all(told.body.data.map(async (one) => (await priced(asked, ok(one))).body));
    return told;
  },
  "GET /v1/subscriptions/:id": async (asked) => priced(asked, await local(asked, "GET", asked.path)),
  async "POST /v1/subscriptions/:id"(asked) {
    const found = await local(asked, "GET", asked.path);
    if (found.status !== 200) return found;
    const { items, proration_date, cancel_at_period_end } = form(asked);
    const told = { proration_date, cancel_at_period_end, items: items && (await changed(asked, found.body, items)) };
    return priced(asked, await local(asked, "POST", asked.path, told));
  },
  "DELETE /v1/subscriptions/:id": async (asked) => priced(asked, await local(asked, "DELETE", asked.path)),
  async "POST /v1/invoices/create_preview"(asked) {
    const { subscription: of, subscription_details: terms, customer: by } = form(asked);
    if (!of) {
      // Of a new one, which localstripe does not compute: no coupon takes anything off here.
      const prices = await Promise.all(terms.items.map((item) => price(asked, item.price)));
      if (prices.includes(undefined)) return missing("price");
      if (!(await customer(asked, by))) return missing(by);
      const due = prices.reduce((sum, one, n) => sum + one.unit_amount * Number(terms.items[n].quantity), 0);
      return ok({ object: "invoice", amount_due: due, currency: prices[0].currency, lines: { object: "list", has_more: false, data: [] } });
    }
    const found = await local(asked, "GET", `/v1/subscriptions/${of}`);
    if (found.status !== 200) return found;
    const at = Number(terms.proration_date ?? now());
    const details = { items: await changed(asked, found.body, terms.items), proration_date: at };
    const { status, body } = await local(asked, "POST", asked.path, { customer: found.body.customer, subscription: of, subscription_details: details });
    if (status !== 200) return { status, body };
    // The new period begins with the change: all its lines are of the difference.
    const lines = body.lines.data.map(({ description, amount }) => ({ description, amount, parent: { subscription_item_details: { proration: true } } }));
    return ok({ ...body, lines: { object: "list", has_more: false, data: lines }, parent: { subscription_details: { subscription_proration_date: at } } });
  },
  // localstripe makes invoices for subscriptions alone: those that a business writes are kept here.
  async "POST /v1/invoices"(asked) {
    const { customer: of, currency, collection_method, days_until_due } = form(asked);
    const known = await customer(asked, of);
    return known ? ok(invoice({ customer: of, currency, collection_method, customer_email: known.email, due_date: now() + 86_400 * Number(days_until_due) })) : missing(of);
  },
  async "POST /v1/invoiceitems"(asked) {
    const { invoice: of, pricing, unit_amount_decimal: amount, quantity = "1" } = form(asked);
    const draft = all("invoices").find((one) => one.id === of && one.status === "draft");
    const named = pricing && (await price(asked, pricing.price));
    asked.doubled();
    if (!draft || (pricing && !named)) return missing(draft ? pricing.price : of);
    owe(draft, Number(quantity) * (named?.unit_amount ?? Number(amount)));
    return ok({ id: id("ii"), object: "invoiceitem" });
  },
  async "GET /v1/invoices"(asked) {
    const fits = same("customer", "status", "subscription");
    const told = await some("/v1/invoices", fits)(asked);
    const ours = all("invoices").filter((one) => fits(one, asked.query));
    if (ours.length) asked.doubled();
    told.body.data.unshift(...ours);
    return told;
  },
  "GET /v1/invoices/:id": (asked, of) => (all("invoices").some((one) => one.id === of) ? find("invoices", (_, found) => ok(found))(asked, of) : asIs(asked)),
  "POST /v1/invoices/:id/send": find("invoices", (_, found) => ok(open(found))),
  "POST /v1/invoices/:id/void": find("invoices", (_, found) =>
    found.status === "open" ? ok(Object.assign(found, { status: "void", amount_remaining: 0 })) : refuse(400, "invoice_not_editable", "Only an open invoice can be voided.")),
  "DELETE /v1/invoices/:id": remove("invoices"),
  "GET /v1/disputes": keptOnes("disputes", ["payment_intent"]),
  "GET /v1/payouts": some("/v1/payouts", same("status")),
}, (asked) => asked.emulated());

const recurring = ({ recurring: told }) => told ? { interval: told.interval, interval_count: Number(told.interval_count ?? 1), usage_type: "licensed" } : null;
const sold = partly(["id", "name", "description", "active", "url", "statement_descriptor", "metadata"]);

/** What Stripe demands of every request; the same request again is not done again. */
async function demanding(asked) {
  if (asked.headers["stripe-version"] !== "2026-10-28.endive") return refuse(400, "version", "Stripe-Version is not the pinned one.");
  if (asked.method !== "POST" || asked.path.endsWith("/create_preview")) return answer(asked);
  const key = asked.headers["idempotency-key"];
  if (!key) return refuse(400, "idempotency", "A POST has no Idempotency-Key.");
  const said = asked.what + asked.body;
  const before = answered.get(key);
  if (before) return before.said === said ? before.told : refuse(400, "idempotency_error", "The key was used for another request.");
  const told = await answer(asked);
  if (told.status < 500) answered.set(key, { said, told });
  return told;
}

await local({ by: () => {} }, "POST", "/v1/payouts", { status: "paid", amount: 4200, currency: "eur" });
keep("disputes", { id: id("du"), object: "dispute", status: "needs_response", reason: "fraudulent", amount: 4200, currency: "eur", created: now(), livemode: false,
  payment_intent: "pi_1", evidence_details: { due_by: now() + 86_400, past_due: false, submission_count: 0 }, is_charge_refundable: true });
await serve({ variable: "RESTO_STANDIN_STRIPE_URL", service: "stripe", token, seed: {}, answer: demanding, refusal });
