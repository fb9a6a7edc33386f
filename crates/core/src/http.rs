//! The one HTTP client: HTTPS to public addresses only, no redirects, no proxy from the
//! environment, and a bound on everything that a provider can make large or slow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::{Code, Error, Result};

/// How long a connection waits for the next request: long enough for those of one action. It is closed, and its memory
/// wiped, within twice this time.
const IDLE: Duration = Duration::from_millis(500);

/// The bounds on an answer.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// To connect.
    pub connect: Duration,
    /// From the request to the end of the headers.
    pub first_byte: Duration,
    /// From the first try to the end of the body of the last.
    pub total: Duration,
    /// Bytes of a body, after decompression.
    pub body: usize,
    /// Headers of an answer.
    pub headers: usize,
    /// Bytes of the headers of an answer.
    pub header_bytes: usize,
    /// Before the second try of a read; twice that before the third.
    pub retry_pause: Duration,
    /// The longest wait that a provider may ask for and that we take without telling the caller.
    pub patience: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            first_byte: Duration::from_secs(10),
            total: Duration::from_secs(30),
            body: 8 << 20,
            headers: 100,
            header_bytes: 64 << 10,
            retry_pause: Duration::from_millis(500),
            patience: Duration::from_secs(20),
        }
    }
}

/// The HTTP client that all integrations share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Http {
    public: reqwest::Client,
    loopback: reqwest::Client,
    pub(crate) bounds: Arc<Bounds>,
}

impl Http {
    /// A client with the given bounds.
    ///
    /// # Errors
    /// The system's trusted certificates cannot be read.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn new(bounds: Bounds) -> Result<Self> {
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("resto/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .no_proxy()
                .connect_timeout(bounds.connect)
                .tcp_nodelay(true)
                // The client keeps the head of the last request, with the credential, for as long as its connection.
                .pool_idle_timeout(IDLE)
        };
        let failed = |error: reqwest::Error| {
            Error::new(Code::Internal, format!("The HTTP client cannot be set up: {error}"))
        };
        Ok(Self {
            public: builder().https_only(true).dns_resolver(PublicOnly).build().map_err(failed)?,
            loopback: builder().dns_resolver(LoopbackOnly).build().map_err(failed)?,
            bounds: Arc::new(bounds),
        })
    }

    /// The client for a URL: HTTPS for public hosts; plain HTTP only for loopback, which only the
    /// operator's configuration can name.
    pub(crate) fn client(&self, url: &Url) -> Result<&reqwest::Client> {
        if is_loopback(url) {
            return Ok(&self.loopback);
        }
        if !may_go_to(url) {
            return Err(Error::new(
                Code::Denied,
                format!(
                    "Requests go to public addresses over HTTPS only, and `{}` is not one. Nothing was sent.",
                    url.host_str().unwrap_or_default()
                ),
            ));
        }
        Ok(&self.public)
    }
}

/// Whether requests may go to a URL: HTTPS to a host that is not plainly inside, or a loopback address, which only the
/// operator's configuration can name. What a name resolves to shows when it is used.
#[must_use]
pub fn may_go_to(url: &Url) -> bool {
    if is_loopback(url) {
        return matches!(url.scheme(), "http" | "https");
    }
    let is_outside = match url.host() {
        Some(Host::Ipv4(ip)) => is_public(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => is_public(IpAddr::V6(ip)),
        Some(Host::Domain(_)) => true,
        None => false,
    };
    url.scheme() == "https" && is_outside
}

/// Whether a URL names this machine by a loopback address or `localhost`.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Whether an address is on the public internet. IPv6 forms that carry an IPv4 address are judged
/// by it. Source: the IANA special-purpose address registries.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(a == 0
        || a == 127
        || a >= 224
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_documentation()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19)))
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(v4) = ip.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let [first, second, third, ..] = ip.segments();
    let embedded = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (first, second) {
        // NAT64 and 6to4: the embedded address is where the packet ends up.
        (0x64, 0xff9b) => {
            let [.., high, low] = ip.segments();
            third == 0 && is_public_v4(embedded(high, low))
        }
        (0x2002, _) => is_public_v4(embedded(second, third)),
        // Special-purpose block (Teredo, ORCHID, benchmarking) and documentation.
        (0x2001, 0..=0x01ff | 0xdb8) | (0x3fff, 0..=0x0fff) => false,
        _ => (0x2000..0x4000).contains(&first),
    }
}

struct PublicOnly;
struct LoopbackOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        resolve(name, is_public, "is not on the public internet")
    }
}

impl Resolve for LoopbackOnly {
    fn resolve(&self, name: Name) -> Resolving {
        resolve(name, |ip| ip.is_loopback(), "is not this machine")
    }
}

/// Resolves a name and refuses it when any of its addresses is unacceptable: a name that points
/// inside once will do so again.
fn resolve(name: Name, accept: fn(IpAddr) -> bool, what: &'static str) -> Resolving {
    Box::pin(async move {
        let addresses: Vec<SocketAddr> =
            tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
        if let Some(bad) = addresses.iter().find(|address| !accept(address.ip())) {
            return Err(format!("{} resolves to {}, which {what}", name.as_str(), bad.ip()).into());
        }
        Ok(Box::new(addresses.into_iter()) as Addrs)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_every_inside_address() {
        let http = Http::new(Bounds::default()).unwrap();
        for host in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "0xa.0.0.1",
            "10.1",
            "[::]",
            "[::ffff:10.0.0.1]",
            "[::ffff:169.254.169.254]",
            "[::ffff:127.0.0.1]",
            "[::10.0.0.1]",
            "[64:ff9b::a00:1]",
            "[64:ff9b:1::1]",
            "[2002:a00:1::]",
            "[2002:7f00:1::]",
            "[2001::1]",
            "[2001:db8::1]",
            "[fc00::1]",
            "[fd12:3456::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[3fff::1]",
            "[100::1]",
            "[5f00::1]",
        ] {
            let url = Url::parse(&format!("https://{host}/x")).unwrap();
            assert!(http.client(&url).is_err(), "{host}");
        }
        for host in
            ["140.82.121.6", "[2606:50c0:8000::154]", "[64:ff9b::8c52:7906]", "api.github.com"]
        {
            assert!(
                http.client(&Url::parse(&format!("https://{host}/")).unwrap()).is_ok(),
                "{host}"
            );
            assert!(
                http.client(&Url::parse(&format!("http://{host}/")).unwrap()).is_err(),
                "{host}"
            );
        }
    }

    #[tokio::test]
    async fn refuses_a_public_name_that_resolves_inside() {
        // `localhost` stands for any name whose owner points it inside.
        let error = match resolve("localhost".parse().unwrap(), is_public, "is inside").await {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains("is inside"), "{error}");
    }
}
