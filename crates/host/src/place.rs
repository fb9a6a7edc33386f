//! Where people's browsers reach this server.

use std::net::SocketAddr;
use std::sync::OnceLock;

use resto_core::{Code, Error, Result};
use url::{Host, Url};

use crate::config::Config;

/// The address of this server, as people see it.
pub(crate) struct Place {
    configured: Option<Url>,
    bind: SocketAddr,
    /// Where it listens in truth: port 0 stands for any.
    listening: OnceLock<SocketAddr>,
}

impl Place {
    /// # Errors
    /// `public_url` is not an origin that people can trust.
    pub fn new(config: &Config) -> Result<Self> {
        let configured = config.public_url.as_deref().map(public).transpose()?;
        Ok(Self { configured, bind: config.bind(), listening: OnceLock::new() })
    }

    /// Tells where the server listens.
    pub fn listens(&self, address: SocketAddr) {
        // A second server of this process, as in tests, keeps the first one's.
        let _ = self.listening.set(address);
    }

    /// Whether people come by another address than the one it listens at.
    pub fn is_configured(&self) -> bool {
        self.configured.is_some()
    }

    /// Whether people come over HTTPS.
    pub fn is_https(&self) -> bool {
        self.configured.as_ref().is_some_and(|url| url.scheme() == "https")
    }

    /// The name in `public_url`, as in the `Host` header.
    pub fn name(&self) -> Option<&str> {
        self.configured.as_ref().and_then(Url::host_str)
    }

    /// A page of this server, by the parts of its path.
    ///
    /// # Errors
    /// It has no address.
    pub fn page(&self, path: &[&str]) -> Result<Url> {
        let origin = match &self.configured {
            Some(url) => Ok(url.clone()),
            None => {
                let address = self.listening.get().copied().unwrap_or(self.bind);
                // "All addresses" is none that a browser can go to.
                let origin = if address.ip().is_unspecified() {
                    format!("http://localhost:{}", address.port())
                } else {
                    format!("http://{address}")
                };
                Url::parse(&origin)
            }
        };
        let mut url = origin.map_err(|_| nowhere())?;
        url.path_segments_mut().map_err(|()| nowhere())?.clear().extend(path);
        Ok(url)
    }
}

fn nowhere() -> Error {
    Error::new(Code::Internal, "This server has no address for people.")
}

/// Whether nobody on the way can answer in place of an address: it is one with HTTPS, or of this machine.
pub(crate) fn is_trusted(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

fn public(text: &str) -> Result<Url> {
    let wrong = |why: &str| Error::new(Code::InvalidInput, format!("public_url {why}."));
    let url = Url::parse(text).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    if !is_trusted(&url) {
        return Err(wrong("must begin with https (plain http only for a loopback address)"));
    }
    let is_origin = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !is_origin {
        return Err(wrong("must be a scheme and a host, such as https://resto.example.com"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_lie_where_people_reach_the_server() {
        let mut config = Config { bind: "0.0.0.0:0".parse().ok(), ..Config::default() };
        let place = Place::new(&config).unwrap();
        place.listens("0.0.0.0:8123".parse().unwrap());
        assert_eq!(
            place.page(&["connect", "a/b"]).unwrap().as_str(),
            "http://localhost:8123/connect/a%2Fb"
        );
        assert!(!place.is_https());
        config.public_url = Some("https://resto.example.com".into());
        let place = Place::new(&config).unwrap();
        place.listens("127.0.0.1:8123".parse().unwrap());
        assert_eq!(place.page(&["connect"]).unwrap().as_str(), "https://resto.example.com/connect");
        assert!(place.is_https());
    }

    #[test]
    fn people_are_not_sent_over_an_open_wire_or_into_a_folder() {
        for text in [
            "http://resto.example.com",
            "https://resto.example.com/here",
            "https://me:word@resto.example.com",
            "https://resto.example.com/?a",
            "resto.example.com",
            "file:///etc",
        ] {
            assert!(public(text).is_err(), "{text}");
        }
        assert!(public("http://127.0.0.1:8787").is_ok());
    }
}
