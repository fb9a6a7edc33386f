//! The DNS of a domain's mail: where mail goes, who may send it, and how receivers know.

#[cfg(test)]
mod tests;

use resto_core::{Action, Api, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::changes::{DnsChange, records, set_up};
use crate::conflicts::policy;
use crate::contract::registrar;
use crate::names::DomainName;
use crate::permissions::DNS_WRITE;
use crate::plans::checked;
use crate::spf::{MAX_LOOKUPS, lookups, merged};
use crate::zone::{DnsRecord, Kind, NewRecord};

/// Who handles the mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MailService {
    /// Google Workspace.
    GoogleWorkspace,
    /// Microsoft 365.
    #[serde(rename = "microsoft_365")]
    Microsoft365,
    /// Fastmail.
    Fastmail,
    /// Another, described by `mail_servers` and `spf`.
    Other,
    /// Nobody: the domain neither receives nor sends mail.
    NoMail,
}

/// A server that receives mail.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct MailServer {
    host: String,
    /// Lowest first.
    priority: u16,
}

/// A key with which a service signs mail.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct DkimKey {
    /// Such as `google`.
    selector: String,
    /// `v=DKIM1; ...`, or the CNAME's target.
    value: String,
}

/// What receivers do with mail that fails the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DmarcPolicy {
    /// Nothing; only reports.
    None,
    /// They put it into the spam folder.
    Quarantine,
    /// They refuse it.
    Reject,
}

impl DmarcPolicy {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }
}

/// Sets up a domain's mail: MX, one SPF record, DKIM keys and DMARC, after a snapshot.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SetUpEmailDns {
    /// Such as `example.com`.
    domain: DomainName,
    service: MailService,
    /// For `other`, or in place of the service's usual ones.
    #[serde(default)]
    mail_servers: Vec<MailServer>,
    /// Further terms, such as `include:_spf.example.net`.
    #[serde(default)]
    spf: Vec<String>,
    /// As the service's settings show them.
    #[serde(default)]
    dkim: Vec<DkimKey>,
    /// For a start `none`; an existing policy stays.
    dmarc_policy: Option<DmarcPolicy>,
    /// Mail address.
    dmarc_reports_to: Option<String>,
    /// MX and DKIM of another service, else a conflict.
    #[serde(default)]
    replace: bool,
}

impl Action for SetUpEmailDns {
    const NAME: &'static str = "set_up_email_dns";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "mail with my own domain",
        "SPF, DKIM and DMARC",
        "emails land in spam",
        "Google Workspace for the domain",
        "E-Mail für Domain einrichten",
        "configurer les mails du domaine",
        "correo del dominio",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DNS_WRITE;
    type Output = DnsChange;

    async fn run(self, api: &Api) -> Result<DnsChange> {
        let registrar = registrar(api)?;
        self.check()?;
        let live = registrar.zone(api, &self.domain).await?;
        let zone = records(&live);
        let add = checked(&self.wanted(&zone), &self.domain, &registrar.terms().dns)?;
        let remove = self.in_the_way(&zone, &add);
        let mut change = set_up(api, self.domain.clone(), live, &remove, &add).await?;
        if let Some(spf) = add.iter().find(|record| policy(record, "v=spf1"))
            && lookups(&spf.content) > MAX_LOOKUPS
        {
            change.notes.push(format!("The SPF record asks for {} look-ups; receivers make {MAX_LOOKUPS} and then ignore it. Remove senders that are not used.", lookups(&spf.content)));
        }
        Ok(change)
    }
}

impl SetUpEmailDns {
    fn check(&self) -> Result<()> {
        let plain = |text: &str| {
            !text.is_empty()
                && text.len() <= 255
                && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if let Some(term) = self.spf.iter().find(|term| !plain(term)) {
            return Err(Error::invalid(
                "spf",
                format!(
                    "invalid input: `{term}` is no SPF term. Write one term each, such as `include:_spf.example.net`. Nothing was changed."
                ),
            ));
        }
        let address = self.dmarc_reports_to.as_deref();
        if address.is_some_and(|to| !plain(to) || !to.contains('@') || to.contains([';', ',', '!']))
        {
            return Err(Error::invalid(
                "dmarc_reports_to",
                "invalid input: `dmarc_reports_to` is no mail address. Nothing was changed.",
            ));
        }
        if self.service == MailService::Other && self.mail_servers.is_empty() && self.spf.is_empty()
        {
            return Err(Error::invalid(
                "mail_servers",
                "invalid input: the service `other` needs `mail_servers`, or `spf` if it only sends. Nothing was changed.",
            ));
        }
        Ok(())
    }

    /// The servers that receive the mail.
    fn servers(&self) -> Vec<(String, u16)> {
        if !self.mail_servers.is_empty() {
            return self.mail_servers.iter().map(|one| (one.host.clone(), one.priority)).collect();
        }
        match self.service {
            // https://support.google.com/a/answer/174125
            MailService::GoogleWorkspace => vec![("smtp.google.com".to_owned(), 1)],
            // https://learn.microsoft.com/microsoft-365/enterprise/external-domain-name-system-records
            MailService::Microsoft365 => {
                let label = self.domain.as_str().replace('.', "-");
                vec![(format!("{label}.mail.protection.outlook.com"), 0)]
            }
            // https://www.fastmail.help/hc/en-us/articles/360060591153
            MailService::Fastmail => vec![
                ("in1-smtp.messagingengine.com".to_owned(), 10),
                ("in2-smtp.messagingengine.com".to_owned(), 20),
            ],
            MailService::NoMail => vec![(".".to_owned(), 0)],
            MailService::Other => Vec::new(),
        }
    }

    /// The records that are wanted, given those that are there.
    fn wanted(&self, zone: &[DnsRecord]) -> Vec<NewRecord> {
        let mut wanted: Vec<NewRecord> = self
            .servers()
            .iter()
            .map(|(host, priority)| NewRecord::new("@", Kind::Mx, host, Some(*priority)))
            .collect();
        let text = |name: &str, content: &str| NewRecord::new(name, Kind::Txt, content, None);

        let mut terms: Vec<&str> = match self.service {
            MailService::GoogleWorkspace => vec!["include:_spf.google.com"],
            MailService::Microsoft365 => vec!["include:spf.protection.outlook.com"],
            MailService::Fastmail => vec!["include:spf.messagingengine.com"],
            MailService::Other => Vec::new(),
            MailService::NoMail => vec!["-all"],
        };
        terms.extend(self.spf.iter().map(String::as_str));
        // Who sends no mail allows nobody, whoever was allowed before.
        let existing: Vec<&str> = zone
            .iter()
            .filter(|record| self.service != MailService::NoMail && is_spf(record))
            .map(|record| record.content.as_str())
            .collect();
        if !terms.is_empty() {
            wanted.push(text("@", &merged(&existing, &terms)));
        }

        for key in &self.dkim {
            let name = format!("{}._domainkey", key.selector);
            let is_key = key.value.contains("p=");
            let kind = if is_key { Kind::Txt } else { Kind::Cname };
            wanted.push(NewRecord::new(&name, kind, &key.value, None));
        }
        match self.service {
            MailService::Microsoft365 => {
                wanted.push(NewRecord::new(
                    "autodiscover",
                    Kind::Cname,
                    "autodiscover.outlook.com",
                    None,
                ));
            }
            MailService::Fastmail => wanted.extend((1..=3).map(|number| {
                let host = format!("fm{number}.{}.dkim.fmhosted.com", self.domain);
                NewRecord::new(&format!("fm{number}._domainkey"), Kind::Cname, &host, None)
            })),
            _ => {}
        }

        if self.dmarc_policy.is_some() || !zone.iter().any(is_dmarc) {
            let usual = match self.service {
                MailService::NoMail => DmarcPolicy::Reject,
                _ => DmarcPolicy::None,
            };
            let chosen = self.dmarc_policy.unwrap_or(usual).as_str();
            let reports = self.dmarc_reports_to.as_ref();
            let reports = reports.map(|to| format!("; rua=mailto:{to}")).unwrap_or_default();
            wanted.push(text("_dmarc", &format!("v=DMARC1; p={chosen}{reports}")));
        }
        wanted
    }

    /// The records that go, given those that come.
    fn in_the_way(&self, zone: &[DnsRecord], add: &[DnsRecord]) -> Vec<DnsRecord> {
        let comes = |like: &dyn Fn(&DnsRecord) -> bool| add.iter().any(like);
        zone.iter()
            .filter(|old| match old.kind.as_str() {
                "MX" if old.name == "@" => {
                    let same_host = comes(&|new| new.kind == "MX" && new.content == old.content);
                    same_host || (self.replace && comes(&|new| new.kind == "MX"))
                }
                // These are merged or replaced on purpose.
                "TXT" if is_spf(old) => comes(&is_spf),
                "TXT" if is_dmarc(old) => comes(&is_dmarc),
                "TXT" | "CNAME" if self.replace => {
                    old.name.ends_with("._domainkey") && comes(&|new| new.name == old.name)
                }
                _ => false,
            })
            .cloned()
            .collect()
    }
}

fn is_spf(record: &DnsRecord) -> bool {
    record.name == "@" && policy(record, "v=spf1")
}

fn is_dmarc(record: &DnsRecord) -> bool {
    record.name == "_dmarc" && policy(record, "v=DMARC1")
}
