//! TLS is always verified, and nothing in the environment stands between us and the provider.

use std::process::Command;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use resto_core::{Code, Risk};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::provider::{Server, api, impatient, ok};

/// Runs the test of this name alone, in a process with another environment: a process cannot safely
/// change its own. Returns whether this is that process.
async fn in_environment(test: &'static str, variables: Vec<(&'static str, String)>) -> bool {
    const INSIDE: &str = "RESTO_TEST_ENVIRONMENT";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let run = move || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env(INSIDE, "1")
            .envs(variables)
            .output()
            .unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}

#[tokio::test]
async fn ignores_a_proxy_in_the_environment() {
    let proxy = Server::saying([ok("[0]")]).await;
    let variables = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"]
        .map(|name| (name, proxy.url.clone()));
    if !in_environment("tls::ignores_a_proxy_in_the_environment", variables.into()).await {
        // The one request is of the client below that does look at the environment.
        assert_eq!(proxy.requests().len(), 1);
        return;
    }
    let server = Server::saying([ok("[1]")]).await;
    let (api, _) = server.api(impatient(), Risk::Read);
    assert_eq!(api.get("/x", &[]).send::<Vec<u8>>().await.unwrap(), [1]);
    #[expect(clippy::disallowed_methods, reason = "a client that does look at the environment")]
    let other = reqwest::Client::new().get(&server.url).send().await.unwrap();
    assert_eq!(other.text().await.unwrap(), "[0]");
}

/// A server whose certificate has these parameters, signed by `issuer` or by itself.
async fn server(params: &CertificateParams, issuer: Option<&Issuer<'_, KeyPair>>) -> Server {
    let key = KeyPair::generate().unwrap();
    let certificate = match issuer {
        Some(issuer) => params.signed_by(&key, issuer),
        None => params.self_signed(&key),
    };
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.unwrap().der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    Server::start_tls(TlsAcceptor::from(Arc::new(config))).await
}

#[tokio::test]
async fn refuses_every_certificate_that_is_not_right() {
    let roots = format!("{}/roots-{}.pem", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let variables = vec![("SSL_CERT_FILE", roots.clone())];
    if !in_environment("tls::refuses_every_certificate_that_is_not_right", variables).await {
        std::fs::remove_file(roots).unwrap();
        return;
    }
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "The authority of this test");
    let key = KeyPair::generate().unwrap();
    let pem = authority.self_signed(&key).unwrap().pem();
    std::fs::write(std::env::var("SSL_CERT_FILE").unwrap(), pem).unwrap();
    let issuer = Issuer::new(authority, key);

    let right = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let mut expired = right.clone();
    expired.not_after = date_time_ymd(2020, 1, 1);
    let other_host = CertificateParams::new(["elsewhere.example".to_owned()]).unwrap();

    let good = server(&right, Some(&issuer)).await;
    api(&good.url, impatient(), Risk::Read).0.get("/x", &[]).send_empty().await.unwrap();
    assert_eq!(good.requests().len(), 1);

    for (server, reason) in [
        (server(&right, None).await, "UnknownIssuer"),
        (server(&expired, Some(&issuer)).await, "expired"),
        (server(&other_host, Some(&issuer)).await, "not valid for name"),
    ] {
        for risk in [Risk::Read, Risk::Write] {
            let (api, _) = api(&server.url, impatient(), risk);
            let request = if risk == Risk::Read { api.get("/x", &[]) } else { api.post("/x", &[]) };
            let error = request.send_empty().await.unwrap_err();
            assert_eq!(error.code(), Code::ProviderDown, "{error}");
            assert!(error.message().contains(reason), "{error}");
            assert!(error.message().contains("Nothing was done"), "{error}");
        }
        assert_eq!(server.requests().len(), 0, "{reason}");
    }
}
