//! The tools as MCP publishes them, and which are listed for whom.

mod ready;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use resto_core::{Risk, brief_schema};
use rmcp::model::{CacheScope, ErrorData, ListToolsResult, Tool, ToolAnnotations};

pub(crate) use self::ready::with_ready_list;
use super::{Mcp, apps, internal};
use crate::catalog::Entry;
use crate::host::{Caller, Host};
use crate::tools::OwnTool;

pub(super) use self::ready::Ready;

/// Tools in one page of `tools/list`. Clients of small models choke on more; most ask for all pages.
const PAGE: usize = 200;

/// How long a client may keep the list, unless it is told before.
pub(super) const LIST_TTL_MS: u64 = 30_000;

/// Every tool by name, made once.
#[derive(Default)]
pub(super) struct Tools(OnceLock<BTreeMap<String, Published>>);

/// A tool as it is published.
pub(super) struct Published {
    /// As it goes over the wire.
    text: Box<str>,
    /// Read when it is first asked for. It lies in one piece then: made bit by bit, it lies all over the memory.
    tool: OnceLock<Tool>,
}

impl Tools {
    fn of(&self, host: &Host) -> &BTreeMap<String, Published> {
        self.0.get_or_init(|| {
            let own = host.own_tools().iter().map(own_tool);
            let all = own.chain(host.catalog.entries().map(|entry| tool(&entry)));
            let named = all.filter_map(|tool| {
                let text = serde_json::to_string(&tool).ok()?.into_boxed_str();
                Some((tool.name.into_owned(), Published { text, tool: OnceLock::new() }))
            });
            named.collect()
        })
    }

    pub fn tool(&self, host: &Host, name: &str) -> Option<Tool> {
        self.of(host).get(name)?.tool()
    }
}

impl Published {
    fn tool(&self) -> Option<Tool> {
        if let Some(tool) = self.tool.get() {
            return Some(tool.clone());
        }
        let tool = serde_json::from_str(&self.text).ok()?;
        Some(self.tool.get_or_init(|| tool).clone())
    }
}

/// A tool in a list.
enum Listed<'a> {
    Published(&'a Published),
    /// One that is so for this list.
    Made(Box<Tool>),
}

impl Listed<'_> {
    fn made(tool: Tool) -> Self {
        Self::Made(Box::new(tool))
    }

    fn tool(self) -> Option<Tool> {
        match self {
            Self::Published(published) => published.tool(),
            Self::Made(tool) => Some(*tool),
        }
    }

    fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Published(published) => Some(Cow::Borrowed(&*published.text)),
            Self::Made(tool) => serde_json::to_string(&**tool).ok().map(Cow::Owned),
        }
    }
}

impl Mcp {
    /// A page of the tools that a caller is shown: those of this server itself come first. They are left for the answer where
    /// they can be.
    pub(super) async fn list(
        &self,
        caller: &Caller,
        cursor: Option<String>,
        shows_pages: bool,
        ready: Option<&Ready>,
    ) -> Result<ListToolsResult, ErrorData> {
        let connected = self.host.connected(caller).await.map_err(|error| internal(&error))?;
        let surface = &caller.surface;
        let is_listed = |entry: &Entry<'_>| {
            caller.sees(Some(entry.integration().id), entry.action.risk)
                && surface.lists(entry, &connected)
        };
        let catalog = self.host.catalog_of(&caller.scope).await;
        let catalog = catalog.map_err(|error| internal(&error))?;
        let Some(page) = catalog.page(cursor.as_deref(), PAGE, is_listed) else {
            return Err(ErrorData::invalid_params("the cursor is not one of this list", None));
        };
        let all = self.tools.of(&self.host);
        let own = self.host.own_tools().iter();
        let own = own.filter(|own| cursor.is_none() && caller.sees(None, own.risk));
        let own = own.filter(|own| surface.lists_own(own)).filter_map(|own| {
            let mut listed = Listed::Published(all.get(own.tool)?);
            if surface.readonly {
                let annotations = annotations(own.title, Risk::Read);
                listed = Listed::made(listed.tool()?.with_annotations(annotations));
            }
            Some((listed, own.is_run() || !own.view.is_empty()))
        });
        // Those of remote servers are the tenant's own.
        let actions = page.entries.iter().map(|entry| {
            let published = all.get(&entry.action.tool).map(Listed::Published);
            let listed = published.unwrap_or_else(|| Listed::made(tool(entry)));
            (listed, !entry.action.view.is_empty())
        });
        let listed = own.chain(actions).filter_map(|(listed, has_page)| {
            let linked = shows_pages && has_page;
            if linked { listed.tool().map(apps::linked).map(Listed::made) } else { Some(listed) }
        });
        let mut tools = Vec::new();
        match ready {
            Some(ready) => ready.leave(joined(listed)),
            None => tools.extend(listed.filter_map(Listed::tool)),
        }
        let mut result = ListToolsResult::with_all_items(tools)
            .with_ttl_ms(LIST_TTL_MS)
            .with_cache_scope(CacheScope::Private);
        result.next_cursor = page.next;
        Ok(result)
    }
}

/// As they go over the wire, with commas between them.
fn joined<'a>(listed: impl Iterator<Item = Listed<'a>>) -> Vec<u8> {
    let listed: Vec<_> = listed.collect();
    let texts: Vec<_> = listed.iter().filter_map(Listed::text).collect();
    texts.join(",").into_bytes()
}

/// The tokens that a tool costs a model that is shown it, about four bytes each: its name, its description and the schema
/// of its arguments.
#[must_use]
pub fn tokens(tool: &Tool) -> usize {
    let description = tool.description.as_deref().unwrap_or_default();
    let schema = serde_json::to_string(&tool.input_schema).unwrap_or_default();
    (tool.name.len() + description.len() + schema.len()).div_ceil(4)
}

fn annotations(title: &str, risk: Risk) -> ToolAnnotations {
    ToolAnnotations::with_title(title)
        .read_only(risk == Risk::Read)
        .destructive(risk >= Risk::Irreversible)
        .idempotent(risk == Risk::Read)
        .open_world(true)
}

/// An action as MCP publishes it.
#[must_use]
pub fn tool(entry: &Entry<'_>) -> Tool {
    let action = entry.action;
    Tool::new(
        action.tool.clone(),
        action.description.clone(),
        Arc::new(brief_schema(&action.input_schema)),
    )
    .with_title(format!("{}: {}", entry.integration().name, action.title))
    .with_raw_output_schema(Arc::new((action.output_schema)()))
    .with_annotations(annotations(&action.title, action.risk))
}

/// A tool of this server itself as MCP publishes it.
#[must_use]
pub fn own_tool(own: &OwnTool) -> Tool {
    let tool =
        Tool::new(own.tool, own.description.clone(), Arc::new(brief_schema(&own.input_schema)))
            .with_title(own.title)
            .with_annotations(annotations(own.title, own.risk));
    match &own.output_schema {
        Some(schema) => tool.with_raw_output_schema(Arc::new(schema())),
        None => tool,
    }
}

#[cfg(test)]
mod tests;
