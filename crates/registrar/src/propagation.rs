//! Whether the world sees a DNS change: the domain's own name servers first, then resolvers that the
//! public uses, which remember old answers for a while.

#[cfg(test)]
mod tests;

use futures::future::join_all;
use hickory_resolver::proto::rr::{Name, RecordType};
use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::DomainName;
use crate::permissions::NOTHING;
use crate::resolve::{Resolvers, Said};
use crate::zone::{Kind, canonical};

/// Checks whether a DNS record is visible: at the domain's own name servers, then at public resolvers.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CheckPropagation {
    /// Such as `example.com`.
    domain: DomainName,
    /// Such as `www`; default the domain itself.
    name: Option<String>,
    /// `ALIAS` is seen as `A`.
    #[serde(rename = "type")]
    kind: Kind,
    /// Contents; without them, all servers have to agree.
    #[serde(default)]
    expected: Vec<String>,
}

/// Who was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A name server of the domain.
    Authoritative,
    /// A resolver that the public uses.
    Public,
}

/// What one server shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// What is expected.
    Matches,
    /// Something else.
    Differs,
    /// No such record.
    Nothing,
    /// It did not answer.
    Silent,
}

/// One server and its answer.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Server {
    /// Its name.
    name: String,
    /// Who it is.
    role: Role,
    /// What it shows.
    view: View,
    /// The contents it told, an MX with its priority before.
    answers: Vec<String>,
    /// For how many seconds it may go on telling this.
    ttl_seconds: Option<u32>,
    /// Why it is silent.
    problem: Option<String>,
}

/// How far a record has spread.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Propagation {
    /// The full name of the record.
    name: String,
    /// Whether every server that answered shows it, and at least one authoritative one did.
    propagated: bool,
    /// Seconds after which public resolvers ask again, where some show something else.
    wait_at_most_seconds: Option<u32>,
    /// What it means, and what to do.
    explanation: String,
    /// Who was asked, authoritative ones first.
    servers: Vec<Server>,
}

impl Action for CheckPropagation {
    const NAME: &'static str = "check_propagation";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["has the DNS change arrived everywhere", "is the record visible yet", "DNS propagation"];
    const PERMISSIONS: &'static [&'static [&'static str]] = NOTHING;
    type Output = Propagation;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Propagation> {
        check(&self, &Resolvers::by(api.dns_servers())).await
    }
}

async fn check(wanted: &CheckPropagation, resolvers: &Resolvers) -> Result<Propagation> {
    let relative = wanted.domain.relative(wanted.name.as_deref().unwrap_or("@"))?;
    let full = wanted.domain.full(&relative);
    let kind = record_type(wanted.kind);
    let written = |text: &str| canonical(&kind.to_string(), text);
    let name = parsed(&full)?;
    let zone = parsed(wanted.domain.as_str())?;
    let mut expected: Vec<String> = wanted.expected.iter().map(|text| written(text)).collect();

    let own = resolvers.authorities(&zone).await;
    let asked = own.iter().map(|(_, at)| resolvers.ask(*at, false, &name, kind));
    let own_said = join_all(asked).await;
    let asked = resolvers.public.iter().map(|(_, at)| resolvers.ask(*at, true, &name, kind));
    let public_said = join_all(asked).await;

    let texts = |said: &Said| match said {
        Said::Records(found, _) => found.iter().map(|content| written(&content.text)).collect(),
        _ => Vec::new(),
    };
    // Nothing particular is expected: what the domain's own servers say counts.
    if expected.is_empty()
        && let Some(first) =
            own_said.iter().chain(&public_said).find(|said| matches!(said, Said::Records(..)))
    {
        expected = texts(first);
    }
    let names = own.into_iter().map(|(name, _)| (name, Role::Authoritative));
    let public = resolvers.public.iter().map(|(name, _)| ((*name).to_owned(), Role::Public));
    let servers: Vec<Server> = names
        .chain(public)
        .zip(own_said.iter().chain(&public_said))
        .map(|((name, role), said)| {
            let found = texts(said);
            let fits = !expected.is_empty()
                && expected.iter().all(|text| found.contains(text))
                && (!wanted.expected.is_empty() || found.len() == expected.len());
            let (view, ttl_seconds, problem) = match said {
                Said::Records(_, ttl) if fits => (View::Matches, Some(*ttl), None),
                Said::Records(_, ttl) => (View::Differs, Some(*ttl), None),
                Said::Nothing => (View::Nothing, None, None),
                Said::Silent(why) => (View::Silent, None, Some(why.clone())),
            };
            let answers = match said {
                Said::Records(all, _) => all
                    .iter()
                    .zip(&found)
                    .map(|(content, text)| match content.priority {
                        Some(priority) => format!("{priority} {text}"),
                        None => text.clone(),
                    })
                    .collect(),
                _ => Vec::new(),
            };
            Server { name, role, view, answers, ttl_seconds, problem }
        })
        .collect();
    Ok(judged(full, servers))
}

fn judged(name: String, servers: Vec<Server>) -> Propagation {
    let of = |role: Role| {
        servers.iter().filter(move |server| server.role == role && server.view != View::Silent)
    };
    let matching = |role: Role| of(role).filter(|server| server.view == View::Matches).count();
    let (own, public) = (of(Role::Authoritative).count(), of(Role::Public).count());
    let own_fits = own > 0 && matching(Role::Authoritative) == own;
    let propagated = own_fits && matching(Role::Public) == public;
    let wait = of(Role::Public)
        .filter(|server| server.view == View::Differs)
        .filter_map(|server| server.ttl_seconds)
        .max();
    let explanation = if propagated {
        "Every server that answered shows it.".to_owned()
    } else if own == 0 {
        "The domain's own name servers could not be asked: it has none yet, or they do not answer."
            .to_owned()
    } else if !own_fits {
        "The domain's own name servers do not all show it. If it was changed minutes ago, ask again; else check that the domain uses the name servers at which it was changed.".to_owned()
    } else {
        match wait {
            Some(seconds) => format!("The domain's own name servers show it; some resolvers remember the old answer for up to {seconds} seconds."),
            None => "The domain's own name servers show it; some resolvers remember that there was nothing, for minutes up to some hours.".to_owned(),
        }
    };
    Propagation {
        name,
        propagated,
        wait_at_most_seconds: wait.filter(|_| !propagated),
        explanation,
        servers,
    }
}

fn parsed(name: &str) -> Result<Name> {
    Name::from_utf8(format!("{name}.")).map_err(|error| {
        Error::new(
            Code::InvalidInput,
            format!("invalid input: `{name}` cannot be asked for: {error}."),
        )
    })
}

fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::A | Kind::Alias => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Cname => RecordType::CNAME,
        Kind::Mx => RecordType::MX,
        Kind::Txt => RecordType::TXT,
        Kind::Ns => RecordType::NS,
        Kind::Srv => RecordType::SRV,
        Kind::Caa => RecordType::CAA,
    }
}
