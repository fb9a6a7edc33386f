//! What a caller may do at most, whatever the policy allows: the scopes of its access token.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use resto_core::{Code, Error, Result, Risk};

/// The words for risks in scopes, each including those before it.
pub(crate) const RISKS: [(&str, Risk); 5] = [
    ("read", Risk::Read),
    ("write", Risk::Write),
    ("outward", Risk::Outward),
    ("irreversible", Risk::Irreversible),
    ("spend", Risk::Spend),
];

/// Up to which risk: everywhere, and at single integrations. As text it is scopes: `read github:write`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    everywhere: Option<Risk>,
    at: BTreeMap<String, Risk>,
}

impl Allowance {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self::up_to(Risk::Spend, &BTreeSet::new())
    }

    /// Up to this risk: at these integrations, or everywhere where none is named.
    #[must_use]
    pub fn up_to(risk: Risk, integrations: &BTreeSet<String>) -> Self {
        let everywhere = integrations.is_empty().then_some(risk);
        Self { everywhere, at: integrations.iter().map(|id| (id.clone(), risk)).collect() }
    }

    /// What these scopes allow. Those that are none of ours allow nothing.
    pub fn of_scopes<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Self {
        let mut allowance = Self::default();
        for scope in scopes {
            let (integration, word) = match scope.split_once(':') {
                Some((integration, word)) => (Some(integration), word),
                None => (None, scope),
            };
            let risk = RISKS.iter().find(|(known, _)| *known == word).map(|(_, risk)| *risk);
            match integration {
                None => allowance.everywhere = allowance.everywhere.max(risk),
                Some(integration) => {
                    if let Some(risk) = risk {
                        let most = allowance.at.entry(integration.to_owned()).or_insert(risk);
                        *most = risk.max(*most);
                    }
                }
            }
        }
        allowance
    }

    /// Whether what is of this risk at this integration is allowed. What belongs to none is judged by what is allowed at
    /// any.
    #[must_use]
    pub fn allows(&self, integration: Option<&str>, risk: Risk) -> bool {
        let at = match integration {
            Some(integration) => self.at.get(integration).copied(),
            None => self.at.values().copied().max(),
        };
        self.everywhere.max(at) >= Some(risk)
    }

    /// Refuses a tool that is not allowed.
    ///
    /// # Errors
    /// `denied`, with the scope that is missing.
    pub(crate) fn check(&self, tool: &str, integration: Option<&str>, risk: Risk) -> Result<()> {
        if self.allows(integration, risk) {
            return Ok(());
        }
        let has = if *self == Self::default() { "nothing".to_owned() } else { self.to_string() };
        Err(Error::new(
            Code::Denied,
            format!(
                "The access token allows {has}, and {tool} needs {}. Whoever gave the token can give another one.",
                scope(integration, risk)
            ),
        ))
    }
}

/// The scope that allows this and no more than this.
pub(crate) fn scope(integration: Option<&str>, risk: Risk) -> String {
    let word = RISKS.iter().find(|(_, known)| *known == risk).map_or("spend", |(word, _)| word);
    integration.map_or_else(|| word.to_owned(), |integration| format!("{integration}:{word}"))
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let everywhere = self.everywhere.map(|risk| scope(None, risk));
        let at = self.at.iter().map(|(integration, risk)| scope(Some(integration), *risk));
        f.write_str(&everywhere.into_iter().chain(at).collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(scopes: &str) -> Allowance {
        Allowance::of_scopes(scopes.split(' '))
    }

    #[test]
    fn a6_a_scope_allows_its_risk_and_those_below_where_it_says() {
        for (scopes, github, stripe) in [
            ("", None, None),
            ("openid email GITHUB:READ github:admin", None, None),
            ("read", Some(Risk::Read), Some(Risk::Read)),
            ("github:write", Some(Risk::Write), None),
            ("read github:write", Some(Risk::Write), Some(Risk::Read)),
            ("outward github:write github:read", Some(Risk::Outward), Some(Risk::Outward)),
            ("github:spend github:read", Some(Risk::Spend), None),
            ("spend", Some(Risk::Spend), Some(Risk::Spend)),
        ] {
            for (_, risk) in RISKS {
                assert_eq!(
                    of(scopes).allows(Some("github"), risk),
                    github >= Some(risk),
                    "{scopes}"
                );
                assert_eq!(
                    of(scopes).allows(Some("stripe"), risk),
                    stripe >= Some(risk),
                    "{scopes}"
                );
                let somewhere = github.max(stripe) >= Some(risk);
                assert_eq!(of(scopes).allows(None, risk), somewhere, "{scopes}");
            }
        }
    }

    #[test]
    fn an_allowance_is_read_as_it_was_written() {
        let two = ["github", "vercel"].map(str::to_owned).into();
        for (allowance, text) in [
            (Allowance::all(), "spend"),
            (Allowance::up_to(Risk::Read, &BTreeSet::new()), "read"),
            (Allowance::up_to(Risk::Write, &two), "github:write vercel:write"),
            (of("github:write read"), "read github:write"),
        ] {
            assert_eq!(allowance.to_string(), text);
            assert_eq!(of(text), allowance);
        }
    }

    #[test]
    fn a6_a_refusal_names_the_scope() {
        let told = of("github:read").check("github_protect_branch", Some("github"), Risk::Write);
        let told = told.unwrap_err().to_string();
        assert!(told.contains("github:read") && told.contains("needs github:write"), "{told}");
        let told = of("").check("plan_integrations", None, Risk::Read).unwrap_err().to_string();
        assert!(told.contains("allows nothing") && told.contains("needs read"), "{told}");
    }
}
