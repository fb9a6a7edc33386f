// A Stripe that others wrote: it keeps customers, payments, subscriptions with their invoices, coupons and payouts, and speaks an
// older Stripe than the pinned one. What that lacks is completed here.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { top } from "./tools.mjs";

const program = spawn(resolve(top, ".tools/python/bin/python"), [fileURLToPath(new URL("stripe.py", import.meta.url))], { stdio: ["pipe", "pipe", "inherit"] });
const [url] = await once(createInterface(program.stdout), "line");
const headers = { authorization: `Bearer sk_${"test"}_of_nobody`, "content-type": "application/json" };

/** Has it answer `asked`: the status, and the body as the pinned Stripe gives it. */
export async function local(asked, method, path, wanted) {
  asked.by("localstripe");
  const answered = await fetch(`${url}${path}`, { method, headers, body: wanted && JSON.stringify(wanted, typed) });
  const { status } = answered;
  const body = await answered.json();
  if (status === 404) body.error.code ??= "resource_missing";
  return { status, body: status === 200 ? completed(body) : body };
}

/** A form has words alone; what localstripe is told to change it keeps as it was told. */
const typed = (_, value) => ({ true: true, false: false })[value] ?? value;

/** All that it has of a kind, the newest first. */
export async function everything(asked, path) {
  const { status, body } = await local(asked, "GET", `${path}${path.includes("?") ? "&" : "?"}limit=1000`);
  if (status !== 200) throw new Error(`localstripe says ${status} to ${path}: ${JSON.stringify(body)}`);
  return body.data.reverse().sort((one, other) => other.created - one.created);
}

function completed(body) {
  if (body.object === "list") return { ...body, data: body.data.map(completed) };
  return completions[body.object]?.(body) ?? body;
}

const completions = {
  invoice: (one) => ({ ...one, number: one.status === "draft" ? null : `L-${one.id}`, amount_remaining: one.amount_due - one.amount_paid, due_date: null }),
  payment_intent: (one) => ({
    ...one, amount_received: one.status === "succeeded" ? one.amount : 0,
    last_payment_error: one.last_payment_error && { ...one.last_payment_error, decline_code: one.metadata.declined },
  }),
  // Of each payment Stripe keeps 30.
  balance_transaction: (one) => (one.type === "charge" ? { ...one, fee: 30, net: one.amount - 30 } : one),
  subscription: (one) => ({
    ...one, latest_invoice: one.latest_invoice?.object ? completed(one.latest_invoice) : one.latest_invoice,
    collection_method: "charge_automatically", canceled_at: one.canceled_at ?? one.ended_at,
    cancel_at: one.cancel_at_period_end ? one.current_period_end : one.cancel_at,
    currency: one.plan.currency,
    items: { ...one.items, data: one.items.data.map((item) => ({ ...item, current_period_start: one.current_period_start, current_period_end: one.current_period_end })) },
  }),
};
