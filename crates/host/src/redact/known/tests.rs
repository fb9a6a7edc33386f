use proptest::prelude::*;

use super::*;

/// Forty characters, so that no key stands in this repository.
const RUN: &str = "aZ3bY4cX5dW6eV7fU8gT9hS0iR1jQ2kP3lO4mN5n";

/// What stands in the place of a secret, a prefix, and the length of what follows.
fn secrets() -> Vec<(&'static str, String)> {
    let run = |len: usize| RUN.repeat(3)[..len].to_owned();
    let of = |name, prefix: &[&str], rest: String| (name, prefix.concat() + &rest);
    let mut secrets = vec![
        of("GitHub token", &["ghs", "_"], format!("12345_{}.{}.{}-_", run(60), run(80), run(40))),
        of("GitHub token", &["github", "_pat_"], format!("{}_{}", run(22), run(59))),
        of("webhook secret", &["whsec", "_"], format!("{}+/=", run(29))),
        of("Google token", &["ya", "29."], format!("c.b0{}-_", run(40))),
        of("Google token", &["1", "//"], format!("0{}-_", run(45))),
        of("Google key", &["AI", "za"], run(35)),
        of("Google client secret", &["GOC", "SPX-"], run(28)),
        of("Slack token", &["xap", "p-1-"], format!("A0{}-{}", run(9), run(40))),
        of("GitLab token", &["glp", "at-"], run(20)),
        of("GitLab token", &["glp", "at-"], format!("{}.01.0a1b2c3d4", run(27))),
        of("npm token", &["np", "m_"], run(36)),
        of("PyPI token", &["pypi", "-AgEI"], run(80)),
        of("SendGrid key", &["S", "G."], format!("{}.{}", run(22), run(43))),
        of("Anthropic key", &["sk-", "ant-"], format!("api03-{}", run(93))),
        of("OpenAI key", &["sk-", "proj-"], run(90)),
        of("Porkbun key", &["pk", "1_"], "0123456789abcdef".repeat(4)),
        of("Porkbun key", &["sk", "1_"], "0123456789abcdef".repeat(4)),
        of("AWS key", &["AK", "IA"], "ABCDEFGH234567XY".to_owned()),
        of("AWS key", &["AS", "IA"], "ABCDEFGH234567XY".to_owned()),
    ];
    secrets.extend(["p", "o", "u", "s", "r"].map(|c| of("GitHub token", &["gh", c, "_"], run(36))));
    secrets.extend(
        ["sk_live", "sk_test", "rk_live", "rk_test"]
            .map(|kind| of("Stripe key", &[kind, "_"], run(24))),
    );
    secrets.extend(
        ["a", "c", "i", "p", "r", "k"].map(|c| of("Vercel token", &["vc", c, "_"], run(24))),
    );
    secrets.extend(
        ["k", "ut", "at"]
            .map(|kind| of("Cloudflare token", &["cf", kind, "_"], run(40) + "0a1b2c3d")),
    );
    secrets.extend(["a", "b", "e", "o", "p", "r", "s"].map(|c| {
        of("Slack token", &["xox", c, "-"], format!("17653672481-19874698323-{}", run(24)))
    }));
    secrets
}

fn pem(kind: &str, headers: &str, newline: &str) -> String {
    let line = RUN.repeat(2)[..64].to_owned() + newline;
    let (begin, end) = (format!("-----BEGIN {kind}-----"), format!("-----END {kind}-----"));
    format!("{begin}{newline}{headers}{}{}=={newline}{end}", line.repeat(3), &RUN[..30])
}

#[test]
fn d5_takes_each_known_secret_out_wherever_it_stands() {
    for (name, secret) in secrets() {
        for text in [
            "{}",
            "a {} b",
            "key={}\n",
            "\"{}\"",
            "https://u:{}@h/",
            "{},{}",
            "é{} é",
            "u%3A{}",
            "\\n{}",
            "TOKEN_{}",
        ] {
            let (text, clean) =
                (text.replace("{}", &secret), text.replace("{}", &format!("[secret: {name}]")));
            assert_eq!(without_known(&text), clean);
            assert_eq!(without_known_or_cut(&text), clean);
        }
    }
}

#[test]
fn d5_takes_what_was_cut_of_a_secret_out() {
    for (name, secret) in secrets().into_iter().filter(|(name, _)| *name != "AWS key") {
        // The longest prefix has eleven characters.
        for left in 11 + CUT..secret.len() {
            let cut = secret[..left].trim_end_matches('.');
            assert_eq!(without_known(&format!("It was {cut}")), format!("It was [secret: {name}]"));
            let told = without_known_or_cut(&format!("GitHub said: {cut}, so ask.")).into_owned();
            assert_eq!(told, format!("GitHub said: [secret: {name}], so ask."));
        }
    }
}

#[test]
fn d5_takes_a_private_key_out_as_a_whole() {
    let headers = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123456789ABCDEF\n\n";
    for key in [
        pem("PRIVATE KEY", "", "\n"),
        pem("PRIVATE KEY", "", "\r\n"),
        pem("EC PRIVATE KEY", "", "\\n"),
        pem("RSA PRIVATE KEY", headers, "\n"),
        pem("OPENSSH PRIVATE KEY", "", "\n"),
        pem("PGP PRIVATE KEY BLOCK", "Version: GnuPG v2.1 (GNU/Linux)\n\n", "\n"),
    ] {
        assert_eq!(without_known(&format!("a {key} b")), "a [secret: private key] b", "{key}");
        let cut = &key[..key.len() - 60];
        assert_eq!(without_known(&format!("a {cut}")), "a [secret: private key]", "{cut}");
    }
}

#[test]
fn d5_leaves_what_only_looks_like_a_secret() {
    let begin = ["-----BEGIN PRIVATE", " KEY-----"].concat();
    let publishable = ["pk", "_live_", &RUN[..24]].concat();
    let publishable_of_a_test = ["pk", "_test_", &RUN[..24]].concat();
    for text in [
        &publishable,
        &publishable_of_a_test,
        "9fceb02d0ae598e95dc970b74767f19372d61af8",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "Keys that begin with sk_ or sk_live_ are secret, tokens begin with ghp_ or github_pat_.",
        "sk_test_configuration = load()",
        "const github_pat_of_another_account_that_is_not_ours_at_all = 1;",
        "npm_config_registry npm_lifecycle_event npm_installglobally npm_package_name",
        "xoxb-your-token-goes-here-please-now",
        "<div class=\"sk-admin-dashboard-header\">",
        "ASIAPACIFICREGIONAL is a place",
        "https://example.com/1//a/b",
        RUN,
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
        &format!("if text.startswith('{begin}'): raise ValueError"),
        "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUYQ==\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----",
        "postgres://user:password@localhost/db",
    ] {
        assert!(matches!(without_known(text), Cow::Borrowed(same) if same == text), "{text}");
    }
}

#[test]
fn every_shape_compiles() {
    for known in [&*WHOLE, &*CUT_ANYWHERE] {
        assert_eq!(known.regex.as_ref().unwrap().pattern_len(), SHAPES.len() + 2);
    }
}

/// The pieces of which secrets are made, and what may stand between them.
const PIECES: &str = "(gh[pousr]_|github_pat_|[srp]k_live_|whsec_|ya29\\.|1//|AIza|AKIA|ASIA|GOCSPX-|vcp_|cfut_|sk1_|\
    xoxb-1|xapp-1-|glpat-|npm_|pypi-AgEI|SG\\.|sk-ant-|sk-proj-|-----(BEGIN|END) (RSA )?PRIVATE KEY-----|\
    [0-9A-Za-z]{20,45}|[2-7A-Z]{16}|[a-f0-9]{64}|[._/+=\\\\ \n-]|\\\\n|\\PC){1,12}";

proptest! {
    #[test]
    fn d5_changes_nothing_twice(text in PIECES) {
        for without in [without_known, without_known_or_cut] {
            let once = without(&text).into_owned();
            prop_assert_eq!(without(&once), once.as_str());
        }
    }
}
