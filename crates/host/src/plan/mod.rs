//! Which integrations a business needs, from what it says of itself.

mod accounts;
mod answer;
mod detect;
mod findings;
mod language;
mod rules;
mod stance;
mod words;

#[cfg(test)]
mod evaluation;

pub(crate) use answer::{Plan, PlanIntegrations, Planned};
pub(crate) use detect::{DetectIntegrations, Detected, detect};
#[cfg(test)]
use findings::{Business, findings};
#[cfg(test)]
use rules::Level;
pub(crate) use rules::{Application, Rules};

use resto_core::Category;

/// What an integration of a category does, as the list of accounts names it.
pub(crate) fn serves(category: Category) -> &'static str {
    match category {
        Category::Code => "code",
        Category::Hosting => "hosting",
        Category::Payments => "payments",
        Category::Communication => "email",
        Category::Analytics => "analytics",
        Category::Domains => "domains",
    }
}
