//! Files that actions hand out: sealed documents of the tenant that end by themselves. Whoever made the call reads them,
//! while they may still make it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use resto_core::{Code, Error, File, FileLink, Result, clean};
use resto_vault::{Outcome, PrincipalId, ResultStatus, TenantScope};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::call::{fault, summary};
use crate::connect::lifecycle;
use crate::host::{Caller, Host, told};

const FILES: &str = "files";
/// How the addresses of all files begin; the id that follows cannot be guessed.
const PREFIX: &str = "resto://files/";
/// As [`FileLink::uri`] tells agents.
const KEPT: Duration = Duration::from_mins(10);

/// A file as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    principal: String,
    /// The action that handed it out.
    tool: String,
    /// Whether it may hold what people outside the business wrote.
    outsiders: bool,
    media_type: String,
    data: String,
}

/// A file that is read.
pub(crate) struct Held {
    /// Such as `application/pdf`.
    pub media_type: String,
    /// What it holds, in base64 (RFC 4648).
    pub data: String,
}

/// Whose call it is that hands files out.
pub(crate) struct Holder {
    pub principal: PrincipalId,
    pub tool: String,
    /// Whether its result, of which the files are part, may hold what people outside the business wrote.
    pub outsiders: AtomicBool,
}

impl Holder {
    /// Keeps a file.
    pub async fn keep(&self, scope: &TenantScope, file: &File) -> Result<FileLink> {
        let link = link(file)?;
        let kept = Kept {
            principal: self.principal.to_string(),
            tool: self.tool.clone(),
            outsiders: self.outsiders.load(Ordering::Relaxed),
            media_type: link.media_type.clone(),
            data: STANDARD.encode(&file.bytes),
        };
        let value = serde_json::to_value(&kept).map_err(|_| fault())?;
        let id = link.uri.trim_start_matches(PREFIX);
        scope.put_record(FILES, id, &value, Some(KEPT)).await.map_err(told)?;
        Ok(link)
    }
}

/// The link of a file; that of a trial leads nowhere.
pub(crate) fn link(file: &File) -> Result<FileLink> {
    if file.bytes.len() > File::MAX {
        return Err(Error::new(
            Code::InvalidInput,
            format!("The file has more than {} bytes, which are handed out at most.", File::MAX),
        ));
    }
    Ok(FileLink {
        uri: format!("{PREFIX}{}", Uuid::new_v4()),
        name: clean(&file.name).into_owned(),
        media_type: clean(&file.media_type).into_owned(),
        size: file.bytes.len() as u64,
    })
}

impl Host {
    /// The file at an address; none where there is none, it has ended, or it is not the caller's.
    ///
    /// # Errors
    /// The caller may no longer make the call that handed it out.
    pub(crate) async fn file(self: &Arc<Self>, caller: &Caller, uri: &str) -> Result<Option<Held>> {
        let Some(id) = uri.strip_prefix(PREFIX).and_then(|id| Uuid::parse_str(id).ok()) else {
            return Ok(None);
        };
        let found = caller.scope.record(FILES, &id.to_string()).await.map_err(told)?;
        let Some(value) = found else { return Ok(None) };
        let kept: Kept = serde_json::from_value(value).map_err(|_| fault())?;
        if kept.principal != caller.principal.id.to_string() {
            return Ok(None);
        }
        let catalog = self.catalog_of(&caller.scope).await?;
        let Some(entry) = catalog.find(&kept.tool) else { return Ok(None) };
        let allowed = self.allow(caller, &entry).await;
        let (action, about) = (format!("{}.file", kept.tool), Value::from(uri));
        let intent = lifecycle(caller, entry.integration(), &action, &about);
        let message = allowed.as_ref().err().map(summary);
        let status = if allowed.is_ok() { ResultStatus::Success } else { ResultStatus::Denied };
        let outcome = Outcome { error_message: message.as_deref(), ..Outcome::of(status) };
        caller.scope.record_event(intent, outcome).await.map_err(told)?;
        allowed?;
        if kept.outsiders {
            self.note_outsiders(caller).await?;
        }
        Ok(Some(Held { media_type: kept.media_type, data: kept.data }))
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Code;

    use super::*;
    use crate::config::Config;
    use crate::host::LOCAL_TENANT;

    #[tokio::test]
    async fn a_file_of_another_principal_of_the_tenant_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::of_a_test(folder.path());
        let host = Arc::new(Host::open(&config).await.unwrap());
        let ours = host.owner(LOCAL_TENANT, "test").await.unwrap();
        let other = ours.scope.principal("https://id.example", "bob").await.unwrap();
        let file = File {
            name: "offer.pdf".to_owned(),
            media_type: "application/pdf".to_owned(),
            bytes: b"%PDF".to_vec(),
        };
        let tool = "gmail_get_attachment".to_owned();
        let holder = Holder { principal: ours.principal.id, tool, outsiders: true.into() };
        let link = holder.keep(&ours.scope, &file).await.unwrap();
        // It is found, and no longer allowed: nothing is connected.
        let refused = host.file(&ours, &link.uri).await.err().unwrap();
        assert_eq!(refused.code(), Code::NotConnected);
        let theirs = Caller { principal: other, ..ours.clone() };
        assert!(host.file(&theirs, &link.uri).await.unwrap().is_none());
        assert!(host.file(&ours, "resto://files/1").await.unwrap().is_none());
    }

    #[test]
    fn a_file_that_is_too_large_is_not_handed_out() {
        let bytes = vec![0; File::MAX + 1];
        let file = File { name: String::new(), media_type: String::new(), bytes };
        assert_eq!(link(&file).unwrap_err().code(), Code::InvalidInput);
    }
}
