//! Takes out what is a secret by its looks: keys and tokens whose issuers gave them a prefix so that they are recognised.
//! Nothing is guessed from randomness, which would eat the ids of commits, and code.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

/// What is shorter is not looked at.
const MIN: usize = 16;

/// What is left of a secret, behind its prefix, where a text was cut in the middle of it.
const CUT: usize = 12;

/// How a kind of secret looks: a prefix, and this many of these characters or more.
struct Shape {
    /// What is told in its place.
    name: &'static str,
    prefix: &'static str,
    class: &'static str,
    len: usize,
    /// What may follow.
    rest: &'static str,
}

const fn shape(name: &'static str, prefix: &'static str, class: &'static str, len: usize) -> Shape {
    Shape { name, prefix, class, len, rest: "" }
}

const ALNUM: &str = "[0-9A-Za-z]";
const WORD: &str = "[0-9A-Za-z_-]";
const DOTTED: &str = "[0-9A-Za-z._-]";

/// The shapes. Where an issuer tells the prefix and no length, it is the one that
/// <https://github.com/gitleaks/gitleaks/blob/master/config/gitleaks.toml> has, or a shorter one.
///
/// - GitHub: <https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/>; the
///   tokens of installations are longer and have dots since
///   <https://github.blog/changelog/2026-05-15-github-app-installation-tokens-per-request-override-header/>
/// - Stripe: <https://docs.stripe.com/keys>, <https://docs.stripe.com/webhooks/signature>. Publishable keys (`pk_`) are no
///   secrets. Signing secrets of other senders look the same: <https://www.standardwebhooks.com>
/// - Google: <https://developers.google.com/identity/protocols/oauth2/web-server>,
///   <https://cloud.google.com/docs/authentication/api-keys>
/// - Vercel: <https://vercel.com/changelog/new-token-formats-and-secret-scanning>
/// - Cloudflare: <https://developers.cloudflare.com/fundamentals/api/get-started/token-formats>
/// - Porkbun: <https://porkbun.com/llms/guides/getting-started>
/// - AWS: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>
/// - Slack: <https://api.slack.com/concepts/token-types>
/// - GitLab: <https://docs.gitlab.com/security/tokens/#token-prefixes>
/// - npm: <https://github.blog/changelog/2021-09-23-npm-has-a-new-access-token-format/>
/// - `PyPI`: its tokens are macaroons, whose encoded head is always the same
/// - `SendGrid`: <https://www.twilio.com/docs/sendgrid/ui/account-and-settings/api-keys>
/// - Anthropic and `OpenAI`: <https://docs.github.com/en/code-security/reference/secret-security/supported-secret-scanning-patterns>
const SHAPES: &[Shape] = &[
    shape("GitHub token", "gh[opru]_", ALNUM, 36),
    shape("GitHub token", "ghs_", DOTTED, 36),
    Shape { rest: "[0-9A-Za-z_]*", ..shape("GitHub token", "github_pat_", ALNUM, 22) },
    shape("Stripe key", "[rs]k_(?:live|test)_", ALNUM, 16),
    shape("webhook secret", "whsec_", "[0-9A-Za-z+/=]", 24),
    shape("Google token", "ya29\\.", DOTTED, 20),
    shape("Google token", "1//", WORD, 40),
    shape("Google key", "AIza", WORD, 35),
    shape("Google client secret", "GOCSPX-", WORD, 28),
    shape("Vercel token", "vc[aciprk]_", ALNUM, 24),
    shape("Cloudflare token", "cf(?:k|ut|at)_", ALNUM, 40),
    shape("Porkbun key", "[ps]k1_", ALNUM, 64),
    shape("Slack token", "xox[abeoprs]-[0-9]", WORD, 19),
    shape("Slack token", "xapp-[0-9]-", WORD, 20),
    Shape { rest: "(?:\\.[0-9A-Za-z]+)*", ..shape("GitLab token", "glpat-", WORD, 20) },
    shape("npm token", "npm_", ALNUM, 36),
    shape("PyPI token", "pypi-AgEI", WORD, 40),
    shape("SendGrid key", "SG\\.", DOTTED, 66),
    shape("Anthropic key", "sk-ant-", WORD, 40),
    shape("OpenAI key", "sk-(?:proj|svcacct|admin)-", WORD, 40),
];

/// An id of a key has one length, and is no secret where it is cut.
const AWS: (&str, &str) = ("AWS key", "(?:AKIA|ASIA)[2-7A-Z]{16}\\b");

/// RFC 7468, also with the headers of RFC 1421 and RFC 9580, in one line with `\n` for the ends of lines, and cut.
const PEM: (&str, &str) = (
    "private key",
    concat!(
        "-----BEGIN [0-9A-Z ]{0,24}PRIVATE KEY(?: BLOCK)?-----(?:\\s|\\\\[nr])*",
        "(?:[A-Za-z-]+: [0-9A-Za-z ,./()-]*(?:\\s|\\\\[nr])+)*",
        "[0-9A-Za-z+/=]{24}(?:[0-9A-Za-z+/=]|\\s|\\\\[nr])*",
        "(?:-----END [0-9A-Z ]{0,24}PRIVATE KEY(?: BLOCK)?-----)?",
    ),
);

/// What may stand before a prefix: the edge of a word, a part of a name, or the end of a character that is written by others.
const BORDER: &str = "(?:\\b|_|%[0-9A-Fa-f]{2}|\\\\[nrt])";

/// How much of what was found is what stands before it.
fn border(found: &str) -> usize {
    match found.as_bytes() {
        [b'_', ..] => 1,
        [b'%', ..] => 3,
        [b'\\', ..] => 2,
        _ => 0,
    }
}

/// Finds all of them in one pass.
struct Known {
    names: Vec<&'static str>,
    regex: Option<Regex>,
}

impl Known {
    fn of(pattern: fn(&Shape) -> String) -> Self {
        let shapes = SHAPES.iter().map(|shape| (shape.name, pattern(shape)));
        let others = [(AWS.0, format!("{BORDER}{}", AWS.1)), (PEM.0, PEM.1.to_owned())];
        let (names, patterns): (Vec<_>, Vec<_>) = shapes.chain(others).unzip();
        let regex =
            Regex::builder().syntax(syntax::Config::new().unicode(false)).build_many(&patterns);
        Self { names, regex: regex.ok() }
    }

    fn without<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(regex) = self.regex.as_ref().filter(|_| text.len() >= MIN) else {
            return Cow::Borrowed(text);
        };
        let mut out = String::new();
        let mut end = 0;
        for found in regex.find_iter(text) {
            let start = found.start() + border(text.get(found.range()).unwrap_or_default());
            out.push_str(text.get(end..start).unwrap_or_default());
            let name = self.names.get(found.pattern().as_usize()).copied().unwrap_or("secret");
            out.extend(["[secret: ", name, "]"]);
            end = found.end();
        }
        if end == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(text.get(end..).unwrap_or_default());
        Cow::Owned(out)
    }
}

/// As a whole, or cut at the end of the text. Code has names that begin like a key and are shorter.
static WHOLE: LazyLock<Known> = LazyLock::new(|| {
    Known::of(|Shape { prefix, class, len, rest, .. }| {
        format!("{BORDER}{prefix}(?:{class}{{{len},}}{rest}|{class}{{{CUT},}}\\z)")
    })
});

/// Cut anywhere: where we speak, more of our words follow what was cut of theirs.
static CUT_ANYWHERE: LazyLock<Known> = LazyLock::new(|| {
    Known::of(|Shape { prefix, class, len, rest, .. }| {
        format!("{BORDER}{prefix}{class}{{{},}}{rest}", CUT.min(*len))
    })
});

/// The text of a result without the secrets in it.
pub(super) fn without_known(text: &str) -> Cow<'_, str> {
    WHOLE.without(text)
}

/// The text of an error without the secrets in it.
pub(super) fn without_known_or_cut(text: &str) -> Cow<'_, str> {
    CUT_ANYWHERE.without(text)
}

#[cfg(test)]
mod tests;
