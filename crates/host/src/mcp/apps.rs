//! Results that clients show as more than text: MCP Apps. One page draws what the view of a tool declares; the data come to
//! it from the client. <https://github.com/modelcontextprotocol/ext-apps/blob/main/specification/2026-01-26/apps.mdx>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use resto_core::Part;
use rmcp::model::{
    CacheScope, ExtensionCapabilities, MetaObject, ReadResourceResult, ResourceContents, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::Mcp;
use crate::catalog::{Catalog, Entry};
use crate::tools::OwnTool;

const EXTENSION: &str = "io.modelcontextprotocol/ui";
const MIME: &str = "text/html;profile=mcp-app";
/// The page of a tool is here, under its name.
const PAGES: &str = "ui://resto/";
const STYLE: &str = include_str!("app/app.css");
const SCRIPT: &str = include_str!("app/app.js");

/// How long a client may keep what is the same for everybody until the next version.
pub(super) const FIXED_TTL_MS: u64 = 3_600_000;

/// What this server says of it.
pub(super) fn extension() -> ExtensionCapabilities {
    let settings = [("mimeTypes".to_owned(), json!([MIME]))].into_iter().collect();
    [(EXTENSION.to_owned(), settings)].into()
}

/// Whether the client shows pages.
pub(super) fn are_shown(context: &RequestContext<RoleServer>) -> bool {
    let extensions = context.client_capabilities().and_then(|client| client.extensions);
    let types =
        extensions.and_then(|all| all.get(EXTENSION)?.get("mimeTypes")?.as_array().cloned());
    types.is_some_and(|types| types.iter().any(|one| one == MIME))
}

/// The tool with its page.
pub(super) fn linked(tool: Tool) -> Tool {
    let mut meta = MetaObject::new();
    meta.insert("ui".to_owned(), json!({"resourceUri": format!("{PAGES}{}", tool.name)}));
    tool.with_meta(meta)
}

impl Mcp {
    /// The page at this address. It is the same for everybody, and holds nothing of anybody.
    pub(super) fn app(&self, uri: &str) -> Option<ReadResourceResult> {
        let tool = uri.strip_prefix(PAGES)?;
        let own = self.host.own_tool(tool);
        let (title, data) = match own {
            Some(own) if own.is_run() => (own.title.to_owned(), any(&self.host.catalog)),
            Some(own) => (own.title.to_owned(), data(own.title, own.view)?),
            None => of_action(&self.host.catalog.find(tool)?)?,
        };
        let mut meta = MetaObject::new();
        // Of run_action there may be nothing to see.
        let is_framed = !own.is_some_and(OwnTool::is_run);
        meta.insert("ui".to_owned(), json!({"csp": {}, "prefersBorder": is_framed}));
        let contents = ResourceContents::text(page(&title, &data).into_string(), uri)
            .with_mime_type(MIME)
            .with_meta(meta);
        Some(
            ReadResourceResult::new(vec![contents])
                .with_ttl_ms(FIXED_TTL_MS)
                .with_cache_scope(CacheScope::Public),
        )
    }
}

/// What the page of a tool is told; `None` where there is nothing to see of its result.
fn data(title: &str, view: &[Part]) -> Option<Value> {
    (!view.is_empty()).then(|| json!({"title": title, "parts": view}))
}

/// The title of an action's page, and what the page is told.
fn of_action(entry: &Entry<'_>) -> Option<(String, Value)> {
    let title = format!("{}: {}", entry.integration().name, entry.action.title);
    data(&title, entry.action.view).map(|data| (title, data))
}

/// What the page of `run_action` is told, which runs any of these.
fn any(catalog: &Catalog) -> Value {
    let views = catalog
        .entries()
        .filter_map(|entry| of_action(&entry).map(|(_, data)| (entry.action.tool.clone(), data)));
    json!({"views": views.collect::<Map<String, Value>>()})
}

/// A page without anything from elsewhere, which lets nothing else run, whatever its frame allows.
fn page(title: &str, data: &Value) -> Markup {
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    // Inside a script, only this could end it.
    let data = data.to_string().replace('<', "\\u003c");
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {}
                script type="application/json" id="view" { (PreEscaped(data)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

fn hash(source: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(source)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::adapters;
    use crate::tools::own_tools;

    #[test]
    fn every_page_is_small_and_names_nothing_elsewhere() {
        let catalog = Catalog::new(adapters());
        let own = own_tools();
        let own =
            own.iter().filter_map(|own| Some((own.tool.to_owned(), data(own.title, own.view)?)));
        let all = any(&catalog);
        let actions = all["views"].as_object().unwrap().clone();
        let run = ("run_action".to_owned(), all);
        let mut shown = Vec::new();
        for (tool, data) in own.chain(actions).chain([run]) {
            let page = page("A title", &data).into_string();
            assert!(page.len() < 30_000, "{tool}: {} bytes", page.len());
            for elsewhere in ["src=", "href=", "@import", "url(", "innerHTML", "eval(", "fetch("] {
                assert!(!page.contains(elsewhere), "{tool}: {elsewhere}");
            }
            shown.push(tool);
        }
        for tool in [
            "list_integrations",
            "analytics_get_traffic",
            "analytics_view_dashboard",
            "stripe_get_revenue",
            "vercel_list_deployments",
        ] {
            assert!(shown.iter().any(|one| one == tool), "{tool} has no view: {shown:?}");
        }
    }

    #[test]
    fn data_cannot_end_the_script_that_holds_them() {
        const VIEW: &[Part] = &[Part::notes("</script><b>")];
        let page = page("", &data("</script><i>", VIEW).unwrap()).into_string();
        assert!(!page.contains("</script><b>") && !page.contains("</script><i>"), "{page}");
        let data = page.split_once("id=\"view\">").unwrap().1.split_once("</script>").unwrap().0;
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["parts"][0]["rows"], "</script><b>");
        assert_eq!(data["title"], "</script><i>");
    }
}
