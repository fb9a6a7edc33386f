//! The origin of a web page, understood when the configuration is read: what is none would let nobody in, or
//! everybody.

use std::fmt;

use http::HeaderValue;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// A web page's scheme, host and port, such as `https://app.example.com`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin {
    header: HeaderValue,
}

impl Origin {
    /// As browsers send it, without the scheme's own port.
    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }
}

impl TryFrom<String> for Origin {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // What stands before `@` may be a password.
        let shown = text.rsplit('@').next().unwrap_or_default();
        let wrong = |why: &str| {
            format!(
                "allowed_origins: `{shown}` {why}. Write a page's scheme and host, such as https://app.example.com."
            )
        };
        if text.contains('*') || text == "null" {
            return Err(wrong("lets the pages of strangers in"));
        }
        if text.contains(|character: char| character.is_whitespace() || character.is_control()) {
            return Err(wrong("is no origin"));
        }
        let url = Url::parse(&text).map_err(|_| wrong("is no origin"))?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && matches!(url.path(), "" | "/")
            && !text.ends_with('/');
        let Some(host) = url.host_str().filter(|host| bare && !host.is_empty()) else {
            return Err(wrong("is more or less than an origin"));
        };
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(wrong("is not HTTPS, so that anyone on the way could write that page"));
        }
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let header = format!("{}://{host}{port}", url.scheme());
        let header = HeaderValue::from_str(&header).map_err(|_| wrong("is no origin"))?;
        Ok(Self { header })
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.to_string()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.header.to_str().unwrap_or_default())
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g2_reads_an_origin_as_browsers_write_it() {
        for (text, header) in [
            ("https://app.example.com", "https://app.example.com"),
            ("https://APP.example.com:443", "https://app.example.com"),
            ("https://a.example:8443", "https://a.example:8443"),
            ("http://localhost:5173", "http://localhost:5173"),
            ("http://127.0.0.1", "http://127.0.0.1"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("vscode-webview://extension", "vscode-webview://extension"),
        ] {
            let origin = Origin::try_from(text.to_owned()).unwrap();
            assert_eq!(origin.header().to_str().unwrap(), header);
            assert_eq!(String::from(origin), header);
        }
    }

    #[test]
    fn g2_refuses_what_is_more_or_less_than_an_origin() {
        for text in [
            "*",
            "https://*.example.com",
            "null",
            "",
            "a.example",
            "a.example:443",
            "//a.example",
            "https://a.example/",
            "https://a.example/page",
            "https://a.example?",
            "https://a.example#",
            "https://me:hunter2@a.example",
            "https://me@a.example",
            "http://a.example",
            "http://192.168.1.7",
            "file:///page",
            "data:text/html,page",
            "https://a.example\n",
            " https://a.example",
        ] {
            let refused = Origin::try_from(text.to_owned()).unwrap_err();
            assert!(refused.starts_with("allowed_origins: `"), "{refused}");
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }
}
