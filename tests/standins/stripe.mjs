// Stripe in test mode, as far as a loopback can be it: the emulator of its products, prices, customers, payments and checkout,
// completed with the fields that Stripe always has; what it lacks is kept here. What Stripe demands of every request, and the
// emulator does not, is demanded too.
import { randomUUID } from "node:crypto";
import { routed, serve } from "./front.mjs";

const token = `rk_${"test"}_of_nobody_0123456789`;
/** What the emulator does not keep of its objects, by their ids. */
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

const get = async (asked, path) => {
  const { status, body } = await asked.emulated({ method: "GET", path });
  return status === 200 ? complete(body) : undefined;
};

const create = (path, facts) => async (asked) => {
  const wanted = form(asked);
  const { status, body } = await asked.emulated({ path });
  if (status !== 200) return { status, body };
  more.set(body.id, facts(wanted, body));
  return ok(complete(body));
};

const list = (path, fits = () => true) => async (asked) => {
  const { status, body } = await asked.emulated({ path: `${path}?${without(asked.query, "active")}` });
  return { status, body: status === 200 ? { ...body, data: body.data.map(complete).filter((one) => fits(one, asked.query)) } : body };
};
const without = (query, name) => new URLSearchParams([...query].filter(([known]) => known !== name));
const active = (one, query) => !query.has("active") || String(one.active) === query.get("active");

/** Changes of what the emulator has, which it does not take. */
const overlay = (path) => async (asked, of) => {
  if (!(await get(asked, `${path}/${of}`))) return missing(of);
  asked.doubled();
  const { active: on, ...wanted } = form(asked);
  more.set(of, { ...more.get(of), ...wanted, ...(on && { active: on === "true" }), updated: now() });
  return ok(await get(asked, `${path}/${of}`).finally(asked.doubled));
};

const find = (kind, handler) => async (asked, of) => {
  const found = all(kind).find((one) => one.id === of);
  return found ? handler(asked, found) : missing(of);
};
const read = (kind) => find(kind, (_, found) => ok(found));
const remove = (kind) => find(kind, (_, found) => {
  kept.set(kind, all(kind).filter((one) => one !== found));
  return ok({ id: found.id, deleted: true });
});
const keptOnes = (kind, names = []) => ({ query }) =>
  listed(all(kind).filter((one) => names.every((name) => !query.has(name) || ["all", one[name]].includes(query.get(name)))));
const keep = (kind, one) => (all(kind).unshift(one), one);

async function items(asked, wanted) {
  const priced = [];
  for (const { price, quantity = "1", id: known } of wanted) {
    const found = await get(asked, `/v1/prices/${price}`);
    if (!found) return undefined;
    priced.push({ id: known ?? id("si"), price: found, quantity: Number(quantity), current_period_start: now(), current_period_end: now() + 2_592_000 });
  }
  return priced;
}
const total = (parts) => parts.reduce((sum, { price, quantity }) => sum + price.unit_amount * quantity, 0);

const invoice = (facts) => keep("invoices", {
  id: id("in"), object: "invoice", number: null, status: "draft", total: 0, amount_due: 0, amount_paid: 0, amount_remaining: 0,
  collection_method: "charge_automatically", due_date: null, created: now(), livemode: false, ...facts,
});
function owe(one, amount) {
  for (const name of ["total", "amount_due", "amount_remaining"]) one[name] += amount;
}
const open = (one) => Object.assign(one, { status: "open", number: `T-${all("invoices").length}`, hosted_invoice_url: `https://invoice.stripe.example/${one.id}` });

const payment = (found) => {
  const declined = found.metadata?.declined;
  return {
    ...found, amount_received: found.status === "succeeded" ? found.amount : 0, latest_charge: null,
    last_payment_error: declined ? { code: "card_declined", decline_code: declined, message: "Your card was declined." } : null,
  };
};

const answer = routed({
  "GET /v1/account": () => ok({ id: "acct_1", object: "account", business_profile: { name: "Acme" }, charges_enabled: true, payouts_enabled: true, details_submitted: true }),
  async "GET /v1/balance"(asked) {
    const moved = await movements(asked);
    return ok({ livemode: false, available: [{ amount: 0, currency: "eur" }], pending: [{ amount: moved.reduce((sum, { net }) => sum + net, 0), currency: "eur" }] });
  },
  "GET /v1/balance_transactions": async (asked) => listed(await movements(asked)),
  async "POST /v1/products"(asked) {
    const { default_price_data: priced } = form(asked);
    const { status, body } = await create("/v1/products", (_, { created }) => ({ updated: created, default_price: null }))(asked);
    if (status !== 200 || !priced) return { status, body };
    const wanted = new URLSearchParams({ product: body.id, currency: priced.currency, unit_amount: priced.unit_amount });
    const { body: price } = await asked.emulated({ path: "/v1/prices", body: wanted.toString() });
    more.set(price.id, { recurring: recurring(priced) });
    more.get(body.id).default_price = price.id;
    return ok({ ...complete(body), default_price: complete(price) });
  },
  "GET /v1/products": list("/v1/products", active),
  "POST /v1/products/:id": overlay("/v1/products"),
  "POST /v1/prices": create("/v1/prices", (wanted) => ({ recurring: recurring(wanted), nickname: wanted.nickname ?? null, lookup_key: wanted.lookup_key ?? null })),
  "GET /v1/prices": list("/v1/prices", active),
  "POST /v1/customers": create("/v1/customers", ({ phone, address }) => ({ phone, address })),
  "GET /v1/customers": list("/v1/customers"),
  async "GET /v1/customers/search"(asked) {
    const part = /name~"([^"]*)"/.exec(asked.query.get("query"))[1].toLowerCase();
    const { body } = await list("/v1/customers", ({ name, email }) => `${name}\n${email}`.toLowerCase().includes(part))({ ...asked, query: new URLSearchParams({ limit: "100" }) });
    return ok({ object: "search_result", url: asked.path, has_more: false, next_page: null, data: body.data });
  },
  "GET /v1/payment_intents": async (asked) => {
    const { status, body } = await asked.emulated();
    return { status, body: { ...body, data: body.data.map(payment) } };
  },
  "GET /v1/payment_intents/:id": async (asked) => {
    const { status, body } = await asked.emulated({ path: asked.path });
    return { status, body: status === 200 ? payment(body) : body };
  },
  "POST /v1/checkout/sessions": create("/v1/checkout/sessions", (_, { created }) => ({ expires_at: created + 86_400 })),
  async "POST /v1/refunds"(asked) {
    const { payment_intent: of, amount } = form(asked);
    const paid = await get(asked, `/v1/payment_intents/${of}`);
    asked.doubled();
    if (!paid) return missing(of);
    const back = all("refunds").filter((one) => one.payment_intent === of).reduce((sum, one) => sum + one.amount, 0);
    const wanted = Number(amount ?? paid.amount - back);
    if (paid.status !== "succeeded" || wanted > paid.amount - back || wanted === 0) return refuse(400, "charge_already_refunded", "There is not so much to refund.");
    return ok(keep("refunds", { id: id("re"), object: "refund", payment_intent: of, amount: wanted, currency: paid.currency, status: "succeeded", created: now(), livemode: false }));
  },
  "POST /v1/coupons"(asked) {
    const { percent_off: percent, amount_off: amount, max_redemptions: most, ...wanted } = form(asked);
    const off = percent ? { percent_off: Number(percent) } : { amount_off: Number(amount) };
    return ok(keep("coupons", { id: id("co"), object: "coupon", valid: true, times_redeemed: 0, created: now(), livemode: false, ...wanted, ...off, ...(most && { max_redemptions: Number(most) }) }));
  },
  "GET /v1/coupons": keptOnes("coupons"),
  "GET /v1/coupons/:id": read("coupons"),
  "DELETE /v1/coupons/:id": remove("coupons"),
  async "POST /v1/payment_links"(asked) {
    const wanted = form(asked);
    const priced = await items(asked, wanted.line_items);
    asked.doubled();
    if (!priced) return missing("price");
    const link = id("plink");
    return ok(keep("payment_links", { id: link, object: "payment_link", url: `https://buy.stripe.example/${link}`, active: true, livemode: false, created: now(), line_items: priced }));
  },
  async "POST /v1/billing_portal/sessions"(asked) {
    const { customer } = form(asked);
    const known = await get(asked, `/v1/customers/${customer}`);
    asked.doubled();
    return known ? ok({ id: id("bps"), object: "billing_portal.session", customer, url: `https://billing.stripe.example/${customer}`, livemode: false }) : missing(customer);
  },
  "POST /v1/webhook_endpoints"(asked) {
    const { url, enabled_events } = form(asked);
    return ok(keep("webhook_endpoints", { id: id("we"), object: "webhook_endpoint", url, status: "enabled", enabled_events, secret: "plainly the words of a test", livemode: false }));
  },
  "DELETE /v1/webhook_endpoints/:id": remove("webhook_endpoints"),
  async "POST /v1/subscriptions"(asked) {
    const wanted = form(asked);
    const parts = await items(asked, wanted.items);
    const customer = await get(asked, `/v1/customers/${wanted.customer}`);
    asked.doubled();
    if (!parts || !customer) return missing(parts ? wanted.customer : "price");
    const currency = parts[0].price.currency;
    const method = wanted.collection_method ?? "charge_automatically";
    const first = invoice({ customer: customer.id, currency, collection_method: method });
    owe(first, total(parts));
    open(first);
    const started = keep("subscriptions", {
      id: id("sub"), object: "subscription", customer: customer.id, status: wanted.payment_behavior === "default_incomplete" ? "incomplete" : "active", currency,
      items: { object: "list", has_more: false, data: parts }, collection_method: method, cancel_at_period_end: false, cancel_at: null, canceled_at: null, ended_at: null,
      trial_end: null, latest_invoice: first.id, created: now(), start_date: now(), livemode: false,
    });
    return ok({ ...started, latest_invoice: first });
  },
  "GET /v1/subscriptions": keptOnes("subscriptions", ["customer", "status"]),
  "GET /v1/subscriptions/:id": read("subscriptions"),
  "POST /v1/subscriptions/:id": find("subscriptions", async (asked, found) => {
    const wanted = form(asked);
    if (wanted.items) {
      found.items.data = await changed(asked, found, wanted.items);
      asked.doubled();
    }
    if (wanted.cancel_at_period_end) {
      found.cancel_at_period_end = wanted.cancel_at_period_end === "true";
      found.cancel_at = found.cancel_at_period_end ? found.items.data[0].current_period_end : null;
    }
    return ok(found);
  }),
  "DELETE /v1/subscriptions/:id": find("subscriptions", (_, found) => ok(Object.assign(found, { status: "canceled", canceled_at: now(), ended_at: now() }))),
  async "POST /v1/invoices/create_preview"(asked) {
    const { subscription, subscription_details: terms } = form(asked);
    const found = all("subscriptions").find((one) => one.id === subscription);
    if (!found) return missing(subscription);
    const [before, after] = [total(found.items.data), total(await changed(asked, found, terms.items))];
    asked.doubled();
    const line = (description, amount) => ({ description, amount, parent: { subscription_item_details: { proration: true } } });
    return ok({
      object: "invoice", currency: found.currency, amount_due: after - before + after, livemode: false,
      lines: { object: "list", has_more: false, data: [line("Unused time", -before), line("Remaining time", after), { description: "Next", amount: after, parent: null }] },
      parent: { subscription_details: { subscription_proration_date: now() } },
    });
  },
  async "POST /v1/invoices"(asked) {
    const { customer, currency, collection_method, days_until_due } = form(asked);
    const known = await get(asked, `/v1/customers/${customer}`);
    asked.doubled();
    return known ? ok(invoice({ customer, currency, collection_method, customer_email: known.email, due_date: now() + 86_400 * Number(days_until_due) })) : missing(customer);
  },
  async "POST /v1/invoiceitems"(asked) {
    const { invoice: of, pricing, unit_amount_decimal: amount, quantity = "1" } = form(asked);
    const draft = all("invoices").find((one) => one.id === of && one.status === "draft");
    const price = pricing && (await get(asked, `/v1/prices/${pricing.price}`));
    asked.doubled();
    if (!draft || (pricing && !price)) return missing(draft ? pricing.price : of);
    owe(draft, Number(quantity) * (price?.unit_amount ?? Number(amount)));
    return ok({ id: id("ii"), object: "invoiceitem" });
  },
  "GET /v1/invoices": keptOnes("invoices", ["customer", "status"]),
  "GET /v1/invoices/:id": read("invoices"),
  "POST /v1/invoices/:id/send": find("invoices", (_, found) => ok(open(found))),
  "POST /v1/invoices/:id/void": find("invoices", (_, found) =>
    found.status === "open" ? ok(Object.assign(found, { status: "void", amount_remaining: 0 })) : refuse(400, "invoice_not_editable", "Only an open invoice can be voided.")),
  "DELETE /v1/invoices/:id": remove("invoices"),
  "GET /v1/disputes": keptOnes("disputes", ["payment_intent"]),
  "GET /v1/payouts": keptOnes("payouts", ["status"]),
}, (asked) => asked.emulated());

const recurring = ({ recurring: told }) => told ? { interval: told.interval, interval_count: Number(told.interval_count ?? 1), usage_type: "licensed" } : null;

/** The parts of a subscription as a change leaves them. */
async function changed(asked, found, wanted) {
  const of = (one) => found.items.data.find(({ id: known }) => known === one.id);
  return items(asked, wanted.map((one) => ({ price: of(one).price.id, quantity: String(of(one).quantity), ...one })));
}

/** What came in and went out, newest first; Stripe keeps 30 of each payment. */
async function movements(asked) {
  const { body } = await asked.emulated({ method: "GET", path: "/v1/payment_intents?limit=100" });
  asked.doubled();
  const paid = body.data.filter(({ status }) => status === "succeeded").map((one) => [one, "charge", one.amount, 30]);
  const back = all("refunds").map((one) => [one, "refund", -one.amount, 0]);
  return [...paid, ...back].map(([{ created, currency }, category, amount, fee]) =>
    ({ id: id("txn"), object: "balance_transaction", amount, fee, net: amount - fee, currency, created, reporting_category: category, type: category }));
}

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

keep("payouts", { id: id("po"), object: "payout", status: "paid", amount: 4200, currency: "eur", automatic: true, arrival_date: now(), created: now(), livemode: false });
keep("disputes", { id: id("du"), object: "dispute", status: "needs_response", reason: "fraudulent", amount: 4200, currency: "eur", created: now(), livemode: false,
  payment_intent: "pi_1", evidence_details: { due_by: now() + 86_400, past_due: false, submission_count: 0 }, is_charge_refundable: true });
await serve({ variable: "RESTO_STANDIN_STRIPE_URL", service: "stripe", token, seed: {}, answer: demanding, refusal });
