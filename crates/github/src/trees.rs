//! Trees: what is where in a repository at a commit.

use resto_core::{Action, Api, Code, Error, GitRef, PathSegments, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::branches::may_be_of_a_fork;
use crate::permissions::CONTENTS_READ;
use crate::repos::Repo;

/// Entries of one answer.
const MAX_ENTRIES: usize = 1000;

/// A tree as the git data API tells it.
#[derive(Debug, Deserialize)]
pub(crate) struct Tree {
    pub tree: Vec<Node>,
    /// Whether GitHub left entries out.
    pub truncated: bool,
}

/// A file or a directory of a [`Tree`].
#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    pub path: String,
    /// As git writes it, such as `100755`.
    pub mode: String,
    pub sha: String,
    size: Option<u64>,
}

/// A file or a directory as the contents API tells it.
#[derive(Deserialize)]
struct Content {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    sha: String,
    size: Option<u64>,
}

/// A file or a directory.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Entry {
    /// From the root of the repository.
    pub path: String,
    /// `file`, `directory`, `symlink` or `submodule`.
    pub kind: String,
    /// Size of a file.
    pub size_bytes: Option<u64>,
    /// Id of the content.
    pub sha: String,
}

impl From<Node> for Entry {
    fn from(node: Node) -> Self {
        let kind = match node.mode.as_str() {
            "040000" => "directory",
            "120000" => "symlink",
            "160000" => "submodule",
            _ => "file",
        };
        Self { path: node.path, kind: kind.to_owned(), size_bytes: node.size, sha: node.sha }
    }
}

impl From<Content> for Entry {
    fn from(content: Content) -> Self {
        let is_directory = content.kind == "dir";
        Self {
            path: content.path,
            kind: if is_directory { "directory".to_owned() } else { content.kind },
            size_bytes: content.size.filter(|_| !is_directory),
            sha: content.sha,
        }
    }
}

/// Files of a repository.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Files {
    /// Files and directories, at most 1,000.
    pub items: Vec<Entry>,
    /// Whether there are more; list a directory of them to see its files.
    pub truncated: bool,
}

/// Lists the files of a repository: one directory, or everything below it with `recursive`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListFiles {
    #[serde(flatten)]
    at: Repo,
    /// Directory.
    path: Option<PathSegments>,
    /// Branch, tag or commit.
    r#ref: Option<GitRef>,
    #[serde(default)]
    recursive: bool,
}

impl Action for ListFiles {
    const NAME: &'static str = "list_files";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "browse a folder of the repo",
        "directory tree",
        "which files are in the project",
        "what is in a folder of the code",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = CONTENTS_READ;
    type Output = Files;

    fn tells_outsiders(&self) -> bool {
        self.r#ref.as_ref().is_some_and(may_be_of_a_fork)
    }

    async fn run(self, api: &Api) -> Result<Files> {
        if !self.tells_outsiders() {
            self.at.note_outsiders(api).await?;
        }
        let (mut items, mut truncated) = match &self.path {
            Some(path) if !self.recursive => (self.directory(api, path).await?, false),
            _ => self.tree(api).await?,
        };
        truncated |= items.len() > MAX_ENTRIES;
        items.truncate(MAX_ENTRIES);
        Ok(Files { items, truncated })
    }
}

impl ListFiles {
    async fn directory(&self, api: &Api, path: &PathSegments) -> Result<Vec<Entry>> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Answer {
            Directory(Vec<Content>),
            Other(Content),
        }
        // https://docs.github.com/rest/repos/contents#get-repository-content
        let answer = api
            .get("/repos/{}/{}/contents/{}", &[&self.at.owner, &self.at.repo, path])
            .query("ref", &self.r#ref)
            .send()
            .await?;
        match answer {
            Answer::Directory(contents) => Ok(contents.into_iter().map(Entry::from).collect()),
            Answer::Other(content) => Err(Error::invalid(
                "path",
                format!(
                    "invalid input: `{}` is a {}, not a directory. Read it with read_file.",
                    path.0, content.kind
                ),
            )),
        }
    }

    async fn tree(&self, api: &Api) -> Result<(Vec<Entry>, bool)> {
        let head = GitRef("HEAD".to_owned());
        let at = self.r#ref.as_ref().unwrap_or(&head);
        // https://docs.github.com/rest/git/trees#get-a-tree
        let answer = api
            .get("/repos/{}/{}/git/trees/{}", &[&self.at.owner, &self.at.repo, at])
            .query("recursive", self.recursive.then_some("1"))
            .send::<Tree>()
            .await;
        let tree = match answer {
            Ok(tree) => tree,
            Err(error) if is_empty_repository(&error) => return Ok((Vec::new(), false)),
            Err(error) => return Err(error),
        };
        let below = self.path.as_ref().map(|path| format!("{}/", path.0));
        let items: Vec<Entry> = tree
            .tree
            .into_iter()
            .filter(|node| below.as_ref().is_none_or(|below| node.path.starts_with(below)))
            .map(Entry::from)
            .collect();
        match &self.path {
            Some(path) if items.is_empty() && !tree.truncated => Err(Error::new(
                Code::NotFound,
                format!("GitHub has no directory `{}` there. List the one above it.", path.0),
            )),
            _ => Ok((items, tree.truncated)),
        }
    }
}

/// Whether GitHub says that a repository has no commit yet.
pub(crate) fn is_empty_repository(error: &Error) -> bool {
    error.details().http_status == Some(409) && error.message().contains("Repository is empty")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::standing::tests::own;

    fn node(path: &str, mode: &str) -> Value {
        json!({"path": path, "mode": mode, "type": "blob", "sha": format!("sha of {path}"), "size": 7})
    }

    #[tokio::test]
    async fn lists_one_directory() {
        let fake = own().await.on(
            "GET",
            "/repos/o/r/contents/src",
            200,
            json!([
                {"type": "dir", "path": "src/bin", "sha": "d", "size": 0, "name": "bin"},
                {"type": "file", "path": "src/main.rs", "sha": "f", "size": 12, "name": "main.rs"},
            ]),
        );
        let listed = fake
            .run::<ListFiles>(json!({"owner": "o", "repo": "r", "path": "src", "ref": "v1"}))
            .await
            .unwrap();
        assert_eq!(
            listed,
            json!({"items": [
                {"path": "src/bin", "kind": "directory", "sha": "d"},
                {"path": "src/main.rs", "kind": "file", "size_bytes": 12, "sha": "f"},
            ], "truncated": false})
        );
        assert_eq!(fake.requests().await[1].query["ref"], "v1");
    }

    #[tokio::test]
    async fn a_file_is_no_directory() {
        let file = json!({"type": "file", "path": "a.txt", "sha": "f", "size": 1});
        let fake = own().await.on("GET", "/repos/o/r/contents/a.txt", 200, file);
        let error = fake
            .run::<ListFiles>(json!({"owner": "o", "repo": "r", "path": "a.txt"}))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput);
        assert!(error.message().contains("is a file"), "{error}");
    }

    #[tokio::test]
    async fn lists_everything_below_a_directory() {
        let tree = json!({"sha": "t", "truncated": false, "tree": [
            node("README.md", "100644"), node("src", "040000"), node("src/run", "100755"),
            node("src/link", "120000"), node("src2/x", "100644"),
        ]});
        let fake = own().await.on("GET", "/repos/o/r/git/trees/feat%2Fx", 200, tree);
        let arguments =
            json!({"owner": "o", "repo": "r", "path": "src", "ref": "feat/x", "recursive": true});
        let listed = fake.run::<ListFiles>(arguments).await.unwrap();
        let found: Vec<_> = listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| (item["path"].as_str().unwrap(), item["kind"].as_str().unwrap()))
            .collect();
        assert_eq!(found, [("src/run", "file"), ("src/link", "symlink")]);
        assert_eq!(fake.requests().await[1].query["recursive"], "1");
        let arguments =
            json!({"owner": "o", "repo": "r", "path": "no", "ref": "feat/x", "recursive": true});
        let error = fake.run::<ListFiles>(arguments).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
    }

    #[tokio::test]
    async fn lists_at_most_a_thousand_and_says_so() {
        let nodes: Vec<Value> = (0..1001).map(|n| node(&format!("f{n}"), "100644")).collect();
        let tree = json!({"sha": "t", "truncated": false, "tree": nodes});
        let fake = own().await.on("GET", "/repos/o/r/git/trees/HEAD", 200, tree);
        let listed = fake
            .run::<ListFiles>(json!({"owner": "o", "repo": "r", "recursive": true}))
            .await
            .unwrap();
        assert_eq!(
            (listed["items"].as_array().unwrap().len(), &listed["truncated"]),
            (1000, &json!(true))
        );
    }

    #[tokio::test]
    async fn an_empty_repository_has_no_files() {
        let fake = own().await.on(
            "GET",
            "/repos/o/r/git/trees/HEAD",
            409,
            json!({"message": "Git Repository is empty."}),
        );
        let listed = fake.run::<ListFiles>(json!({"owner": "o", "repo": "r"})).await.unwrap();
        assert_eq!(listed, json!({"items": [], "truncated": false}));
    }
}
