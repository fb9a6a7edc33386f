//! What a connection's credential may do, as far as is known: granted, absent, or unknown until
//! tried.

use std::collections::BTreeSet;

use resto_core::{ActionSpec, Permissions, covers};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The rights of a credential, as stored with its connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Whether the provider told all of them; else the rest is unknown.
    pub known: bool,
    /// Told by the provider, or shown by an action that worked.
    #[serde(default)]
    pub granted: BTreeSet<String>,
    /// Shown by an action that was refused for lack of it.
    #[serde(default)]
    pub absent: BTreeSet<String>,
}

/// Whether a credential may do an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It may.
    Granted,
    /// It may not.
    Absent,
    /// Nobody can say before it is tried.
    Unknown,
}

impl From<Permissions> for Grants {
    fn from(permissions: Permissions) -> Self {
        match permissions {
            Permissions::Known(granted) => Self { known: true, granted, ..Self::default() },
            Permissions::Unknown => Self::default(),
        }
    }
}

impl Grants {
    /// Reads what is stored with a connection.
    #[must_use]
    pub fn read(stored: &Value) -> Self {
        serde_json::from_value(stored.clone()).unwrap_or_default()
    }

    /// Whether they allow an action.
    #[must_use]
    pub fn standing(&self, action: &ActionSpec) -> Standing {
        let has = |needed: &str| self.granted.iter().any(|granted| covers(granted, needed));
        let sets = action.permissions;
        if sets.is_empty() || sets.iter().any(|set| set.iter().all(|needed| has(needed))) {
            Standing::Granted
        } else if self.known {
            Standing::Absent
        } else {
            Standing::Unknown
        }
    }

    /// Learns that an action worked. Returns whether that is news.
    pub fn worked(&mut self, action: &ActionSpec) -> bool {
        if self.known || self.standing(action) == Standing::Granted {
            return false;
        }
        // Whoever cannot be asked has the first kind of credential that the action lists.
        for right in action.permissions.first().copied().unwrap_or_default() {
            self.absent.retain(|absent| !absent.contains(right));
            self.granted.insert((*right).to_owned());
        }
        true
    }

    /// Learns that a right is missing. Returns whether that is news.
    pub fn lacked(&mut self, right: &str) -> bool {
        let lost = self.granted.remove(right);
        self.absent.insert(right.to_owned()) || lost
    }
}

#[cfg(test)]
mod tests {
    use resto_github::adapter;

    use super::*;

    #[test]
    fn learns_from_what_was_tried() {
        let adapter = adapter();
        let find =
            |tool: &str| adapter.actions().iter().find(|action| action.tool == tool).unwrap();
        let list = find("github_list_repositories");
        let mut unknown = Grants::from(Permissions::Unknown);
        assert_eq!(unknown.standing(find("github_get_account")), Standing::Granted);
        assert_eq!(unknown.standing(list), Standing::Unknown);
        assert!(unknown.lacked("metadata:read"));
        assert!(unknown.worked(list) && !unknown.worked(list));
        assert_eq!((unknown.standing(list), unknown.absent.len()), (Standing::Granted, 0));
        assert!(unknown.lacked("metadata:read"));
        assert_eq!(unknown.standing(list), Standing::Unknown);

        let scopes = |names: &[&str]| {
            Grants::from(Permissions::Known(names.iter().map(|name| (*name).to_owned()).collect()))
        };
        assert_eq!(scopes(&["repo"]).standing(list), Standing::Granted);
        assert_eq!(scopes(&["gist"]).standing(list), Standing::Absent);
        let stored = serde_json::to_value(scopes(&["repo"])).unwrap();
        assert_eq!(Grants::read(&stored), scopes(&["repo"]));
    }
}
