//! Files in messages.

use base64::Engine as _;
use resto_core::{Action, Api, Code, Error, File, FileLink, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bodies::{Body, decoded};
use crate::messages::whole;
use crate::parts::{BASE64, Content, Part};
use crate::permissions::MAIL_READ;

/// Characters of a file that is text.
const MAX_TEXT: usize = 50_000;

/// A file of a message. Its name and type are as its sender chose them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Attachment {
    /// Where its bytes are read.
    pub file: FileLink,
    /// What it says, where it is text.
    pub text: Option<Body>,
}

/// Reads a file of a message, at most 1 MiB: the text of one that is text, and a link to its bytes.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetAttachment {
    message_id: String,
    attachment_id: String,
}

impl Action for GetAttachment {
    const NAME: &'static str = "get_attachment";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "open an attachment",
        "download a file from an email",
        "attached PDF",
        "Anhang öffnen",
        "pièce jointe",
        "adjunto",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_READ;
    type Output = Attachment;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Attachment> {
        let message = whole(api, &self.message_id).await?;
        let part = message.payload.file(&self.attachment_id).ok_or_else(|| {
            Error::new(
                Code::NotFound,
                "The message has no such attachment; gmail_get_message lists them.",
            )
        })?;
        if part.body.size > File::MAX as u64 {
            return Err(Error::new(
                Code::InvalidInput,
                format!(
                    "The file has {} bytes, and at most {} are read here. Open the message in Gmail, or forward it with gmail_forward_message.",
                    part.body.size,
                    File::MAX
                ),
            ));
        }
        let bytes = bytes(api, &self.message_id, part).await?;
        let (name, media_type) = (part.filename.clone(), part.mime_type.clone());
        let is_text = media_type.starts_with("text/")
            || ["application/json", "application/xml", "application/yaml"]
                .contains(&media_type.as_str());
        let file = File { name, media_type, bytes };
        let link = api.hand_out(&file).await?;
        let text = is_text.then(|| Body::cut(&decoded(file.bytes, part.charset()), MAX_TEXT));
        Ok(Attachment { file: link, text })
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
    async fn hands_out_a_file_by_its_link() {
        let fake = fake("application/pdf", 3, b"\xff\xfe\xfd").await;
        let link = json!({"uri": "resto://files/1", "name": "offer", "media_type": "application/pdf", "size": 3});
        assert_eq!(read(&fake).await.unwrap(), json!({"file": link}));
        assert_eq!(fake.files(), [b"\xff\xfe\xfd"]);
    }

    #[tokio::test]
    async fn tells_the_text_of_a_file_that_is_text_beside_its_link() {
        let fake = fake("text/csv", 4, b"a,b\n").await;
        let read = read(&fake).await.unwrap();
        assert_eq!(read["text"], json!({"text": "a,b", "truncated": false}));
        assert_eq!(
            (read["file"]["size"].as_u64(), fake.files()),
            (Some(4), vec![b"a,b\n".to_vec()])
        );
    }

    #[tokio::test]
    async fn fetches_no_file_that_is_too_large() {
        let fake = fake("application/zip", File::MAX as u64 + 1, b"").await;
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
