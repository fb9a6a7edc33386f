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
    let found = match accounts {
        Ok(found) => found.result,
        // A token that belongs to an account cannot list accounts; its zones say which one it is.
        Err(error) if error.code() == Code::InvalidInput => owners_of_zones(api).await?,
        Err(error) => return Err(error),
    };
    let count = found.len();
    let mut accounts = found.into_iter();
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
                "The token shows {count} Cloudflare accounts; it has to show exactly one. Create it at https://dash.cloudflare.com/profile/api-tokens, limited to the account whose domains are managed."
            ),
        )),
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
