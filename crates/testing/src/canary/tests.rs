use std::collections::BTreeMap;

use resto_core::{
    Action, Api, Auth, Category, Code, Error, Integration, KeyAuth, Provider, Result, Risk,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::FakeApi;

static LIBRARY: Integration = Integration {
    id: "library",
    name: "Library",
    category: Category::Communication,
    purpose: "Lends books.",
    permissions: &[],
    providers: &[Provider {
        id: "library",
        name: "Library",
        base_url: "https://api.library.example",
        auth: &[Auth::Key(KeyAuth {
            create_url: "https://library.example/keys",
            ..KeyAuth::BEARER
        })],
        ..Provider::REST
    }],
};

/// Gets a shelf as the provider answers it.
#[derive(Deserialize, JsonSchema)]
struct GetRaw {}

impl Action for GetRaw {
    const NAME: &'static str = "get_raw";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[];
    const PERMISSIONS: &'static [&'static [&'static str]] = &[];
    type Output = Map<String, Value>;

    async fn run(self, api: &Api) -> Result<Self::Output> {
        api.get("/shelf", &[]).send().await
    }
}

/// Fails with all that the provider answers.
#[derive(Deserialize, JsonSchema)]
struct FailRaw {}

impl Action for FailRaw {
    const NAME: &'static str = "fail_raw";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[];
    const PERMISSIONS: &'static [&'static [&'static str]] = &[];
    type Output = Map<String, Value>;

    async fn run(self, api: &Api) -> Result<Self::Output> {
        let shelf: Value = api.get("/shelf", &[]).send().await?;
        Err(Error::new(Code::Conflict, shelf.to_string()))
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Shelf {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    books: Vec<Book>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Book {
    title: String,
}

/// Gets a shelf by its listed fields.
#[derive(Deserialize, JsonSchema)]
struct GetShelf {}

impl Action for GetShelf {
    const NAME: &'static str = "get_shelf";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[];
    const PERMISSIONS: &'static [&'static [&'static str]] = &[];
    type Output = Shelf;

    async fn run(self, api: &Api) -> Result<Shelf> {
        api.get("/shelf", &[]).send().await
    }
}

async fn library() -> FakeApi {
    FakeApi::new(&LIBRARY).await.undescribed()
}

#[tokio::test]
#[should_panic(
    expected = "the result of library_get_raw has a field of the provider's answer that it does not list: /shelves/1/books/resto_canary"
)]
async fn a_result_that_is_passed_on_raw_fails() {
    let answer = json!({"shelves": ["none", {"books": {}}]});
    drop(library().await.on("GET", "/shelf", 200, answer).run::<GetRaw>(json!({})).await);
}

#[tokio::test]
#[should_panic(
    expected = "the error of library_fail_raw has a field of the provider's answer that it does not list: /message"
)]
async fn an_error_that_quotes_all_of_an_answer_fails() {
    let fake = library().await.on_with("GET", "/shelf", 200, &[], json!({"id": 1}));
    drop(fake.run::<FailRaw>(json!({})).await);
}

#[tokio::test]
#[should_panic(expected = "it does not list: /labels/resto_canary")]
async fn a_map_is_passed_on_only_where_the_test_says_so() {
    let answer = json!({"labels": {}, "books": [{"title": "Emma", "shelf": 7}]});
    let open =
        library().await.passes_on("/shelf", "labels").on("GET", "/shelf", 200, answer.clone());
    let shelf = open.run::<GetShelf>(json!({})).await.unwrap();
    assert_eq!(shelf, json!({"labels": {}, "books": [{"title": "Emma"}]}));

    let elsewhere =
        library().await.passes_on("/shelves", "labels").on("GET", "/shelf", 200, answer);
    drop(elsewhere.run::<GetShelf>(json!({})).await);
}

#[tokio::test]
#[should_panic(expected = "the result of library_get_shelf shows the secret door: /labels/code")]
async fn a_named_secret_that_is_shown_fails() {
    let answer = json!({"labels": {"code": "it is 1234"}});
    let fake = library().await.passes_on("/shelf", "labels").on("GET", "/shelf", 200, answer);
    drop(fake.with_secret("door", "1234").run::<GetShelf>(json!({})).await);
}
