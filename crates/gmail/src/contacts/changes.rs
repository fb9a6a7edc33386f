//! Changing the address book. Google replaces the fields that a change names whole, so a change
//! begins with what is there.

use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Contact, FIELDS, Person, Reached};
use crate::PEOPLE;
use crate::mailboxes::Mailbox;
use crate::permissions::CONTACTS_WRITE;

/// Addresses, and numbers, of one contact.
const MAX_ENTRIES: usize = 20;

/// What is to be known of somebody. Actions flatten it into their input.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
struct Facts {
    given_name: Option<String>,
    family_name: Option<String>,
    /// All of them.
    #[schemars(length(max = 20))]
    emails: Option<Vec<Reached>>,
    /// All of them.
    #[schemars(length(max = 20))]
    phones: Option<Vec<Reached>>,
    /// Company.
    organization: Option<String>,
    job_title: Option<String>,
    notes: Option<String>,
}

impl Facts {
    /// The fields of a person that these facts change, from what they were.
    fn over(self, person: &Value) -> Result<Map<String, Value>> {
        let mut fields = Map::new();
        if self.given_name.is_some() || self.family_name.is_some() {
            let mut name = first(person, "names");
            // Google makes them of the others.
            for made in ["displayName", "displayNameLastFirst", "unstructuredName"] {
                name.remove(made);
            }
            put(&mut name, "givenName", self.given_name);
            put(&mut name, "familyName", self.family_name);
            fields.insert("names".to_owned(), json!([name]));
        }
        if let Some(emails) = &self.emails {
            for one in emails {
                Mailbox::read("emails", &one.value)?;
            }
            fields.insert("emailAddresses".to_owned(), entries("emails", emails)?);
        }
        if let Some(phones) = &self.phones {
            fields.insert("phoneNumbers".to_owned(), entries("phones", phones)?);
        }
        if self.organization.is_some() || self.job_title.is_some() {
            let mut organization = first(person, "organizations");
            put(&mut organization, "name", self.organization);
            put(&mut organization, "title", self.job_title);
            let others = person["organizations"].as_array().into_iter().flatten().skip(1);
            let all: Vec<Value> =
                [Value::Object(organization)].into_iter().chain(others.cloned()).collect();
            fields.insert("organizations".to_owned(), all.into());
        }
        if let Some(notes) = self.notes {
            let notes = json!([{"value": notes, "contentType": "TEXT_PLAIN"}]);
            fields.insert("biographies".to_owned(), notes);
        }
        if fields.is_empty() {
            return Err(Error::invalid(
                "given_name",
                "invalid input: nothing is said of the person, such as `given_name` or `emails`. Nothing was changed.",
            ));
        }
        Ok(fields)
    }
}

/// The first entry of a field, without what Google says about it.
fn first(person: &Value, field: &str) -> Map<String, Value> {
    let mut entry =
        person.get(field).and_then(|list| list.get(0)).and_then(Value::as_object).cloned();
    if let Some(entry) = &mut entry {
        entry.remove("metadata");
    }
    entry.unwrap_or_default()
}

fn put(entry: &mut Map<String, Value>, field: &str, text: Option<String>) {
    if let Some(text) = text {
        entry.insert(field.to_owned(), text.into());
    }
}

fn entries(field: &str, all: &[Reached]) -> Result<Value> {
    if all.len() > MAX_ENTRIES {
        return Err(Error::invalid(
            field,
            format!(
                "invalid input: `{field}` has more than {MAX_ENTRIES} entries. Nothing was changed."
            ),
        ));
    }
    let entry = |one: &Reached| match &one.label {
        Some(label) => json!({"value": one.value, "type": label}),
        None => json!({"value": one.value}),
    };
    Ok(all.iter().map(entry).collect())
}

/// Adds somebody to the address book.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateContact {
    #[serde(flatten)]
    facts: Facts,
}

impl Action for CreateContact {
    const NAME: &'static str = "create_contact";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "add a person to contacts",
        "save a phone number",
        "new address book entry",
        "Kontakt hinzufügen",
        "ajouter un contact",
        "añadir contacto",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = CONTACTS_WRITE;
    type Output = Contact;

    async fn run(self, api: &Api) -> Result<Contact> {
        let fields = self.facts.over(&Value::Null)?;
        // https://developers.google.com/people/api/rest/v1/people/createContact
        let request = api.post("/v1/people:createContact", &[]).at(PEOPLE);
        let request = request.query("personFields", FIELDS).json(&fields);
        request.send().await.map(|person: Person| person.into())
    }
}

/// Changes a contact; what is left out stays. Refused if it changed since it was read.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct UpdateContact {
    contact_id: String,
    /// As it was read.
    etag: String,
    #[serde(flatten)]
    facts: Facts,
}

impl Action for UpdateContact {
    const NAME: &'static str = "update_contact";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "change a phone number or address of a contact",
        "edit a person in the address book",
        "Kontakt ändern",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = CONTACTS_WRITE;
    type Output = Contact;

    async fn run(self, api: &Api) -> Result<Contact> {
        let id = bare(&self.contact_id);
        // https://developers.google.com/people/api/rest/v1/people/get
        let request = api.get("/v1/people/{}", &[&id]).at(PEOPLE).query("personFields", FIELDS);
        let person: Value = request.query("sources", "READ_SOURCE_TYPE_CONTACT").send().await?;
        let own = own_source(&person).ok_or_else(|| {
            Error::new(
                Code::Conflict,
                "Google knows this person from elsewhere than the address book. Nothing was changed. gmail_create_contact adds somebody to it.",
            )
        })?;
        if own.get("etag").and_then(Value::as_str) != Some(&self.etag) {
            return Err(Error::new(
                Code::Conflict,
                "The contact changed since it was read. Nothing was changed. Read it again with gmail_search_contacts, then decide.",
            ));
        }
        let mut body = self.facts.over(&person)?;
        let mut changed: Vec<String> = body.keys().cloned().collect();
        changed.sort_unstable();
        // Google compares its tag with the contact's own, so that nobody's change is lost.
        body.insert("metadata".to_owned(), json!({"sources": [own]}));
        // https://developers.google.com/people/api/rest/v1/people/updateContact
        let request = api.patch("/v1/people/{}:updateContact", &[&id]).at(PEOPLE);
        let request = request.query("updatePersonFields", changed).query("personFields", FIELDS);
        request.json(&body).send().await.map(|person: Person| person.into())
    }
}

/// What the address book itself says of the person: a person may come from several places.
fn own_source(person: &Value) -> Option<Value> {
    let sources = person.pointer("/metadata/sources").and_then(Value::as_array);
    let own = sources.into_iter().flatten().find(|source| source["type"] == "CONTACT")?;
    Some(json!({"type": "CONTACT", "id": own["id"], "etag": own["etag"]}))
}

/// An id without what Google writes before it.
fn bare(contact_id: &str) -> &str {
    contact_id.strip_prefix("people/").unwrap_or(contact_id)
}

/// Who is gone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Deleted {
    /// The contact's id.
    pub contact_id: String,
}

/// Deletes a contact for ever.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeleteContact {
    contact_id: String,
}

impl Action for DeleteContact {
    const NAME: &'static str = "delete_contact";
    const RISK: Risk = Risk::Irreversible;
    const PHRASES: &'static [&'static str] =
        &["remove a person from contacts", "erase an address book entry", "Kontakt löschen"];
    const PERMISSIONS: &'static [&'static [&'static str]] = CONTACTS_WRITE;
    type Output = Deleted;

    async fn run(self, api: &Api) -> Result<Deleted> {
        let id = bare(&self.contact_id);
        // https://developers.google.com/people/api/rest/v1/people/deleteContact
        api.delete("/v1/people/{}:deleteContact", &[&id])
            .at(PEOPLE)
            // https://developers.google.com/people/api/rest/v1/people/get
            .send_or_gone(|| {
                api.get("/v1/people/{}", &[&id])
                    .at(PEOPLE)
                    .query("personFields", "names")
                    .send_empty()
            })
            .await?;
        Ok(Deleted { contact_id: id.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;

    use super::*;
    use crate::GMAIL;
    use crate::contacts::tests::{ada, contact};

    const CREATE: &str = "/v1/people:createContact";
    const READ: &str = "/v1/people/c7";
    const UPDATE: &str = "/v1/people/c7:updateContact";
    const DELETE: &str = "/v1/people/c7:deleteContact";

    async fn fake() -> FakeApi {
        // What a change read of these it sends back whole; it shows what the change is answered.
        let fake =
            FakeApi::new(&GMAIL).await.passes_on(READ, "names").passes_on(READ, "organizations");
        fake.on("POST", CREATE, 200, ada()).on("GET", READ, 200, ada()).on(
            "PATCH",
            UPDATE,
            200,
            ada(),
        )
    }

    async fn updated(facts: Value) -> (Value, String) {
        let fake = fake().await;
        let mut arguments = facts;
        arguments["contact_id"] = "people/c7".into();
        arguments["etag"] = "#one".into();
        assert_eq!(fake.run::<UpdateContact>(arguments).await.unwrap(), contact());
        let request = fake.requests().await.remove(1);
        (request.body, request.query["updatePersonFields"].clone())
    }

    #[tokio::test]
    async fn adds_somebody() {
        let fake = fake().await;
        let arguments = json!({"given_name": "Ada", "emails": [{"value": "ada@example.com", "label": "work"}],
            "phones": [{"value": "+44 1"}], "organization": "Engines", "job_title": "Analyst", "notes": "Met in May"});
        assert_eq!(fake.run::<CreateContact>(arguments).await.unwrap(), contact());
        assert_eq!(
            fake.requests().await[0].body,
            json!({"names": [{"givenName": "Ada"}], "emailAddresses": [{"value": "ada@example.com", "type": "work"}],
                "phoneNumbers": [{"value": "+44 1"}], "organizations": [{"name": "Engines", "title": "Analyst"}],
                "biographies": [{"value": "Met in May", "contentType": "TEXT_PLAIN"}]})
        );
    }

    #[tokio::test]
    async fn changes_only_what_is_given() {
        let (body, fields) = updated(json!({"emails": [], "notes": "Called"})).await;
        assert_eq!(fields, "biographies,emailAddresses");
        assert_eq!(
            body,
            json!({"emailAddresses": [], "biographies": [{"value": "Called", "contentType": "TEXT_PLAIN"}],
                "metadata": {"sources": [{"type": "CONTACT", "id": "7", "etag": "#one"}]}})
        );
    }

    #[tokio::test]
    async fn keeps_the_rest_of_a_name_and_of_a_company() {
        let (body, fields) = updated(json!({"family_name": "King", "job_title": "Countess"})).await;
        assert_eq!(fields, "names,organizations");
        assert_eq!(
            body["names"],
            json!([{"givenName": "Ada", "familyName": "King", "honorificPrefix": "Dr."}])
        );
        assert_eq!(
            body["organizations"],
            json!([{"name": "Engines", "title": "Countess", "department": "Research"}, {"name": "Other"}])
        );
    }

    #[tokio::test]
    async fn overwrites_nobodys_change() {
        let fake = fake().await;
        let arguments = json!({"contact_id": "c7", "etag": "old", "notes": "x"});
        let error = fake.run::<UpdateContact>(arguments).await.unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
        assert_eq!(fake.requests().await.len(), 1);

        // It may change between the two requests.
        let changed = json!({"error": {"code": 400, "status": "FAILED_PRECONDITION",
            "message": "Request person.etag is different than the current person.etag. Clear local cache and get the latest person."}});
        let fake = FakeApi::new(&GMAIL)
            .await
            .on("GET", READ, 200, ada())
            .on("PATCH", UPDATE, 400, changed);
        let arguments = json!({"contact_id": "c7", "etag": "#one", "notes": "x"});
        let error = fake.run::<UpdateContact>(arguments).await.unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
    }

    #[tokio::test]
    async fn changes_nobody_outside_the_address_book() {
        let profile = json!({"resourceName": "people/c7", "metadata": {"sources": [{"type": "PROFILE", "id": "7", "etag": "#one"}]}});
        let fake = FakeApi::new(&GMAIL).await.on("GET", READ, 200, profile);
        let arguments = json!({"contact_id": "c7", "etag": "#one", "notes": "x"});
        let error = fake.run::<UpdateContact>(arguments).await.unwrap_err();
        assert!(error.message().contains("from elsewhere"), "{error}");
    }

    #[tokio::test]
    async fn writes_nothing_that_is_wrong() {
        let many: Vec<Value> = (0..21).map(|n| json!({"value": n.to_string()})).collect();
        for (facts, field) in
            [(json!({}), "given_name"), (json!({"emails": [{"value": "nobody"}]}), "emails")]
        {
            let fake = fake().await;
            let error = fake.run::<CreateContact>(facts).await.unwrap_err();
            assert_eq!(error.details().field.as_deref(), Some(field), "{error}");
            assert!(fake.requests().await.is_empty());
        }
        let facts: Facts = serde_json::from_value(json!({"phones": many})).unwrap();
        assert!(facts.over(&Value::Null).unwrap_err().message().contains("more than 20"));
    }

    #[tokio::test]
    async fn deletes_a_contact() {
        let fake = FakeApi::new(&GMAIL).await.on("DELETE", DELETE, 200, json!({})).on(
            "DELETE",
            DELETE,
            404,
            json!({"error": {"code": 404, "message": "Contact person resources are not found.", "status": "NOT_FOUND"}}),
        );
        let arguments = json!({"contact_id": "c7"});
        assert_eq!(fake.run::<DeleteContact>(arguments.clone()).await.unwrap(), arguments);
        let error = fake.run::<DeleteContact>(arguments.clone()).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
        // Where the answer is lost, the contact is looked for.
        let gone = json!({"error": {"code": 404, "status": "NOT_FOUND"}});
        let fake = FakeApi::new(&GMAIL)
            .await
            .on("DELETE", DELETE, 502, json!({}))
            .on("GET", READ, 404, gone);
        assert_eq!(fake.run::<DeleteContact>(arguments.clone()).await.unwrap(), arguments);
    }
}
