//! The people's page: what this server is, what it can operate, how an agent is connected. It shows
//! nothing of any tenant.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use http::header;
use resto_core::Risk;

use crate::host::Host;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}\
code,pre{font:14px ui-monospace,monospace;background:#f2f2f2;border-radius:4px;padding:.1rem .3rem}pre{padding:.7rem;overflow-x:auto}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .6rem .4rem 0;border-bottom:1px solid #ddd;vertical-align:top}\
@media(prefers-color-scheme:dark){body{background:#161616;color:#eee}code,pre{background:#2a2a2a}th,td{border-color:#444}}";

pub(crate) fn router(host: Arc<Host>) -> Router {
    Router::new().route("/", get(home)).with_state(host)
}

async fn home(State(host): State<Arc<Host>>) -> impl IntoResponse {
    let rows: String = host
        .catalog
        .adapters()
        .iter()
        .map(|adapter| {
            let facts = adapter.integration;
            let reads = adapter.actions().iter().filter(|action| action.risk == Risk::Read).count();
            let all = adapter.actions().len();
            format!(
                "<tr><th scope=row>{}</th><td>{}</td><td>{all} actions, {reads} of them only read</td><td><code>resto connect {}</code></td></tr>",
                facts.name, facts.purpose, facts.id
            )
        })
        .collect();
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width,initial-scale=1\">\
<title>Resto integrations</title><style>{STYLE}</style><main><h1>Resto integrations</h1>\
<p>This server lets AI agents operate your business's own accounts. Their credentials are sealed; each action is checked and written to an audit trail.</p>\
<h2>Services</h2><table><thead><tr><th scope=col>Service</th><th scope=col>What for</th><th scope=col>What agents can do</th><th scope=col>Connect it</th></tr></thead><tbody>{rows}</tbody></table>\
<p>Connect an account in a terminal; a key never passes through an agent. <code>resto connections</code> shows what is connected, <code>resto audit</code> what was done.</p>\
<h2>Connect an agent</h2><p>Agents come in at <code>/mcp</code> of this address, with an access token:</p><pre>resto token create --name my-agent</pre></main></html>"
    );
    (
        [
            (
                header::CONTENT_SECURITY_POLICY,
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
            ),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ],
        Html(page),
    )
}
