//! How to work with each service, told by its adapter, as skills that agents load when they need them.
//! <https://modelcontextprotocol.io/seps/2640-skills-extension>

use resto_core::Adapter;
use rmcp::model::{
    CacheScope, ErrorData, GetSkillResult, ListSkillsResult, ReadResourceResult, Resource,
    ResourceContents, Skill, SkillFrontmatter, SkillResource, SkillResources,
};

use super::Mcp;
use super::apps::FIXED_TTL_MS;
use crate::host::Caller;

const MIME: &str = "text/markdown";

/// The fields before the text of a skill, which are plain `name: words`; `None` where they are not.
fn front_matter(text: &str) -> Option<SkillFrontmatter> {
    let (front, _) = text.strip_prefix("---\n")?.split_once("\n---\n")?;
    let mut found = SkillFrontmatter::new("", "");
    for line in front.lines() {
        match line.split_once(": ")? {
            ("name", name) => name.clone_into(&mut found.name),
            ("description", words) => words.clone_into(&mut found.description),
            (field, words) => found = found.with_field(field, words),
        }
    }
    Some(found)
}

fn skill(text: &str) -> Option<Skill> {
    let front = front_matter(text)?;
    let uri = format!("skill://{}/SKILL.md", front.name);
    let files = vec![SkillResource::from_bytes(uri.clone(), text.as_bytes())];
    Some(Skill::new(uri, front, SkillResources::Files(files)))
}

impl Mcp {
    /// The services of which the caller has a tool.
    pub(super) fn services(&self, caller: &Caller) -> impl Iterator<Item = &Adapter> {
        self.host.catalog.adapters().iter().filter(|adapter| {
            adapter.actions().iter().any(|action| self.host.offers(caller, &action.tool))
        })
    }

    /// Those of the services of which the caller has a tool, with their texts.
    fn skills(&self, caller: &Caller) -> Vec<(Skill, &'static str)> {
        let told = |adapter: &Adapter| Some((skill(adapter.skill?)?, adapter.skill?));
        self.services(caller).filter_map(told).collect()
    }

    pub(super) fn skill_list(&self, caller: &Caller) -> ListSkillsResult {
        let skills = self.skills(caller).into_iter().map(|(skill, _)| skill).collect();
        ListSkillsResult::with_all_items(skills)
            .with_ttl_ms(FIXED_TTL_MS)
            .with_cache_scope(CacheScope::Private)
    }

    pub(super) fn skill_entry(
        &self,
        caller: &Caller,
        uri: &str,
    ) -> Result<GetSkillResult, ErrorData> {
        let found = self.skills(caller).into_iter().find(|(skill, _)| skill.uri == uri);
        let (skill, _) =
            found.ok_or_else(|| ErrorData::invalid_params("there is no such skill", None))?;
        Ok(GetSkillResult::new(skill)
            .with_ttl_ms(FIXED_TTL_MS)
            .with_cache_scope(CacheScope::Private))
    }

    /// They are resources like others, for clients that know nothing of skills.
    pub(super) fn skill_resources(&self, caller: &Caller) -> Vec<Resource> {
        let skills = self.skills(caller).into_iter();
        let resources = skills.map(|(skill, text)| {
            Resource::new(skill.uri, skill.frontmatter.name)
                .with_description(skill.frontmatter.description)
                .with_mime_type(MIME)
                .with_size(text.len() as u64)
        });
        resources.collect()
    }

    pub(super) fn read_skill(&self, caller: &Caller, uri: &str) -> Option<ReadResourceResult> {
        let (_, text) = self.skills(caller).into_iter().find(|(skill, _)| skill.uri == uri)?;
        let contents = ResourceContents::text(text, uri).with_mime_type(MIME);
        Some(
            ReadResourceResult::new(vec![contents])
                .with_ttl_ms(FIXED_TTL_MS)
                .with_cache_scope(CacheScope::Private),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::host::adapters;
    use crate::mcp::prompts::tests::named_tools;
    use crate::tools::own_tools;

    #[test]
    fn every_service_has_a_short_skill_that_names_only_tools_that_exist() {
        let catalog = Catalog::new(adapters());
        let own = own_tools();
        for adapter in catalog.adapters() {
            let id = adapter.integration.id;
            let text = adapter.skill.unwrap_or_else(|| panic!("{id} has no skill"));
            let skill = skill(text).unwrap_or_else(|| panic!("{id}: no front matter"));
            skill.validate().unwrap_or_else(|error| panic!("{id}: {error}"));
            assert_eq!(skill.name(), format!("resto-{id}"));
            let words = &skill.frontmatter.description;
            assert!((40..=1024).contains(&words.len()), "{id}: {words}");
            // As plain text in YAML as it is here: nothing in it begins a comment, a key or a quotation.
            assert!(!words.contains(": ") && !words.contains(" #"), "{id}: {words}");
            assert!(words.starts_with(|first: char| first.is_ascii_uppercase()), "{id}: {words}");
            assert!(skill.frontmatter.extra.is_empty(), "{id}: {:?}", skill.frontmatter.extra);
            assert!((800..=4_000).contains(&text.len()), "{id}: {} bytes", text.len());
            let named = named_tools(text);
            for tool in &named {
                let exists =
                    catalog.find(tool).is_some() || own.iter().any(|one| one.tool == *tool);
                assert!(exists, "{id} names {tool}, which does not exist");
            }
            let of_it = named.iter().filter(|tool| catalog.find(tool).is_some()).count();
            assert!(of_it >= 5, "{id} names {of_it} of its tools: {named:?}");
        }
    }

    #[test]
    fn what_is_no_front_matter_is_no_skill() {
        for text in ["", "# Title", "---\nname: x\n", "---\nname\n---\ntext"] {
            assert!(skill(text).is_none(), "{text}");
        }
    }
}
