//! Files that are deployed without a repository. Each is stored under the digest of its content, so
//! that storing it twice does no harm.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use resto_core::{Api, Code, Error, PathArg as _, PathSegments, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use crate::teams::Scope;

/// Files that are stored at the same time.
const AT_ONCE: usize = 8;

/// A file to deploy.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct NewFile {
    path: PathSegments,
    /// If it is text; else `base64`.
    text: Option<String>,
    base64: Option<String>,
}

impl NewFile {
    fn content(&self) -> Result<Vec<u8>> {
        self.path.append(&mut String::new())?;
        let wrong = |what: &str| {
            Error::invalid(
                "files",
                format!("invalid input: `{}` {what}. Nothing was sent.", self.path.0),
            )
        };
        match (&self.text, &self.base64) {
            (Some(text), None) => Ok(text.clone().into_bytes()),
            (None, Some(base64)) => {
                STANDARD.decode(base64).map_err(|_| wrong("has a content that is not base64"))
            }
            _ => Err(wrong("needs `text` or `base64`, one of them")),
        }
    }
}

/// Stores the files and returns them as a new deployment names them: by path, digest and size.
pub(crate) async fn store(api: &Api, scope: &Scope, files: &[NewFile]) -> Result<Vec<Value>> {
    let mut contents: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut named: BTreeMap<&str, Value> = BTreeMap::new();
    for file in files {
        let content = file.content()?;
        let digest: String =
            Sha1::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = file.path.0.as_str();
        let entry = json!({"file": path, "sha": digest, "size": content.len()});
        if named.insert(path, entry).is_some() {
            return Err(Error::invalid(
                "files",
                format!("invalid input: `{path}` is there twice. Nothing was sent."),
            ));
        }
        contents.insert(digest, content);
    }
    let contents: Vec<(String, Vec<u8>)> = contents.into_iter().collect();
    let total = contents.len() as u64;
    let mut done = 0;
    for some in contents.chunks(AT_ONCE) {
        api.progress(done, Some(total), "Storing files");
        let storing = some.iter().map(|(digest, content)| store_one(api, scope, digest, content));
        futures::future::try_join_all(storing).await?;
        done += some.len() as u64;
    }
    Ok(named.into_values().collect())
}

async fn store_one(api: &Api, scope: &Scope, digest: &str, content: &[u8]) -> Result<()> {
    // https://vercel.com/docs/rest-api/deployments/upload-deployment-files
    let stored = scope
        .on(api, api.post("/v2/files", &[]))
        .header("x-vercel-digest", digest)
        .bytes("application/octet-stream", content.to_vec())
        .repeats()
        .send_empty()
        .await;
    match stored {
        // Nobody sees a stored file before a deployment names it.
        Err(error) if error.code() == Code::UnknownOutcome => Err(Error::new(
            Code::ProviderDown,
            "Vercel did not confirm that it stored a file. Nothing was deployed. Try again.",
        )),
        other => other,
    }
}
