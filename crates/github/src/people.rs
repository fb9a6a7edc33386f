//! People, whom GitHub nests in nearly every answer, told by their logins alone.

use resto_core::{Api, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Login of a person, an organisation or a bot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Person")]
pub struct Login(String);

#[derive(Deserialize, JsonSchema)]
struct Person {
    login: String,
}

impl From<Person> for Login {
    fn from(person: Person) -> Self {
        Self(person.login)
    }
}

/// The login of the connected account, where it is a person's.
pub(crate) async fn own_login(api: &Api) -> Result<String> {
    // https://docs.github.com/rest/users/users#get-the-authenticated-user
    api.get("/user", &[]).send::<Login>().await.map(|login| login.0)
}
