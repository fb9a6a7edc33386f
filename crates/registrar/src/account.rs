//! Whose account it is at which registrar, and the life of its connection.

use resto_core::{Account, Api, Code, Error, Lifecycle, Permissions, Proof, Result};
use serde::Deserialize;

use crate::contract::unknown;
use crate::permissions::ACCOUNT;

/// The life of a connection by a pasted key.
pub(crate) struct Key;

/// A key that may do everything in its account.
fn everything() -> Permissions {
    Permissions::Known([ACCOUNT.to_owned()].into())
}

async fn cloudflare(api: &Api) -> Result<Account> {
    #[derive(Deserialize)]
    struct Accounts {
        result: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        id: String,
        name: String,
    }
    // https://developers.cloudflare.com/api/resources/accounts/methods/list/
    let found: Accounts = api.get("/accounts", &[]).query("per_page", 5).send().await?;
    let count = found.result.len();
    let mut accounts = found.result.into_iter();
    match (accounts.next(), count) {
        (Some(one), 1) => Ok(Account {
            id: one.id,
            name: one.name,
            mode: None,
            // A token cannot be asked what it may do.
            permissions: Permissions::Unknown,
        }),
        _ => Err(Error::new(
            Code::ActionRequired,
            format!(
                "The token reaches {count} Cloudflare accounts; it has to reach exactly one. Limit it to the account whose domains are managed, at https://dash.cloudflare.com/profile/api-tokens."
            ),
        )),
    }
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
