//! The common journeys of a business, as prompts that a person chooses in their client: `prompts.toml`, made to fit what the
//! agent has here.

use std::collections::BTreeSet;

use resto_core::clean;
use rmcp::model::{
    CacheScope, CompletionInfo, ErrorData, GetPromptResult, JsonObject, ListPromptsResult, Prompt,
    PromptArgument, PromptMessage, Role,
};
use serde::Deserialize;

use super::Mcp;
use super::listing::LIST_TTL_MS;
use crate::host::Caller;

/// The most characters of an argument.
const LONGEST: usize = 4_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Journeys {
    /// What is said at the end of each.
    closing: Vec<String>,
    prompts: Vec<Journey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Journey {
    name: String,
    title: String,
    description: String,
    arguments: Vec<Argument>,
    /// What the person wants, in their name.
    opening: String,
    steps: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Argument {
    name: String,
    description: String,
    #[serde(default)]
    required: bool,
    /// Whether it is a list of services.
    #[serde(default)]
    services: bool,
}

fn journeys() -> Result<Journeys, ErrorData> {
    toml::from_str(include_str!("prompts.toml")).map_err(|error| {
        tracing::error!(%error, "prompts.toml cannot be read");
        ErrorData::internal_error("the prompts cannot be read", None)
    })
}

fn find(name: &str) -> Result<(Journey, Vec<String>), ErrorData> {
    let Journeys { closing, prompts } = journeys()?;
    let found = prompts.into_iter().find(|journey| journey.name == name);
    let journey =
        found.ok_or_else(|| ErrorData::invalid_params("there is no such prompt", None))?;
    Ok((journey, closing))
}

/// The words in backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The text with each name in braces replaced by what was given for it; `None` where nothing was given for one.
fn filled(text: &str, given: &JsonObject) -> Option<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        filled.push_str(before);
        filled.push_str(&clean(given.get(name)?.as_str()?));
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

impl Journey {
    fn prompt(&self) -> Prompt {
        let arguments = self.arguments.iter().map(|argument| {
            PromptArgument::new(&argument.name)
                .with_description(&argument.description)
                .with_required(argument.required)
        });
        Prompt::new(&self.name, Some(&self.description), Some(arguments.collect()))
            .with_title(&self.title)
    }

    /// Holds the arguments against what it takes. An empty one counts as left out.
    fn taken(&self, given: Option<JsonObject>) -> Result<JsonObject, ErrorData> {
        let wrong = |message: String| Err(ErrorData::invalid_params(message, None));
        let mut taken = given.unwrap_or_default();
        taken.retain(|_, value| value.as_str().is_none_or(|text| !text.trim().is_empty()));
        for (name, value) in &taken {
            if !self.arguments.iter().any(|argument| argument.name == *name) {
                let names = self.arguments.iter().map(|argument| argument.name.as_str());
                let names: Vec<&str> = names.collect();
                return wrong(format!("{} takes: {}.", self.name, names.join(", ")));
            }
            match value.as_str() {
                Some(text) if text.chars().count() <= LONGEST => {}
                _ => return wrong(format!("`{name}` is a text of at most {LONGEST} characters.")),
            }
        }
        let required = self.arguments.iter().filter(|argument| argument.required);
        match required.map(|argument| &argument.name).find(|name| !taken.contains_key(*name)) {
            Some(lacking) => wrong(format!("The argument `{lacking}` is missing.")),
            None => Ok(taken),
        }
    }
}

impl Mcp {
    /// Whether the caller has every tool that a step names.
    fn has_tools(&self, caller: &Caller, step: &str) -> bool {
        let known = |tool: &&str| {
            self.host.own_tool(tool).is_some() || self.host.catalog.find(tool).is_some()
        };
        code(step).filter(known).all(|tool| self.host.offers(caller, tool))
    }

    pub(super) fn prompt_list(&self, caller: &Caller) -> Result<ListPromptsResult, ErrorData> {
        let journeys = journeys()?.prompts.into_iter();
        // Not those of which nothing can be done here.
        let possible = journeys.filter(|journey| {
            let mut steps = journey.steps.iter().filter(|step| code(step).next().is_some());
            steps.any(|step| self.has_tools(caller, step))
        });
        let prompts = possible.map(|journey| journey.prompt()).collect();
        Ok(ListPromptsResult::with_all_items(prompts)
            .with_ttl_ms(LIST_TTL_MS)
            .with_cache_scope(CacheScope::Private))
    }

    pub(super) fn prompt(
        &self,
        caller: &Caller,
        name: &str,
        given: Option<JsonObject>,
        connected: &BTreeSet<String>,
    ) -> Result<GetPromptResult, ErrorData> {
        let (journey, closing) = find(name)?;
        let given = journey.taken(given)?;
        let has_tools = |step: &&String| self.has_tools(caller, step);
        let steps = journey.steps.iter().filter(has_tools).filter_map(|step| {
            let lacking = self.not_connected(step, connected);
            let note = match lacking.as_slice() {
                [] => String::new(),
                names => format!(" (Not connected yet: {}.)", names.join(", ")),
            };
            Some(filled(step, &given)? + &note)
        });
        let steps = steps.enumerate().map(|(at, step)| format!("{}. {step}", at + 1));
        let steps: Vec<String> = steps.collect();
        let closing: Vec<&str> = closing.iter().filter(has_tools).map(String::as_str).collect();
        let opening = filled(&journey.opening, &given).unwrap_or_default();
        let text = format!("{opening}\n\n{}\n\n{}", steps.join("\n"), closing.join(" "));
        let message = PromptMessage::new_text(Role::User, text);
        Ok(GetPromptResult::new(vec![message]).with_description(journey.description))
    }

    /// The services of a step that have to be connected first.
    fn not_connected(&self, step: &str, connected: &BTreeSet<String>) -> Vec<&'static str> {
        let entries = code(step).filter_map(|tool| self.host.catalog.find(tool));
        let services = entries.map(|entry| entry.integration());
        let lacking = services.filter(|service| !connected.contains(service.id));
        let mut names: Vec<&str> = lacking.map(|service| service.name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What an argument that is being typed may become: a list of services with one more.
    pub(super) fn completed(
        &self,
        caller: &Caller,
        prompt: &str,
        argument: &str,
        typed: &str,
    ) -> Result<CompletionInfo, ErrorData> {
        let (journey, _) = find(prompt)?;
        let argument = journey.arguments.iter().find(|one| one.name == argument);
        if !argument.is_some_and(|argument| argument.services) {
            return Ok(CompletionInfo::default());
        }
        let (before, begun) = typed
            .rsplit_once(',')
            .map_or(("", typed), |(before, begun)| (before, begun.trim_start()));
        let ids = self.services(caller).map(|adapter| adapter.integration.id);
        let fitting = ids.filter(|id| {
            id.starts_with(&begun.to_lowercase()) && before.split(',').all(|one| one.trim() != *id)
        });
        let values = fitting.map(|id| match before {
            "" => id.to_owned(),
            before => format!("{before}, {id}"),
        });
        CompletionInfo::with_all_values(values.take(CompletionInfo::MAX_VALUES).collect())
            .map_err(|message| ErrorData::internal_error(message, None))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::Catalog;
    use crate::host::adapters;
    use crate::tools::own_tools;

    /// The names of arguments in a text.
    fn arguments(text: &str) -> impl Iterator<Item = &str> {
        text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
    }

    /// The words in backticks that have the shape of a tool's name.
    pub fn named_tools(text: &str) -> Vec<String> {
        let named = code(text).filter(|word| {
            word.contains('_') && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        });
        named.map(str::to_owned).collect()
    }

    #[test]
    fn every_prompt_names_only_tools_and_arguments_that_exist() {
        let catalog = Catalog::new(adapters());
        let own = own_tools();
        let exists =
            |tool: &str| catalog.find(tool).is_some() || own.iter().any(|own| own.tool == tool);
        let journeys = journeys().unwrap();
        let names: Vec<&str> = journeys.prompts.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["launch_my_saas", "monthly_business_review", "connect_my_accounts"]);
        for journey in &journeys.prompts {
            let texts = journey.steps.iter().chain([&journey.opening]).chain(&journeys.closing);
            for text in texts {
                assert_eq!(text.matches('`').count() % 2, 0, "{text}");
                for tool in code(text) {
                    assert!(exists(tool), "{} names {tool}", journey.name);
                }
                for argument in arguments(text) {
                    let known = journey.arguments.iter().any(|one| one.name == argument);
                    assert!(known, "{} names {{{argument}}}", journey.name);
                }
            }
            for argument in &journey.arguments {
                let used = journey.steps.iter().chain([&journey.opening]);
                let used = used.flat_map(|text| arguments(text));
                assert!(used.into_iter().any(|name| name == argument.name), "{}", argument.name);
            }
            let required = journey.arguments.iter().filter(|one| one.required);
            let required: Vec<&str> = required.map(|one| one.name.as_str()).collect();
            assert!(arguments(&journey.opening).all(|name| required.contains(&name)));
            let length: usize = journey.steps.iter().map(String::len).sum();
            assert!(length < 4_000, "{}: {length} bytes", journey.name);
        }
    }

    #[test]
    fn what_was_given_is_put_in_once_and_cleaned() {
        let given = json!({"one": "{two}\u{202e}", "two": "2"});
        let given = given.as_object().unwrap();
        assert_eq!(filled("a {one} b {two}", given).unwrap(), "a {two} b 2");
        assert!(filled("{three}", given).is_none());
    }

    #[test]
    fn arguments_that_do_not_fit_are_refused() {
        let (journey, _) = find("launch_my_saas").unwrap();
        let taken = |given: serde_json::Value| journey.taken(given.as_object().cloned());
        assert!(taken(json!({"idea": "Bookings", "domain": ""})).unwrap().len() == 1);
        for (given, word) in [
            (json!({}), "`idea` is missing"),
            (json!({"idea": " "}), "`idea` is missing"),
            (json!({"idea": 1}), "is a text"),
            (json!({"idea": "x".repeat(LONGEST + 1)}), "at most"),
            (json!({"idea": "x", "colour": "red"}), "takes: idea"),
        ] {
            let refused = taken(given.clone()).unwrap_err();
            assert!(refused.message.contains(word), "{given}: {}", refused.message);
        }
        assert!(find("nothing").is_err());
    }
}
