//! The tools as MCP publishes them, and which are listed for whom.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use resto_core::{Risk, brief_schema};
use rmcp::model::{CacheScope, ErrorData, ListToolsResult, Tool, ToolAnnotations};

use super::{Mcp, apps, internal};
use crate::catalog::Entry;
use crate::host::{Caller, Host};
use crate::tools::OwnTool;

/// Tools in one page of `tools/list`. Clients of small models choke on more; most ask for all pages.
const PAGE: usize = 200;

/// How long a client may keep the list, unless it is told before.
pub(super) const LIST_TTL_MS: u64 = 30_000;

/// Every tool by name, made once: a list copies no schema.
#[derive(Default)]
pub(super) struct Tools(OnceLock<BTreeMap<String, Tool>>);

impl Tools {
    pub fn of(&self, host: &Host) -> &BTreeMap<String, Tool> {
        self.0.get_or_init(|| {
            let own = host.own_tools().iter().map(own_tool);
            let all = own.chain(host.catalog.entries().map(|entry| tool(&entry)));
            // Read anew, so that each lies in one piece: made bit by bit, they lie all over the memory that a list reads.
            let texts: Vec<_> = all.filter_map(|tool| serde_json::to_vec(&tool).ok()).collect();
            let read = texts.iter().filter_map(|text| serde_json::from_slice::<Tool>(text).ok());
            read.map(|tool| (tool.name.to_string(), tool)).collect()
        })
    }
}

impl Mcp {
    /// A page of the tools that a caller is shown: those of this server itself come first.
    pub(super) async fn list(
        &self,
        caller: &Caller,
        cursor: Option<String>,
        shows_pages: bool,
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
            let mut tool = all.get(own.tool)?.clone();
            if surface.readonly {
                tool.annotations = Some(annotations(own.title, Risk::Read));
            }
            Some((tool, own.is_run() || !own.view.is_empty()))
        });
        // Those of remote servers are the tenant's own.
        let actions = page.entries.iter().map(|entry| {
            let tool = all.get(&entry.action.tool).cloned().unwrap_or_else(|| tool(entry));
            (tool, !entry.action.view.is_empty())
        });
        let tools =
            own.chain(actions).map(
                |(tool, has_page)| if shows_pages && has_page { apps::linked(tool) } else { tool },
            );
        let mut result = ListToolsResult::with_all_items(tools.collect())
            .with_ttl_ms(LIST_TTL_MS)
            .with_cache_scope(CacheScope::Private);
        result.next_cursor = page.next;
        Ok(result)
    }
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
