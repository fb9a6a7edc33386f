//! The rights that the actions need: Google's OAuth scopes. What the person may do at each property,
//! viewer or editor, comes on top of them.

use resto_core::Permission;

/// Any one of these sets.
type Needs = &'static [&'static [&'static str]];

const READONLY: &str = "https://www.googleapis.com/auth/analytics.readonly";
const EDIT: &str = "https://www.googleapis.com/auth/analytics.edit";
const EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";

/// Reports; the right to edit does not contain it.
pub(crate) const REPORTS: Needs = &[&[READONLY]];
/// How properties are set up.
pub(crate) const SETTINGS: Needs = &[&[READONLY], &[EDIT]];
/// A report may need to know how the property is set up.
pub(crate) const CHANGE: Needs = &[&[EDIT]];

/// What a person is asked for.
pub(crate) const SCOPES: &[&str] = &["openid", EMAIL, READONLY, EDIT];

/// All of them, for people.
pub(crate) const ALL: &[Permission] = &[
    Permission { id: READONLY, allows: "see your reports, and how your properties are set up" },
    Permission {
        id: EDIT,
        allows: "set up properties, streams, key events, custom dimensions and annotations",
    },
];

/// The right that a request lacks which Google refused for its scopes.
pub(crate) fn lacking(is_unsafe: bool) -> &'static str {
    if is_unsafe { EDIT } else { READONLY }
}
