use sha2::{Digest as _, Sha256};

use super::*;
use crate::config::{Config, Overrides};

/// The tools as one installation publishes them, as they go over the wire.
async fn published(configure: impl FnOnce(&mut Config)) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::of_a_test(folder.path());
    configure(&mut config);
    let host = Host::open(&config).await.unwrap();
    let tools = Tools::default();
    let texts = tools.of(&host).iter();
    texts.map(|(name, tool)| (name.clone(), tool.text.to_string())).collect()
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn d8_the_published_tools_are_these() {
    let tools = published(|_| ()).await;
    for part in ["name", "title", "description", "inputSchema", "annotations"] {
        let with = tools.values().filter(|tool| tool.contains(&format!("\"{part}\":")));
        assert_eq!(with.count(), tools.len(), "{part}");
    }
    let lines: Vec<_> = tools.iter().map(|(name, tool)| format!("{} {name}", hash(tool))).collect();
    let lines = format!("{} all\n{}", hash(&lines.join("\n")), lines.join("\n"));
    insta::with_settings!({
        description => "SHA-256 of each tool as `tools/list` publishes it: its name, title, description, schemas and annotations. \
            A model reads them and a person approved them: where the change is meant, accept it with INSTA_UPDATE=always.",
        omit_expression => true,
        prepend_module_to_snapshot => false,
        snapshot_path => "../../../tests/snapshots",
    }, {
        insta::assert_snapshot!("published_tools", lines);
    });
}

#[tokio::test]
async fn d8_no_tool_tells_anything_of_the_installation() {
    let plain = published(|_| ()).await;
    let other = published(|config| {
        let base_url = Some("http://127.0.0.1:1/canary".to_owned());
        for id in ["github", "gmail", "stripe", "vercel", "analytics"] {
            let overrides = Overrides { base_url: base_url.clone(), ..Overrides::default() };
            config.integrations.insert(id.to_owned(), overrides);
        }
    })
    .await;
    assert_eq!(plain, other);
    assert!(plain.len() > 100, "{} tools", plain.len());
}
