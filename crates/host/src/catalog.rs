//! All actions of all adapters, by tool name, with what is needed to check their arguments.

use std::collections::BTreeMap;

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use resto_core::{ActionSpec, Adapter, Error, Integration, Result};
use serde_json::Value;

/// The actions that this server offers.
pub struct Catalog {
    adapters: Vec<Adapter>,
    /// Tool name to the adapter's and the action's place, and the check of its arguments.
    tools: BTreeMap<String, (usize, usize, Validator)>,
}

/// An action and the adapter that it belongs to.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// The adapter.
    pub adapter: &'a Adapter,
    /// The action.
    pub action: &'a ActionSpec,
    arguments: &'a Validator,
}

impl Catalog {
    /// A catalog of these adapters.
    ///
    /// # Errors
    /// An action publishes a schema that cannot be used.
    pub fn new(adapters: Vec<Adapter>) -> Result<Self> {
        let mut tools = BTreeMap::new();
        for (adapter_index, adapter) in adapters.iter().enumerate() {
            for (action_index, action) in adapter.actions().iter().enumerate() {
                let schema = Value::Object(action.input_schema.clone());
                let arguments = jsonschema::validator_for(&schema).map_err(|error| {
                    Error::new(
                        resto_core::Code::Internal,
                        format!("The input schema of {} cannot be used: {error}", action.tool),
                    )
                })?;
                tools.insert(action.tool.clone(), (adapter_index, action_index, arguments));
            }
        }
        Ok(Self { adapters, tools })
    }

    /// The action behind a tool name.
    #[must_use]
    pub fn find(&self, tool: &str) -> Option<Entry<'_>> {
        let (adapter, action, arguments) = self.tools.get(tool)?;
        let adapter = self.adapters.get(*adapter)?;
        Some(Entry { adapter, action: adapter.actions().get(*action)?, arguments })
    }

    /// All actions in order of tool name, after `after`.
    pub fn entries<'a>(&'a self, after: Option<&str>) -> impl Iterator<Item = Entry<'a>> {
        let from = after
            .map_or(std::ops::Bound::Unbounded, |name| std::ops::Bound::Excluded(name.to_owned()));
        self.tools
            .range::<String, _>((from, std::ops::Bound::Unbounded))
            .filter_map(|(tool, _)| self.find(tool))
    }

    /// Says that there is no tool of this name, and which is nearest to it.
    #[must_use]
    pub fn unknown(&self, name: &str) -> String {
        let nearest = self
            .tools
            .keys()
            .map(|tool| (strsim::jaro_winkler(tool, name), tool))
            .filter(|(likeness, _)| *likeness > 0.85)
            .max_by(|(one, _), (other, _)| one.total_cmp(other));
        let hint = nearest.map(|(_, tool)| format!(" Did you mean {tool}?")).unwrap_or_default();
        format!("There is no tool `{}`.{hint}", resto_core::clean(name))
    }

    /// The adapter of an integration.
    #[must_use]
    pub fn adapter(&self, integration_id: &str) -> Option<&Adapter> {
        self.adapters.iter().find(|adapter| adapter.integration.id == integration_id)
    }

    /// All adapters.
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

    /// The name of what the action works on: its required texts, such as `owner/repo`.
    #[must_use]
    pub fn subject(&self, arguments: &Value) -> String {
        let required = self.action.input_schema.get("required").and_then(Value::as_array);
        let names: Vec<&str> = required
            .into_iter()
            .flatten()
            .filter_map(|name| arguments.get(name.as_str()?)?.as_str())
            .collect();
        if names.is_empty() { self.action.tool.clone() } else { names.join("/") }
    }

    /// Holds arguments against the input schema.
    ///
    /// # Errors
    /// `invalid_input`, naming each field at fault.
    pub fn check(&self, arguments: &Value) -> Result<()> {
        let mut field = None;
        let problems: Vec<String> = self
            .arguments
            .iter_errors(arguments)
            .take(5)
            .map(|error| {
                let at =
                    error.instance_path().to_string().trim_start_matches('/').replace('/', ".");
                match error.kind() {
                    ValidationErrorKind::AdditionalProperties { unexpected } => {
                        field = unexpected.first().cloned();
                        format!("unknown field `{}`", unexpected.join("`, `"))
                    }
                    ValidationErrorKind::Required { property } => {
                        let name = property.as_str().unwrap_or_default().to_owned();
                        let problem = format!("the field `{name}` is missing");
                        field = Some(name);
                        problem
                    }
                    _ if at.is_empty() => error.to_string(),
                    _ => {
                        let problem = format!("`{at}`: {error}");
                        field = Some(at);
                        problem
                    }
                }
            })
            .collect();
        if problems.is_empty() {
            return Ok(());
        }
        let allowed: Vec<&str> = self
            .action
            .input_schema
            .get("properties")
            .and_then(Value::as_object)
            .map(|properties| properties.keys().map(String::as_str).collect())
            .unwrap_or_default();
        let mut told = Error::new(
            resto_core::Code::InvalidInput,
            format!(
                "invalid input: {}. {} takes: {}.",
                problems.join("; "),
                self.action.tool,
                if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") }
            ),
        );
        told.details_mut().field = field;
        Err(told)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_the_field_at_fault() {
        let catalog = Catalog::new(vec![resto_github::adapter()]).unwrap();
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
    }

    #[test]
    fn names_the_nearest_tool() {
        let catalog = Catalog::new(vec![resto_github::adapter()]).unwrap();
        let told = catalog.unknown("github_get_acount");
        assert_eq!(told, "There is no tool `github_get_acount`. Did you mean github_get_account?");
        assert_eq!(catalog.unknown("x"), "There is no tool `x`.");
    }

    #[test]
    fn lists_in_order_and_goes_on_after_a_name() {
        let catalog = Catalog::new(vec![resto_github::adapter()]).unwrap();
        let all: Vec<&str> =
            catalog.entries(None).map(|entry| entry.action.tool.as_str()).collect();
        assert!(all.is_sorted() && all.len() > 2);
        let rest: Vec<&str> =
            catalog.entries(Some(all[0])).map(|entry| entry.action.tool.as_str()).collect();
        assert_eq!(rest, all[1..]);
    }
}
