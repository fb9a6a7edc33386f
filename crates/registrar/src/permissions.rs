//! The rights that the actions need, as sets: first those of a Cloudflare token, then the whole
//! account, which is all that keys of Porkbun and name.com know.

use resto_core::Permission;

/// Any one of these sets.
type Needs = &'static [&'static [&'static str]];

/// A key that may do everything in its account.
pub(crate) const ACCOUNT: &str = "account";

pub(crate) const DOMAINS_READ: Needs = &[&["cloudflare:registrar:read"], &[ACCOUNT]];
pub(crate) const DOMAINS_WRITE: Needs = &[&["cloudflare:registrar:write"], &[ACCOUNT]];
pub(crate) const DNS_READ: Needs = &[&["cloudflare:zone:read", "cloudflare:dns:read"], &[ACCOUNT]];
pub(crate) const DNS_WRITE: Needs =
    &[&["cloudflare:zone:read", "cloudflare:dns:write"], &[ACCOUNT]];
/// Name servers are asked in public.
pub(crate) const NOTHING: Needs = &[];

/// All of them, for people.
pub(crate) const ALL: &[Permission] = &[
    Permission {
        id: "cloudflare:registrar:read",
        allows: "find domains and see yours (Registrar, Read)",
    },
    Permission {
        id: "cloudflare:registrar:write",
        allows: "buy domains and change their settings (Registrar, Edit)",
    },
    Permission { id: "cloudflare:zone:read", allows: "find the DNS of your domains (Zone, Read)" },
    Permission {
        id: "cloudflare:dns:read",
        allows: "see the DNS records of your domains (DNS, Read)",
    },
    Permission {
        id: "cloudflare:dns:write",
        allows: "change the DNS records of your domains (DNS, Edit)",
    },
    Permission { id: ACCOUNT, allows: "everything in the account: its keys know no less" },
];
