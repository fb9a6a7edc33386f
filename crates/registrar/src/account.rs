//! Whose account it is at which registrar, and the life of its connection.

use resto_core::{Account, Api, Code, Error, Lifecycle, Permissions, Proof, Result, clean};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::contract::unknown;
use crate::permissions::ACCOUNT;

/// The life of a connection by a pasted key.
pub(crate) struct Key;

/// A key that may do everything in its account.
fn everything() -> Permissions {
    Permissions::Known([ACCOUNT.to_owned()].into())
}

/// An account as Cloudflare names it.
#[derive(Deserialize, PartialEq, Eq)]
struct Named {
    id: String,
    name: String,
}

async fn cloudflare(api: &Api) -> Result<Account> {
    #[derive(Deserialize)]
    struct Accounts {
        result: Vec<Named>,
    }
    // https://developers.cloudflare.com/api/resources/accounts/methods/list/
    let accounts = api.get("/accounts", &[]).query("per_page", 5).send::<Accounts>().await;
    let (found, is_persons) = match accounts {
        Ok(found) => (found.result, true),
        // A token that belongs to an account cannot list accounts; its zones say which one it is.
        Err(error) if error.code() == Code::InvalidInput => (owners_of_zones(api).await?, false),
        Err(error) => return Err(error),
    };
    let count = found.len();
    let mut accounts = found.into_iter();
    match (accounts.next(), count) {
        (Some(one), 1) => Ok(Account {
            ends_at: end_of_token(api, (!is_persons).then_some(&one.id)).await?,
            id: one.id,
            name: one.name,
            mode: None,
            // A token cannot be asked what it may do.
            permissions: Permissions::Unknown,
        }),
        _ => Err(Error::new(
            Code::ActionRequired,
            format!(
                "The token shows {count} Cloudflare accounts; it has to show exactly one. Create it at https://dash.cloudflare.com/profile/api-tokens, limited to the account whose domains are managed."
            ),
        )),
    }
}

/// When the token in use stops working; of one that belongs to an account, that account is asked.
async fn end_of_token(api: &Api, account: Option<&String>) -> Result<Option<i64>> {
    #[derive(Deserialize)]
    struct Verified {
        result: Token,
    }
    #[derive(Deserialize)]
    struct Token {
        #[serde(default)]
        status: Option<String>,
        #[serde(default)]
        expires_on: Option<String>,
    }
    // https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/verify/
    let asked = match account {
        None => api.get("/user/tokens/verify", &[]),
        Some(account) => api.get("/accounts/{}/tokens/verify", &[account]),
    };
    let verified: Result<Verified> = asked.send().await;
    match verified {
        Ok(Verified { result: Token { status: Some(status), .. } }) if status != "active" => {
            Err(Error::new(
                Code::AuthExpired,
                format!(
                    "Cloudflare says that the token is {}. Reconnect with another one.",
                    clean(&status)
                ),
            ))
        }
        Ok(Verified { result }) => {
            let end = result.expires_on.and_then(|end| OffsetDateTime::parse(&end, &Rfc3339).ok());
            Ok(end.map(OffsetDateTime::unix_timestamp))
        }
        // It is used all the same, without knowing its end.
        Err(error) if matches!(error.code(), Code::AuthExpired | Code::ProviderDown) => Err(error),
        Err(_) => Ok(None),
    }
}

/// The accounts whose DNS zones the token sees.
async fn owners_of_zones(api: &Api) -> Result<Vec<Named>> {
    #[derive(Deserialize)]
    struct Zones {
        result: Vec<Zone>,
    }
    #[derive(Deserialize)]
    struct Zone {
        account: Named,
    }
    let zones: Zones = api.get("/zones", &[]).query("per_page", 50).send().await?;
    let mut owners = Vec::new();
    for zone in zones.result {
        if !owners.contains(&zone.account) {
            owners.push(zone.account);
        }
    }
    Ok(owners)
}

async fn porkbun(api: &Api) -> Result<Account> {
    #[derive(Deserialize)]
    struct Balance {
        status: String,
        #[serde(default)]
        sandbox: bool,
    }
    let balance: Balance = api.get("/account/balance", &[]).send().await?;
    if balance.status != "SUCCESS" {
        return Err(Error::new(
            Code::AuthExpired,
            "Porkbun refused the keys. Create new ones at https://porkbun.com/account/api.",
        ));
    }
    let mode = if balance.sandbox { "sandbox" } else { "live" };
    // Porkbun does not tell whose keys they are.
    Ok(Account {
        id: format!("porkbun-{mode}"),
        name: "Porkbun account".to_owned(),
        mode: Some(mode.to_owned()),
        permissions: everything(),
        ends_at: None,
    })
}

async fn namecom(api: &Api) -> Result<Account> {
    #[derive(Deserialize)]
    struct Hello {
        username: String,
    }
    let hello: Hello = api.get("/core/v1/hello", &[]).send().await?;
    let mode = if hello.username.ends_with("-test") { "test" } else { "live" };
    Ok(Account {
        id: hello.username.clone(),
        name: hello.username,
        mode: Some(mode.to_owned()),
        permissions: everything(),
        ends_at: None,
    })
}

impl Lifecycle for Key {
    async fn identify(api: &Api) -> Result<Account> {
        match api.provider().id {
            "cloudflare" => cloudflare(api).await,
            "porkbun" => porkbun(api).await,
            "namecom" => namecom(api).await,
            other => Err(unknown(other)),
        }
    }

    async fn revoke(api: &Api) -> Result<Proof> {
        let (name, url) = match api.provider().id {
            "cloudflare" => ("token", "https://dash.cloudflare.com/profile/api-tokens"),
            "porkbun" => ("API keys", "https://porkbun.com/account/api"),
            _ => ("token", "https://www.name.com/account/settings/api"),
        };
        Ok(Proof::PersonMust {
            instruction: format!(
                "Delete the {name} at {}; whoever holds it can still use it.",
                api.provider().name
            ),
            url: url.to_owned(),
        })
    }
}
