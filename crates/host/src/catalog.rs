//! All actions of all adapters, by tool name, with what is needed to check their arguments.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use resto_core::{ActionSpec, Adapter, Code, Error, Integration, Result, Risk, quote};
use serde_json::{Map, Value};

use crate::find::Finder;

/// Characters of the longest name of what an action sends to others.
const NAME: usize = 200;

/// The actions that this server offers.
pub struct Catalog {
    /// Those that these stand upon, if any.
    base: Option<Arc<Self>>,
    adapters: Vec<Adapter>,
    /// Tool name to the adapter's and the action's place, and the check of its arguments.
    tools: BTreeMap<String, (usize, usize, Check)>,
    /// Made when something is first looked for.
    finder: OnceLock<Finder>,
}

/// What arguments are held against, made of their schema when they first are: all of them at once would be megabytes, and
/// a part of every start.
#[derive(Default)]
pub(crate) struct Check(OnceLock<Validator>);

/// An action and the adapter that it belongs to.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// The adapter.
    pub adapter: &'a Adapter,
    /// The action.
    pub action: &'a ActionSpec,
    arguments: &'a Check,
}

/// A part of the list of actions.
pub struct Page<'a> {
    /// The actions, in order of tool name.
    pub entries: Vec<Entry<'a>>,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
}

impl Catalog {
    /// A catalog of these adapters.
    #[must_use]
    pub fn new(adapters: Vec<Adapter>) -> Self {
        let mut tools = BTreeMap::new();
        for (adapter_index, adapter) in adapters.iter().enumerate() {
            for (action_index, action) in adapter.actions().iter().enumerate() {
                let place = (adapter_index, action_index, Check::default());
                tools.insert(action.tool.clone(), place);
            }
        }
        Self { base: None, adapters, tools, finder: OnceLock::new() }
    }

    /// A catalog of these adapters besides those of another, which go first: what others wrote takes nobody's name, also none
    /// that is taken elsewhere. An action whose schema cannot be used is left out.
    #[must_use]
    pub fn over(base: &Arc<Self>, adapters: Vec<Adapter>, is_taken: impl Fn(&str) -> bool) -> Self {
        let mut tools = BTreeMap::new();
        for (adapter_index, adapter) in adapters.iter().enumerate() {
            for (action_index, action) in adapter.actions().iter().enumerate() {
                let tool = action.tool.as_str();
                let is_taken =
                    is_taken(tool) || base.find(tool).is_some() || tools.contains_key(tool);
                let schema = Value::Object(action.input_schema.clone());
                match jsonschema::validator_for(&schema) {
                    Ok(arguments) if !is_taken => {
                        let arguments = Check(OnceLock::from(arguments));
                        tools.insert(tool.to_owned(), (adapter_index, action_index, arguments));
                    }
                    _ => tracing::warn!(tool, "a tool of a remote server is left out"),
                }
            }
        }
        Self { base: Some(Arc::clone(base)), adapters, tools, finder: OnceLock::new() }
    }

    /// The action behind a tool name.
    #[must_use]
    pub fn find(&self, tool: &str) -> Option<Entry<'_>> {
        let Some((adapter, action, arguments)) = self.tools.get(tool) else {
            return self.base.as_ref()?.find(tool);
        };
        let adapter = self.adapters.get(*adapter)?;
        Some(Entry { adapter, action: adapter.actions().get(*action)?, arguments })
    }

    /// All actions in order of tool name.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.names(Bound::Unbounded).into_iter().filter_map(|tool| self.find(tool))
    }

    /// The names of all tools from one on, in order.
    fn names(&self, from: Bound<&str>) -> Vec<&str> {
        let own =
            self.tools.range::<str, _>((from, Bound::Unbounded)).map(|(tool, _)| tool.as_str());
        let mut names: Vec<&str> = own.collect();
        if let Some(base) = &self.base {
            names.extend(base.names(from));
            names.sort_unstable();
        }
        names
    }

    /// A page of those of [`Self::entries`] that are listed, from the cursor of the page before on; `None` where no page
    /// of this list gave that cursor.
    #[must_use]
    pub fn page(
        &self,
        cursor: Option<&str>,
        size: usize,
        is_listed: impl Fn(&Entry<'_>) -> bool,
    ) -> Option<Page<'_>> {
        let from = match cursor {
            Some(tool) => self.find(tool).map(|_| Bound::Excluded(tool))?,
            None => Bound::Unbounded,
        };
        let rest = self.names(from).into_iter();
        let mut rest = rest.filter_map(|tool| self.find(tool)).filter(is_listed);
        let entries: Vec<_> = rest.by_ref().take(size).collect();
        let last = entries.last().map(|entry| entry.action.tool.clone());
        Some(Page { next: rest.next().and(last), entries })
    }

    /// Says that there is no tool of this name, and which is nearest to it.
    #[must_use]
    pub fn unknown(&self, name: &str) -> String {
        let nearest = self
            .names(Bound::Unbounded)
            .into_iter()
            .map(|tool| (strsim::jaro_winkler(tool, name), tool))
            .filter(|(likeness, _)| *likeness > 0.85)
            .max_by(|(one, _), (other, _)| one.total_cmp(other));
        let hint = nearest.map(|(_, tool)| format!(" Did you mean {tool}?")).unwrap_or_default();
        format!("There is no tool `{}`.{hint}", quote(name))
    }

    /// The adapter of an integration.
    #[must_use]
    pub fn adapter(&self, integration_id: &str) -> Option<&Adapter> {
        let own = self.adapters.iter().find(|adapter| adapter.integration.id == integration_id);
        own.or_else(|| self.base.as_ref()?.adapter(integration_id))
    }

    /// The index in which actions are found.
    ///
    /// # Errors
    /// Its data is broken.
    pub(crate) fn finder(&self) -> Result<&Finder> {
        match self.finder.get() {
            Some(finder) => Ok(finder),
            None => {
                let finder = Finder::new(self)?;
                Ok(self.finder.get_or_init(|| finder))
            }
        }
    }

    /// All adapters of its own.
    #[must_use]
    pub fn adapters(&self) -> &[Adapter] {
        &self.adapters
    }
}

impl Entry<'_> {
    /// The integration.
    #[must_use]
    pub fn integration(&self) -> &'static Integration {
        self.adapter.integration
    }

    /// The name of what the action works on: its required texts, such as `owner/repo`. Of what is only sent, such as a mail,
    /// the letter itself is no name.
    #[must_use]
    pub fn subject(&self, arguments: &Value) -> String {
        let required = self.action.input_schema.get("required").and_then(Value::as_array);
        let names: Vec<&str> = required
            .into_iter()
            .flatten()
            .filter_map(|name| arguments.get(name.as_str()?)?.as_str())
            .filter(|text| self.action.risk != Risk::Outward || !is_prose(text))
            .collect();
        if names.is_empty() { self.action.tool.clone() } else { names.join("/") }
    }

    /// Holds arguments against the input schema.
    ///
    /// # Errors
    /// `invalid_input`, naming each field at fault.
    pub fn check(&self, arguments: &Value) -> Result<()> {
        self.arguments.hold(&self.action.tool, &self.action.input_schema, arguments)
    }
}

/// Whether a text is more than a name.
fn is_prose(text: &str) -> bool {
    text.contains('\n') || text.chars().nth(NAME).is_some()
}

impl Check {
    /// As [`Entry::check`], for any tool and the schema of its arguments, which is always the same one.
    pub(crate) fn hold(
        &self,
        tool: &str,
        input_schema: &Map<String, Value>,
        arguments: &Value,
    ) -> Result<()> {
        let validator = match self.0.get() {
            Some(validator) => validator,
            None => {
                let schema = Value::Object(input_schema.clone());
                let made = jsonschema::validator_for(&schema).map_err(|error| {
                    let why = format!("The input schema of {tool} cannot be used: {error}");
                    Error::new(Code::Internal, why)
                })?;
                self.0.get_or_init(|| made)
            }
        };
        if validator.is_valid(arguments) {
            return Ok(());
        }
        Err(problems(tool, input_schema, validator, arguments))
    }
}

/// What is wrong with arguments.
fn problems(
    tool: &str,
    input_schema: &Map<String, Value>,
    validator: &Validator,
    arguments: &Value,
) -> Error {
    let mut field = None;
    let input_schema = Value::Object(input_schema.clone());
    let problems: Vec<String> = validator
        .iter_errors(arguments)
        .take(5)
        .map(|error| {
            let at = error.instance_path().to_string().trim_start_matches('/').replace('/', ".");
            let of = if at.is_empty() { String::new() } else { format!(" of `{}`", quote(&at)) };
            match error.kind() {
                ValidationErrorKind::AdditionalProperties { unexpected } => {
                    field = unexpected.first().map(|name| quote(name));
                    let problem =
                        format!("unknown field `{}`{of}", quote(&unexpected.join("`, `")));
                    // What the whole takes is told of all problems together.
                    let within =
                        error.schema_path().as_str().rsplit_once('/').map(|(path, _)| path);
                    match within
                        .filter(|_| !of.is_empty())
                        .and_then(|path| input_schema.pointer(path))
                    {
                        Some(within) => format!("{problem}, which takes: {}", taken(within)),
                        None => problem,
                    }
                }
                ValidationErrorKind::Required { property } => {
                    let name = property.as_str().unwrap_or_default().to_owned();
                    let problem = format!("the field `{name}`{of} is missing");
                    field = Some(name);
                    problem
                }
                // The value would push the reason out of the sentence.
                ValidationErrorKind::MaxLength { limit } => {
                    let problem = format!("`{at}` is longer than {limit} characters");
                    field = Some(at);
                    problem
                }
                _ if at.is_empty() => quote(&error.to_string()),
                _ => {
                    let problem = format!("`{at}`: {}", quote(&error.to_string()));
                    field = Some(at);
                    problem
                }
            }
        })
        .collect();
    let mut told = Error::new(
        Code::InvalidInput,
        format!("invalid input: {}. {tool} takes: {}.", problems.join("; "), taken(&input_schema)),
    );
    told.details_mut().field = field;
    told
}

/// The names of the fields that an object takes.
fn taken(schema: &Value) -> String {
    let names = schema.get("properties").and_then(Value::as_object);
    let names: Vec<&str> = names.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_the_field_at_fault() {
        let catalog = Catalog::new(vec![resto_github::adapter()]);
        let entry = catalog.find("github_get_repository").unwrap();
        entry.check(&json!({"owner": "o", "repo": "r"})).unwrap();
        for (arguments, field, words) in [
            (json!({"owner": "o", "repo": "r", "stat": 1}), "stat", "unknown field `stat`"),
            (json!({"owner": "o"}), "repo", "the field `repo` is missing"),
            (json!({"owner": "o", "repo": 7}), "repo", "`repo`: 7 is not of type \"string\""),
        ] {
            let error = entry.check(&arguments).unwrap_err();
            assert!(error.message().contains(words), "{error}");
            assert!(error.message().contains("takes: owner, repo"), "{error}");
            assert_eq!(error.details().field.as_deref(), Some(field));
        }
        assert!(entry.check(&json!([])).is_err());
        let long = json!({"owner": "o", "repo": ["x".repeat(100_000)], "z".repeat(100_000): 1});
        assert!(entry.check(&long).unwrap_err().message().len() < 1_500);
    }

    #[test]
    fn refuses_what_a_model_is_not_told_that_it_is_refused() {
        let catalog = Catalog::new(vec![resto_github::adapter()]);
        let entry = catalog.find("github_commit_files").unwrap();
        let shown = Value::Object(resto_core::brief_schema(&entry.action.input_schema));
        assert!(!shown.to_string().contains("additionalProperties"), "{shown}");
        let files = json!([{"path": "a", "text": "b"}, {"path": "a", "txt": "b"}, {"text": "b"}]);
        let arguments = json!({
            "owner": "o", "repo": "r", "branch": "main", "message": "m", "files": files,
        });
        let refused = entry.check(&arguments).unwrap_err();
        for words in [
            "unknown field `txt` of `files.1`, which takes: path, text, base64, executable;",
            "the field `path` of `files.2` is missing",
            "github_commit_files takes: owner, repo, branch,",
        ] {
            assert!(refused.message().contains(words), "{refused}");
        }
        let entry = catalog.find("github_get_issue").unwrap();
        let refused = entry.check(&json!({"owner": "o", "repo": "r", "number": -1})).unwrap_err();
        assert!(refused.message().contains("-1 is less than the minimum of 0"), "{refused}");
    }

    #[test]
    fn a_letter_is_no_name_of_what_is_sent() {
        let catalog = Catalog::new(crate::host::adapters());
        let subject =
            |tool: &str, arguments: &Value| catalog.find(tool).unwrap().subject(arguments);
        let reply = json!({"thread_id": "t1", "text": "Dear Ada,\nyes."});
        assert_eq!(subject("gmail_reply_to_thread", &reply), "t1");
        // What a person types to delete it is whole, whatever it holds.
        let hidden = json!({"owner": "octocat", "repo": "a\nb"});
        assert_eq!(subject("github_delete_repository", &hidden), "octocat/a\nb");
    }

    #[test]
    fn names_the_nearest_tool() {
        let catalog = Catalog::new(vec![resto_github::adapter()]);
        let told = catalog.unknown("github_get_acount");
        assert_eq!(told, "There is no tool `github_get_acount`. Did you mean github_get_account?");
        assert_eq!(catalog.unknown("x"), "There is no tool `x`.");
    }

    #[test]
    fn pages_hold_every_tool_once_and_in_order() {
        let catalog = Catalog::new(vec![resto_github::adapter()]);
        let all: Vec<&str> = catalog.entries().map(|entry| entry.action.tool.as_str()).collect();
        assert!(all.is_sorted() && all.len() > 2);
        for size in [1, 4, all.len() - 1, all.len(), all.len() + 1] {
            let mut paged = Vec::new();
            let mut cursor = None;
            loop {
                let page = catalog.page(cursor.as_deref(), size, |_| true).unwrap();
                assert!(!page.entries.is_empty() && page.entries.len() <= size);
                paged.extend(page.entries.iter().map(|entry| entry.action.tool.clone()));
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(paged, all, "pages of {size}");
        }
        assert!(catalog.page(Some("github_nothing"), 4, |_| true).is_none());
    }
}
