//! The rights that the actions need, as sets: first those of a Cloudflare token, then the whole
//! account, which is all that keys of Porkbun and name.com know.

use resto_core::Permission;

/// Any one of these sets.
type Needs = &'static [&'static [&'static str]];

/// A key that may do everything in its account.
pub(crate) const ACCOUNT: &str = "account";

pub(crate) const DOMAINS_READ: Needs = &[&["registrar:read"], &[ACCOUNT]];
pub(crate) const DOMAINS_WRITE: Needs = &[&["registrar:write"], &[ACCOUNT]];
pub(crate) const DNS_READ: Needs = &[&["zone:read", "dns:read"], &[ACCOUNT]];
pub(crate) const DNS_WRITE: Needs = &[&["zone:read", "dns:write"], &[ACCOUNT]];
/// Name servers are asked in public.
pub(crate) const NOTHING: Needs = &[];

/// All of them, for people.
pub(crate) const ALL: &[Permission] = &[
    Permission {
        id: "registrar:read",
        allows: "find domains and see yours (Cloudflare: Registrar, Read)",
    },
    Permission {
        id: "registrar:write",
        allows: "buy domains and change their settings (Cloudflare: Registrar, Edit)",
    },
    Permission { id: "zone:read", allows: "find the DNS of your domains (Cloudflare: Zone, Read)" },
    Permission {
        id: "dns:read",
        allows: "see the DNS records of your domains (Cloudflare: DNS, Read)",
    },
    Permission {
        id: "dns:write",
        allows: "change the DNS records of your domains (Cloudflare: DNS, Edit)",
    },
    Permission { id: ACCOUNT, allows: "everything in the account (keys of Porkbun and name.com)" },
];
