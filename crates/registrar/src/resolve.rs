//! Asks single name servers: the authoritative ones of a domain, and those that the public uses.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::future::join_all;
use hickory_resolver::Resolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use resto_core::is_public;

/// The most authoritative name servers that are asked.
const MAX_AUTHORITIES: usize = 6;

/// Whom to ask.
pub struct Resolvers {
    /// Resolvers that the public uses, with their names.
    pub public: Vec<(&'static str, SocketAddr)>,
    /// The port of authoritative name servers.
    pub port: u16,
    /// Which addresses may be asked: a domain's owner says where its name servers are.
    pub accept: fn(IpAddr) -> bool,
    /// How long one of them is waited for.
    pub patience: Duration,
}

impl Resolvers {
    /// The internet's.
    #[must_use]
    pub fn of_the_internet() -> Self {
        Self {
            public: vec![
                ("Cloudflare", SocketAddr::from(([1, 1, 1, 1], 53))),
                ("Google", SocketAddr::from(([8, 8, 8, 8], 53))),
                ("Quad9", SocketAddr::from(([9, 9, 9, 9], 53))),
            ],
            port: 53,
            accept: is_public,
            patience: Duration::from_secs(3),
        }
    }

    /// The internet's, as the operator's own resolvers know it, where there are some.
    #[must_use]
    pub fn by(own: &[SocketAddr]) -> Self {
        let internet = Self::of_the_internet();
        if own.is_empty() {
            return internet;
        }
        Self { public: own.iter().map(|at| ("Own", *at)).collect(), ..internet }
    }
}

/// What one server said of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// These contents, and for how many seconds they may be remembered.
    Records(Vec<Content>, u32),
    /// There is none.
    Nothing,
    /// It did not answer, or not usefully.
    Silent(String),
}

/// The content of one record, as a zone writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Without the priority.
    pub text: String,
    /// Of MX and SRV records.
    pub priority: Option<u16>,
}

impl Resolvers {
    /// What the first of the public resolvers that answers says of a full name; `kind` is such as `MX`.
    pub async fn look_up(&self, name: &str, kind: &str) -> Said {
        let (Ok(name), Ok(kind)) = (Name::from_utf8(format!("{name}.")), kind.parse()) else {
            return Said::Silent(format!("`{name}` cannot be asked for"));
        };
        let mut said = Said::Silent("there is no resolver to ask".to_owned());
        for (_, server) in &self.public {
            said = self.ask(*server, true, &name, kind).await;
            if !matches!(said, Said::Silent(_)) {
                break;
            }
        }
        said
    }

    /// Asks one server.
    pub(crate) async fn ask(
        &self,
        server: SocketAddr,
        recursive: bool,
        name: &Name,
        kind: RecordType,
    ) -> Said {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()]
            .into_iter()
            .map(|mut connection| {
                connection.port = server.port();
                connection
            })
            .collect();
        let config = NameServerConfig::new(server.ip(), true, connections);
        let mut builder = Resolver::builder_with_config(
            ResolverConfig::from_name_servers(vec![config]),
            TokioRuntimeProvider::default(),
        );
        let options = builder.options_mut();
        options.timeout = self.patience;
        // Several servers are asked: one that is slow is not asked twice.
        options.attempts = 0;
        options.recursion_desired = recursive;
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = 0;
        let resolver = match builder.build() {
            Ok(resolver) => resolver,
            Err(error) => return Said::Silent(error.to_string()),
        };
        let lookup = match resolver.lookup(name.clone(), kind).await {
            Ok(lookup) => lookup,
            Err(error) if error.is_no_records_found() => return Said::Nothing,
            Err(error) => return Said::Silent(error.to_string()),
        };
        let (mut found, mut ttl) = (Vec::new(), u32::MAX);
        for record in lookup.answers().iter().filter(|record| record.record_type() == kind) {
            ttl = ttl.min(record.ttl);
            found.push(content(&record.data));
        }
        if found.is_empty() { Said::Nothing } else { Said::Records(found, ttl) }
    }

    /// The authoritative name servers of a zone, with one address each, as the public resolvers know
    /// them.
    pub(crate) async fn authorities(&self, zone: &Name) -> Vec<(String, SocketAddr)> {
        let mut hosts = Vec::new();
        for (_, server) in &self.public {
            if let Said::Records(found, _) = self.ask(*server, true, zone, RecordType::NS).await {
                hosts = found.into_iter().map(|content| content.text).collect();
                break;
            }
        }
        hosts.sort_unstable();
        hosts.truncate(MAX_AUTHORITIES);
        let addresses = hosts.iter().map(|host| self.address(host));
        let found = join_all(addresses).await;
        hosts
            .iter()
            .zip(found)
            .filter_map(|(host, ip)| {
                Some((host.trim_end_matches('.').to_owned(), SocketAddr::new(ip?, self.port)))
            })
            .collect()
    }

    /// An address of a name server that may be asked.
    async fn address(&self, host: &str) -> Option<IpAddr> {
        let name = Name::from_utf8(host).ok()?;
        for (_, server) in &self.public {
            for kind in [RecordType::A, RecordType::AAAA] {
                let Said::Records(found, _) = self.ask(*server, true, &name, kind).await else {
                    continue;
                };
                let acceptable = found
                    .iter()
                    .filter_map(|content| content.text.parse().ok())
                    .find(|ip| (self.accept)(*ip));
                if acceptable.is_some() {
                    return acceptable;
                }
            }
        }
        None
    }
}

fn content(data: &RData) -> Content {
    let (text, priority) = match data {
        RData::MX(mx) => (mx.exchange.to_string(), Some(mx.preference)),
        RData::SRV(srv) => {
            (format!("{} {} {}", srv.weight, srv.port, srv.target), Some(srv.priority))
        }
        RData::TXT(txt) => {
            (txt.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect(), None)
        }
        other => (other.to_string(), None),
    };
    Content { text, priority }
}
