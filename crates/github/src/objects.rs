//! Git objects: files, trees and commits that no branch shows yet, so that losing an answer about
//! one of them does no harm.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use resto_core::{Api, Code, Error, PathArg as _, PathSegments, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use crate::branches::Start;
use crate::repos::Repo;
use crate::trees::{Node, Tree};

/// Bytes of text that travel inside the tree instead of one request per file.
const MAX_INLINE: usize = 1 << 20;

/// A file to add or replace.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct NewFile {
    pub(crate) path: PathSegments,
    /// If it is text; else `base64`.
    pub(crate) text: Option<String>,
    pub(crate) base64: Option<String>,
    /// Left out, it stays.
    pub(crate) executable: Option<bool>,
}

impl NewFile {
    /// Its content in base64.
    ///
    /// # Errors
    /// As [`NewFile::content`].
    pub(crate) fn encoded(&self) -> Result<String> {
        Ok(STANDARD.encode(self.content()?))
    }

    /// The id by which git knows its content.
    ///
    /// # Errors
    /// As [`NewFile::content`].
    pub(crate) fn blob(&self) -> Result<String> {
        let content = self.content()?;
        let digest = Sha1::new().chain_update(format!("blob {}\0", content.len()));
        let digest = digest.chain_update(&content).finalize();
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Its content.
    ///
    /// # Errors
    /// The path is no path, or there is not exactly one content, or it is no base64.
    fn content(&self) -> Result<Cow<'_, [u8]>> {
        self.path.append(&mut String::new())?;
        let path = &self.path.0;
        let wrong = match (&self.text, &self.base64) {
            (Some(text), None) => return Ok(text.as_bytes().into()),
            (None, Some(base64)) => match STANDARD.decode(base64) {
                Ok(content) => return Ok(content.into()),
                Err(_) => format!("the content of `{path}` is not base64"),
            },
            _ => format!("`{path}` needs `text` or `base64`, one of them"),
        };
        Err(Error::invalid("files", format!("invalid input: {wrong}. Nothing was sent.")))
    }
}

/// A file whose content travels with the tree, or is stored already.
pub(crate) struct Stored<'a> {
    file: &'a NewFile,
    /// `content` or `sha`, and its value.
    content: (&'static str, String),
}

/// Stores the files that do not travel with the tree. `step` is told before each.
pub(crate) async fn store_files<'a>(
    api: &Api,
    at: &Repo,
    files: &[&'a NewFile],
    step: impl Fn(usize, &str),
) -> Result<Vec<Stored<'a>>> {
    #[derive(Deserialize)]
    struct Blob {
        sha: String,
    }
    let mut room = MAX_INLINE;
    let mut stored = Vec::with_capacity(files.len());
    for (index, file) in files.iter().enumerate() {
        let content = match &file.text {
            Some(text) if text.len() <= room => {
                room -= text.len();
                ("content", text.clone())
            }
            _ => {
                step(index, &file.path.0);
                // https://docs.github.com/rest/git/blobs#create-a-blob
                let blob: Blob = api
                    .post("/repos/{}/{}/git/blobs", &[&at.owner, &at.repo])
                    .json(&json!({"content": file.encoded()?, "encoding": "base64"}))
                    .repeats()
                    .send()
                    .await
                    .map_err(harmless)?;
                ("sha", blob.sha)
            }
        };
        stored.push(Stored { file, content });
    }
    Ok(stored)
}

/// What the tree of `head` becomes with these files and without the deleted ones.
pub(crate) async fn changes(
    api: &Api,
    at: &Repo,
    head: &Start,
    stored: &[Stored<'_>],
    deletions: &[PathSegments],
) -> Result<Vec<Value>> {
    let all_known = deletions.is_empty() && stored.iter().all(|s| s.file.executable.is_some());
    let tree = if all_known { None } else { Some(present(api, at, &head.tree).await?) };
    let (modes, truncated) = match &tree {
        Some(tree) => (modes(tree), tree.truncated),
        None => (BTreeMap::new(), false),
    };
    let mut entries = Vec::with_capacity(stored.len() + deletions.len());
    for Stored { file, content } in stored {
        let path = file.path.0.as_str();
        if modes.get(path) == Some(&"040000") {
            return Err(Error::invalid(
                "files",
                format!(
                    "invalid input: `{path}` is a directory, and a file in its place would delete all that is in it. Nothing was committed."
                ),
            ));
        }
        let executable = match (file.executable, modes.get(path)) {
            (Some(executable), _) => executable,
            (None, Some(mode)) => *mode == "100755",
            (None, None) if truncated => {
                return Err(Error::invalid(
                    "files",
                    format!(
                        "invalid input: the repository is too large to see whether `{path}` is executable: say `executable`. Nothing was committed."
                    ),
                ));
            }
            (None, None) => false,
        };
        let mode = if executable { "100755" } else { "100644" };
        let (key, value) = content;
        entries.push(json!({"path": path, "mode": mode, "type": "blob", *key: value}));
    }
    for path in deletions {
        let path = path.0.as_str();
        let mode = match modes.get(path) {
            Some(&"040000") => {
                return Err(Error::invalid(
                    "deletions",
                    format!(
                        "invalid input: `{path}` is a directory: name its files. Nothing was committed."
                    ),
                ));
            }
            Some(mode) => mode,
            None if truncated => "100644",
            None => {
                return Err(Error::invalid(
                    "deletions",
                    format!(
                        "invalid input: there is no `{path}` to delete. Nothing was committed."
                    ),
                ));
            }
        };
        let kind = if mode == "160000" { "commit" } else { "blob" };
        entries.push(json!({"path": path, "mode": mode, "type": kind, "sha": null}));
    }
    Ok(entries)
}

/// Whether a tree has these files and none of the deleted ones. Not where GitHub does not show all of it.
pub(crate) async fn holds(
    api: &Api,
    at: &Repo,
    tree: &str,
    files: &[NewFile],
    deletions: &[PathSegments],
) -> Result<bool> {
    let tree = present(api, at, tree).await?;
    let nodes: BTreeMap<&str, &Node> =
        tree.tree.iter().map(|node| (node.path.as_str(), node)).collect();
    for file in files {
        let Some(node) = nodes.get(file.path.0.as_str()) else { return Ok(false) };
        let is_executable = node.mode == "100755";
        if node.sha != file.blob()? || file.executable.is_some_and(|wanted| wanted != is_executable)
        {
            return Ok(false);
        }
    }
    Ok(!tree.truncated && !deletions.iter().any(|path| nodes.contains_key(path.0.as_str())))
}

async fn present(api: &Api, at: &Repo, tree: &str) -> Result<Tree> {
    // https://docs.github.com/rest/git/trees#get-a-tree
    api.get("/repos/{}/{}/git/trees/{}", &[&at.owner, &at.repo, &tree])
        .query("recursive", "1")
        .send()
        .await
}

fn modes(tree: &Tree) -> BTreeMap<&str, &str> {
    tree.tree.iter().map(|node| (node.path.as_str(), node.mode.as_str())).collect()
}

/// Stores the tree of `head` with these changes; returns its id.
pub(crate) async fn store_tree(
    api: &Api,
    at: &Repo,
    head: &Start,
    changes: &[Value],
) -> Result<String> {
    #[derive(Deserialize)]
    struct Answer {
        sha: String,
    }
    // https://docs.github.com/rest/git/trees#create-a-tree
    let tree: Answer = api
        .post("/repos/{}/{}/git/trees", &[&at.owner, &at.repo])
        .json(&json!({"base_tree": head.tree, "tree": changes}))
        .repeats()
        .send()
        .await
        .map_err(harmless)?;
    Ok(tree.sha)
}

/// A commit that was stored.
#[derive(Debug, Deserialize)]
pub(crate) struct StoredCommit {
    pub sha: String,
    pub html_url: String,
}

/// Stores a commit after `head`.
pub(crate) async fn store_commit(
    api: &Api,
    at: &Repo,
    head: &Start,
    tree: &str,
    message: &str,
) -> Result<StoredCommit> {
    // https://docs.github.com/rest/git/commits#create-a-commit
    api.post("/repos/{}/{}/git/commits", &[&at.owner, &at.repo])
        .json(&json!({"message": message, "tree": tree, "parents": [head.sha]}))
        .send()
        .await
        .map_err(harmless)
}

/// An object that may have been stored changes nothing that anybody sees.
fn harmless(error: Error) -> Error {
    if error.code() != Code::UnknownOutcome {
        return error;
    }
    Error::new(
        Code::ProviderDown,
        "GitHub did not confirm that it stored a part of the commit. The branch is as it was. Try again later.",
    )
}

#[cfg(test)]
mod tests;
