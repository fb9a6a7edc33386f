//! Which tools an agent has: all by default, fewer where the address of the server or its command line says so.

use std::borrow::Cow;
use std::collections::BTreeSet;

use clap::{Args, ValueEnum};
use http::request::Parts;
use resto_core::{Code, Error, Result, Risk};
use serde::Serialize;
use url::form_urlencoded;

use crate::catalog::Entry;
use crate::host::{Caller, Host};
use crate::tools::OwnTool;

/// Which tools an agent has. What it leaves out is neither listed nor found, and is refused.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Surface {
    /// Only the tools of these services, connected or not, such as `github,vercel`
    #[arg(long, value_delimiter = ',', value_name = "SERVICES")]
    pub toolsets: Option<Vec<String>>,
    /// Only tools that read
    #[arg(long)]
    pub readonly: bool,
    /// Which tools are listed
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    pub mode: Mode,
}

/// Which of its tools are listed for an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// All
    #[default]
    All,
    /// The server's own, with which the others are found and run
    Search,
}

/// What an agent's address or its headers say, in the order in which they narrow.
const TOOLSETS: [&str; 2] = ["toolsets", "x-mcp-toolsets"];
const READONLY: [&str; 2] = ["readonly", "x-mcp-readonly"];
const MODE: &str = "mode";

impl Surface {
    /// What a request asks for: `?toolsets=github,vercel&readonly=1&mode=search`, or the headers `X-MCP-Toolsets` and
    /// `X-MCP-Readonly`. Where both name services, those that both name are left.
    ///
    /// # Errors
    /// A value that is none of those.
    pub fn of(request: &Parts) -> Result<Self> {
        let mut surface = Self::default();
        let query = request.uri.query().unwrap_or_default();
        let headers = request.headers.iter().filter_map(|(name, value)| {
            Some((Cow::from(name.as_str()), Cow::from(value.to_str().ok()?)))
        });
        for (name, value) in form_urlencoded::parse(query.as_bytes()).chain(headers) {
            let name = &*name;
            if TOOLSETS.contains(&name) {
                let named = value.split(',').map(str::trim).filter(|one| !one.is_empty());
                let named: Vec<String> = named.map(str::to_owned).collect();
                surface.toolsets = Some(match surface.toolsets.take() {
                    Some(before) => before.into_iter().filter(|one| named.contains(one)).collect(),
                    None => named,
                });
            } else if READONLY.contains(&name) {
                surface.readonly |= match &*value {
                    "" | "1" | "true" => true,
                    "0" | "false" => false,
                    _ => return Err(not_one(name, "1 or 0")),
                };
            } else if name == MODE {
                surface.mode =
                    Mode::from_str(&value, true).map_err(|_| not_one(name, "all or search"))?;
            }
        }
        Ok(surface)
    }

    /// Whether an action is listed, of a tenant who has connected these.
    #[must_use]
    pub fn lists(&self, entry: &Entry<'_>, connected: &BTreeSet<String>) -> bool {
        self.mode == Mode::All
            && (self.toolsets.is_some() || connected.contains(entry.integration().id))
            && self.check(entry).is_ok()
    }

    /// Whether one of this server's own tools is there.
    #[must_use]
    pub fn lists_own(&self, own: &OwnTool) -> bool {
        !self.readonly || own.risk == Risk::Read || own.is_run()
    }

    /// Whether an action is there.
    ///
    /// # Errors
    /// It is left out; the sentence says why.
    pub fn check(&self, entry: &Entry<'_>) -> Result<()> {
        let tool = &entry.action.tool;
        if self.readonly && entry.action.risk != Risk::Read {
            return Err(changes(tool));
        }
        let id = entry.integration().id;
        match &self.toolsets {
            Some(toolsets) if !toolsets.iter().any(|one| one == id) => Err(Error::new(
                Code::Denied,
                format!(
                    "{tool} is left out here: whoever set this agent up gave it the tools of these services alone (toolsets): {}.",
                    toolsets.join(", ")
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Whether one of this server's own tools is there.
    ///
    /// # Errors
    /// It is left out.
    pub fn check_own(&self, own: &OwnTool) -> Result<()> {
        if self.lists_own(own) { Ok(()) } else { Err(changes(own.tool)) }
    }
}

impl Host {
    /// Whether a caller has this tool, whether its service is connected or not.
    pub(crate) fn offers(&self, caller: &Caller, tool: &str) -> bool {
        match (self.own_tool(tool), self.catalog.find(tool)) {
            (Some(own), _) => caller.sees(None, own.risk) && caller.surface.lists_own(own),
            (None, Some(entry)) => {
                caller.sees(Some(entry.integration().id), entry.action.risk)
                    && caller.surface.check(&entry).is_ok()
            }
            (None, None) => false,
        }
    }

    /// Holds the services that a surface names against those that there are.
    ///
    /// # Errors
    /// One is none.
    pub(crate) fn surface(&self, surface: Surface) -> Result<Surface> {
        surface.toolsets.iter().flatten().try_for_each(|id| self.integration(id).map(drop))?;
        Ok(surface)
    }
}

fn changes(tool: &str) -> Error {
    Error::new(
        Code::Denied,
        format!(
            "{tool} changes something, and whoever set this agent up gave it tools that read alone (readonly)."
        ),
    )
}

fn not_one(name: &str, what: &str) -> Error {
    Error::new(Code::InvalidInput, format!("`{name}` is {what}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::host::adapters;

    fn surface(uri: &str, headers: &[(&str, &str)]) -> Result<Surface> {
        let mut request = http::Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Surface::of(&request.body(()).unwrap().into_parts().0)
    }

    fn named(toolsets: &[&str]) -> Vec<String> {
        toolsets.iter().map(|one| (*one).to_owned()).collect()
    }

    #[test]
    fn reads_what_a_request_asks_for() {
        assert_eq!(surface("/mcp", &[]).unwrap(), Surface::default());
        let all = surface("/mcp?toolsets=github,%20vercel&readonly=1&mode=search", &[]).unwrap();
        let expected = Surface {
            toolsets: Some(named(&["github", "vercel"])),
            readonly: true,
            mode: Mode::Search,
        };
        assert_eq!(all, expected);
        let header = [("X-MCP-Toolsets", "vercel,stripe")];
        assert_eq!(surface("/mcp", &header).unwrap().toolsets, Some(named(&["vercel", "stripe"])));
        let both = surface("/mcp?toolsets=github,vercel", &header).unwrap();
        assert_eq!(both.toolsets, Some(named(&["vercel"])));
        // Nothing takes it back.
        assert!(surface("/mcp?readonly=1", &[("x-mcp-readonly", "0")]).unwrap().readonly);
        for wrong in ["/mcp?readonly=yes", "/mcp?mode=code"] {
            assert_eq!(surface(wrong, &[]).unwrap_err().code(), Code::InvalidInput, "{wrong}");
        }
    }

    #[test]
    fn what_is_left_out_is_not_listed() {
        let catalog = Catalog::new(adapters());
        let connected = BTreeSet::from(["github".to_owned()]);
        let listed = |surface: &Surface| -> BTreeSet<String> {
            let entries = catalog.entries().filter(|entry| surface.lists(entry, &connected));
            entries.map(|entry| entry.action.tool.clone()).collect()
        };
        let of = |id: &str, most: Risk| -> BTreeSet<String> {
            let actions = catalog.adapter(id).unwrap().actions().iter();
            actions.filter(|one| one.risk <= most).map(|one| one.tool.clone()).collect()
        };
        let default = Surface::default();
        assert_eq!(listed(&default), of("github", Risk::Spend));
        let toolsets = Surface { toolsets: Some(named(&["stripe"])), ..default.clone() };
        assert_eq!(listed(&toolsets), of("stripe", Risk::Spend));
        let none = Surface { toolsets: Some(named(&[])), ..default.clone() };
        assert_eq!(listed(&none), BTreeSet::new());
        let readonly = Surface { readonly: true, ..toolsets.clone() };
        assert_eq!(listed(&readonly), of("stripe", Risk::Read));
        assert_eq!(listed(&Surface { mode: Mode::Search, ..default }), BTreeSet::new());
        let refund = catalog.find("stripe_refund_payment").unwrap();
        assert!(readonly.check(&refund).unwrap_err().message().contains("readonly"));
        let branch = catalog.find("github_list_branches").unwrap();
        assert!(toolsets.check(&branch).unwrap_err().message().contains("stripe"));
    }
}
