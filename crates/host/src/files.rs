//! Files that actions hand out: sealed documents of the tenant that end by themselves. Whoever made the call reads them,
//! while they may still make it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use resto_core::{Code, Error, File, FileLink, Result, clean};
use resto_vault::{Intent, Needs, Outcome, PrincipalId, ResultStatus, TenantScope};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::call::{fault, summary};
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
}

impl Holder {
    /// Keeps a file.
    pub async fn keep(&self, scope: &TenantScope, file: &File) -> Result<FileLink> {
        let link = link(file)?;
        let kept = Kept {
            principal: self.principal.to_string(),
            tool: self.tool.clone(),
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
        let intent = Intent {
            integration_id: entry.integration().id,
            action: &format!("{}.file", kept.tool),
            params: &Value::from(uri),
            actor: &caller.actor,
            op_id: None,
            unsafe_: false,
            connection: Needs::Nothing,
        };
        let message = allowed.as_ref().err().map(summary);
        let outcome = Outcome {
            status: if allowed.is_ok() { ResultStatus::Success } else { ResultStatus::Denied },
            error_message: message.as_deref(),
            output: None,
            permissions: None,
            rate_limits: None,
        };
        caller.scope.record_event(intent, outcome).await.map_err(told)?;
        allowed?;
        Ok(Some(Held { media_type: kept.media_type, data: kept.data }))
    }
}
