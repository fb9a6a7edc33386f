//! A whole adapter: the facts about a service, one thing to do there, and its test. Try it:
//! `cargo run --example hello_adapter` prints the tool that agents see, `cargo test --example hello_adapter` tests it.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use resto_core::{
    Account, Action, Adapter, Api, Auth, Category, Integration, KeyAuth, Lifecycle, Permission,
    Permissions, Proof, Provider, Result, Risk,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The facts: where the service is, and how one signs in.
static HELLO: Integration = Integration {
    id: "hello",
    name: "Hello",
    category: Category::Communication,
    purpose: "Greets your customers in their language.",
    permissions: &[Permission { id: "greetings:read", allows: "read greetings" }],
    providers: &[Provider {
        id: "hello",
        name: "Hello",
        base_url: "https://api.hello.example",
        auth: &[Auth::Key(KeyAuth { create_url: "https://hello.example/keys", ..KeyAuth::BEARER })],
        // How it limits, pages and words its errors is like at most services.
        ..Provider::REST
    }],
};

/// Gets a greeting in a language.
// This comment is what an agent reads of the tool, and each field's is what it reads of the field.
#[derive(Deserialize, JsonSchema)]
struct GetGreeting {
    /// Language as a BCP 47 tag, such as `fr`.
    language: String,
}

/// A greeting: what the service answers, as far as an agent needs it.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Greeting {
    /// The greeting itself.
    text: String,
}

impl Action for GetGreeting {
    const NAME: &'static str = "get_greeting";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &["say hello", "welcome a customer", "dire bonjour"];
    const PERMISSIONS: &'static [&'static [&'static str]] = &[&["greetings:read"]];
    type Output = Greeting;

    async fn run(self, api: &Api) -> Result<Greeting> {
        api.get("/greetings/{}", &[&self.language]).send().await
    }
}

/// What happens when an account comes and goes.
struct Key;

impl Lifecycle for Key {
    async fn identify(api: &Api) -> Result<Account> {
        let name: String = api.get("/me", &[]).send().await?;
        let permissions = Permissions::Unknown;
        Ok(Account { id: name.clone(), name, mode: None, permissions, ends_at: None })
    }

    async fn revoke(api: &Api) -> Result<Proof> {
        api.delete("/me/key", &[]).send_empty().await.map(|()| Proof::Revoked)
    }
}

fn adapter() -> Adapter {
    Adapter::new::<Key>(&HELLO).action::<GetGreeting>()
}

fn main() {
    println!("{:#}", resto_testing::checked_tools(&adapter()));
}

#[cfg(test)]
mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;

    #[test]
    fn publishes_a_tool_that_keeps_every_rule() {
        assert_eq!(resto_testing::checked_tools(&adapter())[0]["tool"], "hello_get_greeting");
    }

    #[tokio::test]
    async fn gets_a_greeting() {
        let fake = FakeApi::new(&HELLO)
            .await
            .undescribed()
            .on("GET", "/greetings/fr", 200, json!({"text": "Bonjour", "author": "Zoé"}))
            .on("GET", "/greetings/tlh", 404, json!({"message": "no such language"}));
        let greeting = fake.run::<GetGreeting>(json!({"language": "fr"})).await.unwrap();
        assert_eq!(greeting, json!({"text": "Bonjour"}));
        let error = fake.run::<GetGreeting>(json!({"language": "tlh"})).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
    }

    #[tokio::test]
    async fn knows_whose_key_it_is_and_revokes_it() {
        let fake = FakeApi::new(&HELLO).await.on("GET", "/me", 200, "Ada").on(
            "DELETE",
            "/me/key",
            204,
            json!(null),
        );
        assert_eq!(adapter().identify(&fake.api(Risk::Read)).await.unwrap().name, "Ada");
        assert_eq!(adapter().revoke(&fake.api(Risk::Irreversible)).await.unwrap(), Proof::Revoked);
    }
}
