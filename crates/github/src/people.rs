//! People, whom GitHub nests in nearly every answer, told by their logins alone.

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
