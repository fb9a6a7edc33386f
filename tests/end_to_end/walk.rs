//! An agent that walks through the actions of services at their stand-ins, with a person beside it who approves. What ran, and
//! who answered it, is noted for `tests/run`.

use std::collections::{BTreeMap, BTreeSet};

use resto_testing::{Way as Verified, note};
use serde_json::Value;

use crate::clients::{Agent, Answer, Era, Python, Way};
use crate::product::Server;
use crate::wire::send;

/// Who answered the requests to a stand-in until now, in order: one that others wrote, or `double` for what is ours.
pub type Seen<'a> = Box<dyn Fn() -> Vec<String> + 'a>;

/// The agent and the stand-ins, by their integrations.
pub struct Walk<'a> {
    agent: Agent,
    standins: Vec<(&'static str, Seen<'a>)>,
    /// What a person was asked, with the tool for which.
    pub asked: Vec<(String, String)>,
    walked: BTreeSet<String>,
    /// What later steps name.
    kept: BTreeMap<String, Value>,
}

/// A step: the tool, its arguments, what its output must have at least, and under which name a part of it is kept:
/// `project=/id`. A text `$project` in arguments is what was kept.
pub type Step = (&'static str, Value, Value, &'static str);

impl<'a> Walk<'a> {
    pub fn start(server: &Server<'_>, standins: Vec<(&'static str, Seen<'a>)>) -> Self {
        let agent = Python::with_person(Era::Modern, Way::Http(server));
        let (walked, kept) = (BTreeSet::new(), BTreeMap::new());
        Self { agent, standins, asked: Vec::new(), walked, kept }
    }

    /// Goes through these steps in order.
    pub fn through(&mut self, steps: impl IntoIterator<Item = Step>) {
        for (tool, arguments, expected, keep) in steps {
            let (arguments, expected) = (self.filled(arguments), self.filled(expected));
            let output = self.call(tool, &arguments);
            assert!(
                holds(&output, &expected),
                "{tool} with {arguments} said {output:#} and not {expected:#}"
            );
            if let Some((name, pointer)) = keep.split_once('=') {
                let found = output.pointer(pointer);
                let found = found.unwrap_or_else(|| panic!("{tool} tells no {pointer}: {output}"));
                self.kept.insert(format!("${name}"), found.clone());
            }
        }
    }

    /// What a step kept.
    pub fn kept(&self, name: &str) -> Value {
        self.kept[&format!("${name}")].clone()
    }

    fn filled(&self, value: Value) -> Value {
        match value {
            Value::String(text) => match self.kept.get(&text) {
                Some(kept) => kept.clone(),
                None => {
                    assert!(!text.starts_with('$'), "nothing was kept as {text}");
                    text.into()
                }
            },
            Value::Array(items) => items.into_iter().map(|item| self.filled(item)).collect(),
            Value::Object(fields) => {
                fields.into_iter().map(|(name, value)| (name, self.filled(value))).collect()
            }
            other => other,
        }
    }

    /// Fails unless each tool of an integration was walked through, but for these.
    pub fn assert_left_out(&mut self, integration: &str, expected: &[&str]) {
        let prefix = format!("{integration}_");
        let tools = self.agent.tools();
        let names = tools.iter().map(|tool| tool["name"].as_str().unwrap());
        let left: Vec<&str> = names
            .filter(|name| name.starts_with(&prefix) && !self.walked.contains(*name))
            .collect();
        assert_eq!(left, expected);
    }

    /// Calls a tool that must succeed.
    pub fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let integration = tool.split('_').next().unwrap();
        let before = self.seen(integration).len();
        let answer = self.try_call(tool, arguments);
        let output = answer.output().clone();
        let seen = self.seen(integration).split_off(before);
        let ways: BTreeSet<&str> = match seen.as_slice() {
            [] => [].into(),
            all if all.iter().any(|by| by == "double") => ["double"].into(),
            all => all.iter().map(String::as_str).collect(),
        };
        self.walked.insert(tool.to_owned());
        if ways.is_empty() {
            note(integration, tool, &Verified::Alone);
        }
        for way in ways {
            note(integration, tool, &Verified::StandIn(way.into()));
        }
        output
    }

    /// Calls a tool that must be refused; the sentence.
    pub fn refused(&mut self, tool: &str, arguments: &Value) -> String {
        self.try_call(tool, arguments).error().to_owned()
    }

    fn try_call(&mut self, tool: &str, arguments: &Value) -> Answer {
        let (answer, asked) = self.agent.call_approved(tool, arguments);
        if let Some(asked) = asked {
            self.asked.push((tool.to_owned(), asked["message"].as_str().unwrap().to_owned()));
        }
        answer
    }

    /// The tools for which a person was asked, in order.
    pub fn approved(&self) -> Vec<&str> {
        self.asked.iter().map(|(tool, _)| tool.as_str()).collect()
    }

    fn seen(&self, integration: &str) -> Vec<String> {
        let found = self.standins.iter().find(|(known, _)| *known == integration);
        found.unwrap_or_else(|| panic!("no stand-in for {integration}")).1()
    }
}

/// Whether all that is expected is in what was found; lists have to be as long.
fn holds(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => expected
            .iter()
            .all(|(name, value)| holds(found.get(name).unwrap_or(&Value::Null), value)),
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found.iter().zip(expected).all(|(found, expected)| holds(found, expected))
        }
        (found, expected) => found == expected,
    }
}

/// Who answered at the stand-in at this address.
pub fn at(url: &str) -> Seen<'_> {
    Box::new(move || {
        let seen = send("GET", &format!("{url}/seen"), &[], "").json();
        let seen = seen.as_array().unwrap().iter();
        seen.map(|one| one["by"].as_str().unwrap().to_owned()).collect()
    })
}
