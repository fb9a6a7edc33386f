//! Files in messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bodies::{Body, decoded};
use crate::messages::whole;
use crate::parts::{BASE64, Content, Part};
use crate::permissions::MAIL_READ;

/// The largest file that is handed to an agent, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// Characters of a file that is text.
const MAX_TEXT: usize = 50_000;

/// A file with its contents.
#[derive(Debug, Serialize, JsonSchema)]
pub struct File {
    /// Its file name, as its sender chose it.
    pub name: String,
    /// Such as `application/pdf`, as its sender says.
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    /// What it says, where it is text.
    pub text: Option<Body>,
    /// What it holds in base64 (RFC 4648), where it is no text.
    pub data_base64: Option<String>,
}

/// Reads a file of a message, at most 1 MiB.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetAttachment {
    /// Id of the message.
    message_id: String,
    /// Id of the file in that message.
    attachment_id: String,
}

impl Action for GetAttachment {
    const NAME: &'static str = "get_attachment";
    const RISK: Risk = Risk::Read;
    const OUTSIDERS: bool = true;
    const PHRASES: &'static [&'static str] = &[
        "open an attachment",
        "download a file from an email",
        "attached PDF",
        "Anhang öffnen",
        "pièce jointe",
        "adjunto",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_READ;
    type Output = File;

    async fn run(self, api: &Api) -> Result<File> {
        let message = whole(api, &self.message_id).await?;
        let part = message.payload.file(&self.attachment_id).ok_or_else(|| {
            Error::new(
                Code::NotFound,
                "The message has no such attachment; gmail_get_message lists them.",
            )
        })?;
        let (name, size) = (part.filename.clone(), part.body.size);
        if size > MAX_FILE {
            return Err(Error::new(
                Code::InvalidInput,
                format!(
                    "The file has {size} bytes, and at most {MAX_FILE} are read here. Open the message in Gmail, or forward it with gmail_forward_message."
                ),
            ));
        }
        let bytes = bytes(api, &self.message_id, part).await?;
        let media_type = part.mime_type.clone();
        let is_text = media_type.starts_with("text/")
            || ["application/json", "application/xml", "application/yaml"]
                .contains(&media_type.as_str());
        let (text, data_base64) = if is_text {
            (Some(Body::cut(&decoded(bytes, part.charset()), MAX_TEXT)), None)
        } else {
            (None, Some(STANDARD.encode(bytes)))
        };
        Ok(File { name, media_type, size, text, data_base64 })
    }
}

/// What a part of a message holds.
pub(crate) async fn bytes(api: &Api, message_id: &str, part: &Part) -> Result<Vec<u8>> {
    let fetched: Content;
    let content = match &part.body.attachment_id {
        // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages.attachments/get
        Some(id) => {
            let path = "/gmail/v1/users/me/messages/{}/attachments/{}";
            fetched = api.get(path, &[&message_id, id]).send().await?;
            &fetched
        }
        None => &part.body,
    };
    BASE64.decode(content.data.as_deref().unwrap_or_default()).map_err(|_| {
        Error::new(Code::ProviderDown, "Google sent a file that is not base64. Try again later.")
    })
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::GMAIL;

    const MESSAGE: &str = "/gmail/v1/users/me/messages/m1";
    const FILE: &str = "/gmail/v1/users/me/messages/m1/attachments/A-1_x";

    async fn fake(kind: &str, size: u64, data: &[u8]) -> FakeApi {
        let part = json!({"partId": "1", "mimeType": kind, "filename": "offer", "body": {"attachmentId": "A-1_x", "size": size}});
        FakeApi::new(&GMAIL)
            .await
            .on("GET", MESSAGE, 200, json!({"id": "m1", "threadId": "t1", "payload": {"mimeType": "multipart/mixed", "parts": [part]}}))
            .on("GET", FILE, 200, json!({"size": size, "data": BASE64.encode(data)}))
    }

    async fn read(fake: &FakeApi) -> Result<Value> {
        fake.run::<GetAttachment>(json!({"message_id": "m1", "attachment_id": "1"})).await
    }

    #[tokio::test]
    async fn hands_over_a_file_in_base64() {
        let file = read(&fake("application/pdf", 3, b"\xff\xfe\xfd").await).await.unwrap();
        assert_eq!(
            file,
            json!({"name": "offer", "media_type": "application/pdf", "size": 3, "data_base64": "//79"})
        );
    }

    #[tokio::test]
    async fn hands_over_text_as_text() {
        let file = read(&fake("text/csv", 4, b"a,b\n").await).await.unwrap();
        assert_eq!(file["text"], json!({"text": "a,b", "truncated": false}));
        assert!(file.get("data_base64").is_none());
    }

    #[tokio::test]
    async fn fetches_no_file_that_is_too_large() {
        let fake = fake("application/zip", MAX_FILE + 1, b"").await;
        let error = read(&fake).await.unwrap_err();
        assert!(error.message().contains("1048577 bytes"), "{error}");
        assert_eq!(fake.requests().await.len(), 1);
    }

    #[tokio::test]
    async fn explains_a_missing_file() {
        let fake = fake("application/zip", 1, b"").await;
        let error = fake
            .run::<GetAttachment>(json!({"message_id": "m1", "attachment_id": "0"}))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
    }
}
