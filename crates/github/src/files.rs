//! Files, read one at a time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use resto_core::{Action, Api, Code, Error, GitRef, PathSegments, Result, Risk, clean};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::branches::may_be_of_a_fork;
use crate::permissions::CONTENTS_READ;
use crate::repos::Repo;

/// Characters of one answer.
const MAX_CHARACTERS: usize = 60_000;

/// Reads a text file of a repository, whole or some of its lines, at most 60,000 characters.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ReadFile {
    #[serde(flatten)]
    at: Repo,
    path: PathSegments,
    /// Branch, tag or commit.
    r#ref: Option<GitRef>,
    /// Counted from 1.
    #[schemars(range(min = 1))]
    from_line: Option<usize>,
    #[schemars(range(min = 1))]
    to_line: Option<usize>,
}

/// A file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct File {
    /// From the root of the repository.
    pub path: String,
    /// Id of the content.
    pub sha: String,
    /// Size of the whole file.
    pub size_bytes: u64,
    /// Whether it is no text (in UTF-8), so that no text is given.
    pub binary: bool,
    /// The lines that were asked for.
    pub lines: Option<Passage>,
}

/// Lines of a file.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Passage {
    /// The text of the lines.
    pub text: String,
    /// The first of them, counted from 1.
    pub from_line: usize,
    /// The last of them; 0 lines if it is before the first.
    pub to_line: usize,
    /// Lines of the whole file; absent if it is so large that not all of it was read.
    pub total_lines: Option<usize>,
    /// Whether some of what was asked for did not fit: go on at the line after `to_line`.
    pub truncated: bool,
    /// True where characters that cannot be seen are left out: a file written from this text loses them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub altered: bool,
}

/// A file as the contents API tells it.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    sha: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    encoding: String,
    #[serde(default)]
    content: String,
    target: Option<String>,
}

impl Action for ReadFile {
    const NAME: &'static str = "read_file";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["show the content of a file", "open source file", "view code"];
    const PERMISSIONS: &'static [&'static [&'static str]] = CONTENTS_READ;
    type Output = File;

    fn tells_outsiders(&self) -> bool {
        self.r#ref.as_ref().is_some_and(may_be_of_a_fork)
    }

    async fn run(self, api: &Api) -> Result<File> {
        if !self.tells_outsiders() {
            self.at.note_outsiders(api).await?;
        }
        let get = || {
            api.get("/repos/{}/{}/contents/{}", &[&self.at.owner, &self.at.repo, &self.path])
                .query("ref", &self.r#ref)
        };
        // https://docs.github.com/rest/repos/contents#get-repository-content
        let content: Answer = get().accept("application/vnd.github.object+json").send().await?;
        if content.kind != "file" {
            return Err(self.no_file(&content));
        }
        // From 1 MB on the content comes only as it is.
        let (text, whole) = if content.encoding == "base64" {
            (decode(&content.content)?, true)
        } else {
            let raw = get().accept("application/vnd.github.raw+json").send_text().await?;
            (text(raw.text, raw.truncated), !raw.truncated)
        };
        let lines = text.map(|text| {
            excerpt(&text, whole, self.from_line.unwrap_or(1), self.to_line.unwrap_or(usize::MAX))
        });
        Ok(File {
            path: self.path.0,
            sha: content.sha,
            size_bytes: content.size,
            binary: lines.is_none(),
            lines,
        })
    }
}

impl ReadFile {
    fn no_file(&self, content: &Answer) -> Error {
        let path = &self.path.0;
        let what = match (content.kind.as_str(), &content.target) {
            ("dir", _) => "a directory: list it with list_files".to_owned(),
            ("symlink", Some(target)) => format!("a link to `{target}`: read that"),
            ("submodule", _) => "a submodule, whose files are in another repository".to_owned(),
            (kind, _) => format!("a {kind}, not a file"),
        };
        Error::invalid("path", format!("invalid input: `{path}` is {what}."))
    }
}

/// The text of a file; `None` if it is no text.
fn decode(base64: &str) -> Result<Option<String>> {
    let packed: String = base64.split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(packed).map_err(|_| {
        Error::new(
            Code::ProviderDown,
            "GitHub sent a file that cannot be decoded. Try again later.",
        )
    })?;
    Ok(String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')))
}

/// A text whose wrong bytes were replaced, so that a replacement tells that it is no text; at the
/// end of one that was cut it is only half a character.
fn text(mut text: String, cut: bool) -> Option<String> {
    if cut {
        text.truncate(text.trim_end_matches('\u{fffd}').len());
    }
    Some(text).filter(|text| !text.contains(['\0', '\u{fffd}']))
}

/// The lines `from` to `to` as far as they fit; of a single line that is longer, its beginning.
fn excerpt(text: &str, whole: bool, from: usize, to: usize) -> Passage {
    let from = from.max(1);
    let mut taken = String::new();
    let mut room = MAX_CHARACTERS;
    let mut last = from - 1;
    let mut truncated = false;
    for (index, line) in text.split_inclusive('\n').enumerate().skip(from - 1) {
        if index >= to {
            break;
        }
        let length = line.chars().count();
        if length > room {
            truncated = true;
            if taken.is_empty() {
                taken.extend(line.chars().take(room));
                last = index + 1;
            }
            break;
        }
        room -= length;
        taken.push_str(line);
        last = index + 1;
    }
    let total = text.lines().count();
    Passage {
        // The host cleans every result.
        altered: clean(&taken) != taken,
        text: taken,
        from_line: from,
        to_line: last,
        total_lines: whole.then_some(total),
        truncated: truncated || (!whole && to > total),
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};
    use wiremock::ResponseTemplate;

    use super::*;
    use crate::standing::tests::own;

    fn file(bytes: &[u8]) -> Value {
        let mut content = STANDARD.encode(bytes);
        content.insert(content.len() / 2, '\n');
        json!({"type": "file", "path": "a", "sha": "f", "size": bytes.len(), "encoding": "base64", "content": content})
    }

    async fn read(answer: Value, more: Value) -> (FakeApi, Result<Value>) {
        let fake = own().await.on("GET", "/repos/o/r/contents/d/a", 200, answer);
        let mut arguments = json!({"owner": "o", "repo": "r", "path": "d/a", "ref": "main"});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let result = fake.run::<ReadFile>(arguments).await;
        (fake, result)
    }

    #[tokio::test]
    async fn reads_a_text_file() {
        let (fake, result) = read(file("eins\nzwei\ndräi".as_bytes()), json!({})).await;
        assert_eq!(
            result.unwrap(),
            json!({"path": "d/a", "sha": "f", "size_bytes": 15, "binary": false, "lines": {
                "text": "eins\nzwei\ndräi", "from_line": 1, "to_line": 3, "total_lines": 3, "truncated": false}})
        );
        let request = &fake.requests().await[1];
        assert_eq!(request.headers["accept"], "application/vnd.github.object+json");
        assert_eq!(request.query["ref"], "main");
    }

    #[tokio::test]
    async fn reads_some_lines() {
        let (_, result) = read(file(b"1\n2\n3\n4\n"), json!({"from_line": 2, "to_line": 3})).await;
        let lines = &result.unwrap()["lines"];
        assert_eq!((&lines["text"], &lines["to_line"]), (&json!("2\n3\n"), &json!(3)));
        assert_eq!((&lines["total_lines"], &lines["truncated"]), (&json!(4), &json!(false)));
        let (_, result) = read(file(b"1\n"), json!({"from_line": 9})).await;
        assert_eq!(result.unwrap()["lines"]["text"], "");
    }

    #[tokio::test]
    async fn says_where_the_text_is_not_all_that_the_file_holds() {
        for (text, altered) in [
            ("a\r\nb\r\n", Value::Null),
            ("soft&shy;hyphen", json!(true)),
            ("\u{feff}begin", json!(true)),
            ("old\rends", json!(true)),
        ] {
            let (_, result) = read(file(text.as_bytes()), json!({})).await;
            assert_eq!(result.unwrap()["lines"]["altered"], altered, "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_binary_file_says_so_with_its_size() {
        for bytes in [&b"\x89PNG\r\n"[..], b"a\0b"] {
            let (_, result) = read(file(bytes), json!({})).await;
            assert_eq!(
                result.unwrap(),
                json!({"path": "d/a", "sha": "f", "size_bytes": bytes.len(), "binary": true})
            );
        }
    }

    #[test]
    fn stops_between_lines_when_it_is_full() {
        let line = format!("{}\n", "x".repeat(39_999));
        let lines = excerpt(&line.repeat(3), true, 1, usize::MAX);
        assert_eq!((lines.to_line, lines.truncated, lines.text.len()), (1, true, 40_000));
        let long = excerpt(&"y".repeat(70_000), true, 1, usize::MAX);
        assert_eq!((long.to_line, long.truncated, long.text.len()), (1, true, 60_000));
    }

    #[tokio::test]
    async fn reads_a_large_file_as_it_is() {
        let large = json!({"type": "file", "path": "a", "sha": "f", "size": 2_000_000, "encoding": "none", "content": ""});
        let fake = own().await.on("GET", "/repos/o/r/contents/a", 200, large).on_answer(
            "GET",
            "/repos/o/r/contents/a",
            ResponseTemplate::new(200).set_body_string("one\ntwo\n"),
        );
        let read = fake
            .run::<ReadFile>(json!({"owner": "o", "repo": "r", "path": "a", "from_line": 2}))
            .await
            .unwrap();
        assert_eq!(
            (&read["lines"]["text"], &read["size_bytes"]),
            (&json!("two\n"), &json!(2_000_000))
        );
        assert_eq!(fake.requests().await[2].headers["accept"], "application/vnd.github.raw+json");
    }

    #[test]
    fn half_a_character_at_a_cut_is_no_binary() {
        assert_eq!(text("ab\u{fffd}".into(), true).as_deref(), Some("ab"));
        assert_eq!(text("ab\u{fffd}".into(), false), None);
    }

    #[tokio::test]
    async fn says_what_is_no_file() {
        let directory = json!({"type": "dir", "entries": []});
        let (_, result) = read(directory, json!({})).await;
        assert!(result.unwrap_err().message().contains("list_files"));
        let link = json!({"type": "symlink", "sha": "l", "size": 3, "target": "../b"});
        let (_, result) = read(link, json!({})).await;
        assert!(result.unwrap_err().message().contains("a link to `../b`"));
    }
}
