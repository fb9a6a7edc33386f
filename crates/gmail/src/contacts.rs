//! The people of the address book: listed, and found.

pub(crate) mod changes;

use resto_core::{Action, Api, Page, PageRequest, Paging, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::PEOPLE;
use crate::permissions::CONTACTS_READ;

/// The fields of a person that are read.
pub(crate) const FIELDS: &str =
    "names,emailAddresses,phoneNumbers,organizations,biographies,metadata";
/// The most that a search finds.
const MAX_FOUND: u32 = 30;
/// Characters of a contact's notes.
const MAX_NOTES: usize = 2_000;

/// An address or a number, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reached {
    pub value: String,
    /// Such as `work`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Somebody in the address book.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Contact {
    /// Its id.
    #[serde(rename = "contact_id")]
    pub id: String,
    /// The state that it was read in; a change names it.
    pub etag: String,
    /// Whole name.
    pub name: String,
    /// Given name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    /// Family name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
    /// Mail addresses.
    pub emails: Vec<Reached>,
    /// Phone numbers.
    pub phones: Vec<Reached>,
    /// Company.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// What the person does there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_title: Option<String>,
    /// What was noted about the person, at most 2,000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// A person as Google writes it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Person {
    resource_name: String,
    metadata: Metadata,
    names: Vec<Name>,
    email_addresses: Vec<Labelled>,
    phone_numbers: Vec<Labelled>,
    organizations: Vec<Organization>,
    biographies: Vec<Labelled>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    sources: Vec<Source>,
}

/// Where Google has a person from: the address book, or other places too.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Source {
    #[serde(rename = "type")]
    kind: String,
    etag: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Name {
    #[serde(rename = "displayName")]
    whole: String,
    #[serde(rename = "givenName")]
    given: Option<String>,
    #[serde(rename = "familyName")]
    family: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Organization {
    name: Option<String>,
    title: Option<String>,
}

/// Anything with a value and perhaps a type.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Labelled {
    value: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl From<Labelled> for Reached {
    fn from(one: Labelled) -> Self {
        Self { value: one.value, label: one.kind }
    }
}

impl From<Person> for Contact {
    fn from(person: Person) -> Self {
        let name = person.names.into_iter().next().unwrap_or_default();
        let organization = person.organizations.into_iter().next().unwrap_or_default();
        let id = person.resource_name.strip_prefix("people/").unwrap_or(&person.resource_name);
        // The person's own tag also tells which fields were asked for.
        let own = person.metadata.sources.into_iter().find(|source| source.kind == "CONTACT");
        let notes = person.biographies.into_iter().next();
        Self {
            id: id.to_owned(),
            etag: own.unwrap_or_default().etag,
            name: name.whole,
            given_name: name.given,
            family_name: name.family,
            emails: person.email_addresses.into_iter().map(Reached::from).collect(),
            phones: person.phone_numbers.into_iter().map(Reached::from).collect(),
            organization: organization.name,
            job_title: organization.title,
            notes: notes.map(|notes| notes.value.chars().take(MAX_NOTES).collect()),
        }
    }
}

/// Lists contacts by first name.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListContacts {
    #[serde(flatten)]
    page: PageRequest,
}

/// How Google's address book is continued.
static PAGES: Paging =
    Paging::Cursor { size: "pageSize", max: 100, cursor: "pageToken", next: "/nextPageToken" };

impl Action for ListContacts {
    const NAME: &'static str = "list_contacts";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "address book",
        "all my contacts",
        "Adressbuch",
        "carnet d'adresses",
        "libreta de direcciones",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = CONTACTS_READ;
    type Output = Page<Contact>;

    async fn run(self, api: &Api) -> Result<Page<Contact>> {
        // https://developers.google.com/people/api/rest/v1/people.connections/list
        let request = api.get("/v1/people/me/connections", &[]).at(PEOPLE);
        let request = request
            .query("personFields", FIELDS)
            .query("sources", "READ_SOURCE_TYPE_CONTACT")
            .query("sortOrder", "FIRST_NAME_ASCENDING")
            .page_by(&PAGES, &self.page);
        Ok(request.list_in("connections").await?.map(|person: Person| person.into()))
    }
}

/// People who were found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Found {
    /// The best matches first, at most 30.
    pub contacts: Vec<Contact>,
}

/// Finds contacts by the beginning of a name, a mail address, a phone number or a company.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SearchContacts {
    /// Such as `ada` or `example.com`.
    query: String,
    /// Default 10.
    #[schemars(range(min = 1, max = 30))]
    limit: Option<u32>,
}

impl Action for SearchContacts {
    const NAME: &'static str = "search_contacts";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["find somebody's email address", "look up a phone number", "whose number is this"];
    const PERMISSIONS: &'static [&'static [&'static str]] = CONTACTS_READ;
    type Output = Found;

    async fn run(self, api: &Api) -> Result<Found> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            results: Vec<One>,
        }
        #[derive(Deserialize)]
        struct One {
            #[serde(default)]
            person: Person,
        }
        let limit = self.limit.unwrap_or(10).clamp(1, MAX_FOUND);
        let search = |query: &str| {
            // https://developers.google.com/people/api/rest/v1/people/searchContacts
            let request = api.get("/v1/people:searchContacts", &[]).at(PEOPLE);
            request.query("query", query).query("readMask", FIELDS).query("pageSize", limit)
        };
        // Google asks for an empty search first: it brings the index up to date.
        search("").send_empty().await?;
        let found: Answer = search(&self.query).send().await?;
        Ok(Found { contacts: found.results.into_iter().map(|one| one.person.into()).collect() })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::GMAIL;

    /// Ada as Google writes her.
    pub fn ada() -> serde_json::Value {
        json!({"resourceName": "people/c7", "etag": "%EgUBAg==",
            "metadata": {"sources": [{"type": "CONTACT", "id": "7", "etag": "#one", "updateTime": "2026-01-01T00:00:00Z"}], "objectType": "PERSON"},
            "names": [{"metadata": {"primary": true}, "displayName": "Dr. Ada Lovelace", "givenName": "Ada", "familyName": "Lovelace",
                "honorificPrefix": "Dr.", "displayNameLastFirst": "Lovelace, Ada, Dr.", "unstructuredName": "Dr. Ada Lovelace"}],
            "emailAddresses": [{"metadata": {"primary": true}, "value": "ada@example.com", "type": "work", "formattedType": "Work"}],
            "phoneNumbers": [{"value": "+44 1", "canonicalForm": "+441"}],
            "organizations": [{"metadata": {"primary": true}, "name": "Engines", "title": "Analyst", "department": "Research"}, {"name": "Other"}],
            "biographies": [{"value": "Met in May", "contentType": "TEXT_PLAIN"}]})
    }

    /// Ada as an agent sees her.
    pub fn contact() -> serde_json::Value {
        json!({"contact_id": "c7", "etag": "#one", "name": "Dr. Ada Lovelace", "given_name": "Ada", "family_name": "Lovelace",
            "emails": [{"value": "ada@example.com", "label": "work"}], "phones": [{"value": "+44 1"}],
            "organization": "Engines", "job_title": "Analyst", "notes": "Met in May"})
    }

    #[tokio::test]
    async fn lists_contacts() {
        let fake = FakeApi::new(&GMAIL).await.on(
            "GET",
            "/v1/people/me/connections",
            200,
            json!({"connections": [ada(), {"resourceName": "people/c8", "etag": "x", "metadata": {"sources": [{"type": "PROFILE", "etag": "#p"}, {"type": "CONTACT", "id": "8", "etag": "#two"}]}}], "nextPageToken": "next", "totalItems": 9}),
        );
        let page = fake.run::<ListContacts>(json!({"cursor": "here", "limit": 2})).await.unwrap();
        assert_eq!(
            page,
            json!({"items": [contact(), {"contact_id": "c8", "etag": "#two", "name": "", "emails": [], "phones": []}],
                "next_cursor": "next"})
        );
        let asked = &fake.requests().await[0].query;
        assert_eq!((asked["pageSize"].as_str(), asked["pageToken"].as_str()), ("2", "here"));
    }

    #[tokio::test]
    async fn lists_an_empty_address_book() {
        let fake =
            FakeApi::new(&GMAIL).await.on("GET", "/v1/people/me/connections", 200, json!({}));
        assert_eq!(fake.run::<ListContacts>(json!({})).await.unwrap(), json!({"items": []}));
    }

    #[tokio::test]
    async fn finds_contacts_after_bringing_the_index_up_to_date() {
        let fake = FakeApi::new(&GMAIL)
            .await
            .on("GET", "/v1/people:searchContacts", 200, json!({}))
            .on("GET", "/v1/people:searchContacts", 200, json!({"results": [{"person": ada()}]}));
        let found = fake.run::<SearchContacts>(json!({"query": "ada"})).await.unwrap();
        assert_eq!(found, json!({"contacts": [contact()]}));
        let asked: Vec<String> =
            fake.requests().await.into_iter().map(|one| one.query["query"].clone()).collect();
        assert_eq!(asked, ["", "ada"]);
    }

    #[tokio::test]
    async fn finds_nobody_without_a_fault() {
        let fake =
            FakeApi::new(&GMAIL).await.on("GET", "/v1/people:searchContacts", 200, json!({}));
        let found = fake.run::<SearchContacts>(json!({"query": "x", "limit": 30})).await.unwrap();
        assert_eq!(found, json!({"contacts": []}));
    }
}
