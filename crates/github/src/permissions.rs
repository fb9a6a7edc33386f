//! The rights that the actions need, as sets: first what a fine-grained token or a GitHub App
//! needs, then the scope of a classic token that allows the same.

use resto_core::Permission;

/// Any one of these sets.
type Needs = &'static [&'static [&'static str]];

pub(crate) const NOTHING: Needs = &[];
pub(crate) const METADATA_READ: Needs = &[&["metadata:read"], &["repo"], &["public_repo"]];
pub(crate) const CONTENTS_READ: Needs = &[&["contents:read"], &["repo"], &["public_repo"]];
pub(crate) const CONTENTS_WRITE: Needs = &[&["contents:write"], &["repo"], &["public_repo"]];

/// All of them, for people.
pub(crate) const ALL: &[Permission] = &[
    Permission { id: "metadata:read", allows: "see your repositories" },
    Permission { id: "repo", allows: "everything in your repositories (classic token)" },
    Permission {
        id: "public_repo",
        allows: "everything in your public repositories (classic token)",
    },
];
