//! One request to a provider, built from parts, and what becomes of its answer.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::form::{flatten, plain};
use crate::paging::next_cursor;
use crate::path::fill;
use crate::reply::parse;
use crate::{Api, Code, Error, Page, PageRequest, Paging, PathArg, Result};

/// A request that is being built. Wrong values show when it is sent.
#[must_use]
pub struct Request<'a> {
    pub(crate) api: &'a Api,
    pub(crate) method: Method,
    /// The one of the provider's other addresses that it goes to.
    pub(crate) at: Option<&'static str>,
    /// The path before its values, from the source code.
    pub(crate) template: &'static str,
    pub(crate) path: Result<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Option<Result<Vec<u8>>>,
    paging: &'static Paging,
    /// A POST that changes nothing.
    pub(crate) reads: bool,
    /// Goes without the credential.
    pub(crate) unsigned: bool,
    /// How often it may be made where it is a change.
    pub(crate) again: Again,
    /// How long to read an answer that may have no end.
    pub(crate) listens: Option<Duration>,
    pub(crate) idempotency_key: Option<HeaderValue>,
}

/// Whether a change may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Where the provider's idempotency key protects it.
    ByKey,
    /// Not even there.
    Never,
    /// It is the same made twice.
    Freely,
}

/// A text from a provider.
#[derive(Debug)]
pub struct Text {
    /// The text; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Whether it went on after our bound.
    pub truncated: bool,
}

impl<'a> Request<'a> {
    pub(crate) fn new(
        api: &'a Api,
        method: Method,
        template: &'static str,
        args: &[&dyn PathArg],
    ) -> Self {
        Self {
            api,
            method,
            at: None,
            template,
            path: fill(template, args),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            paging: &api.provider.paging,
            reads: false,
            unsigned: false,
            again: Again::ByKey,
            listens: None,
            idempotency_key: None,
        }
    }

    /// Sends it to this one of the provider's [`crate::Provider::other_urls`].
    pub fn at(mut self, url: &'static str) -> Self {
        self.at = Some(url);
        self
    }

    /// Adds a query parameter. `None` is left out, a list is joined by commas.
    pub fn query(mut self, name: &str, value: impl Serialize) -> Self {
        match serde_json::to_value(value).map(|value| plain(&value)) {
            Ok(Some(text)) => self.query.push((name.to_owned(), text)),
            Ok(None) => {}
            Err(error) => {
                self.path = Err(Error::new(Code::Internal, format!("the query `{name}`: {error}")));
            }
        }
        self
    }

    /// Asks for one page of a list.
    pub fn page(self, page: &PageRequest) -> Self {
        let paging = &self.api.provider.paging;
        self.page_by(paging, page)
    }

    /// As [`Request::page`], where this list is continued in another way than the provider's others.
    pub fn page_by(mut self, paging: &'static Paging, page: &PageRequest) -> Self {
        self.paging = paging;
        let (size, max) = paging.size();
        self.query.push((size.to_owned(), page.size(max).to_string()));
        let Some(given) = &page.cursor else { return self };
        let parameter = match paging {
            Paging::Link { cursors, .. } => given
                .split_once('=')
                .filter(|(name, _)| cursors.contains(name))
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
            Paging::Cursor { cursor, .. } | Paging::LastId { cursor, .. } => {
                Some(((*cursor).to_owned(), given.clone()))
            }
        };
        match parameter {
            Some(parameter) => self.query.push(parameter),
            None => {
                self.path = Err(Error::invalid(
                    "cursor",
                    "invalid input: `cursor` is not a `next_cursor` of this list.",
                ));
            }
        }
        self
    }

    /// Asks for another media type than the provider's default.
    pub fn accept(mut self, media_type: &'static str) -> Self {
        self.headers.push((ACCEPT, HeaderValue::from_static(media_type)));
        self
    }

    /// Adds a header that only this request carries.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => self.headers.push((HeaderName::from_static(name), value)),
            Err(error) => {
                self.path =
                    Err(Error::new(Code::Internal, format!("the header `{name}`: {error}")));
            }
        }
        self
    }

    /// Says that this POST only reads, as some providers want their queries. Reading actions may
    /// send it, and it is repeated as a GET would be.
    pub fn reads(mut self) -> Self {
        self.reads = true;
        self
    }

    /// Sends it without the credential: to a part of the API that does not need it.
    pub fn unsigned(mut self) -> Self {
        self.unsigned = true;
        self
    }

    /// Says that the provider heeds its idempotency key elsewhere but not here: this change is sent
    /// once only.
    pub fn once(mut self) -> Self {
        self.again = Again::Never;
        self
    }

    /// Says that this change, made twice, is the same as made once, such as to store a file under the digest of its
    /// content: it is repeated as a GET would be.
    pub fn repeats(mut self) -> Self {
        self.again = Again::Freely;
        self
    }

    /// Sends a JSON body as it is.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(body).map_err(|error| {
            Error::new(Code::Internal, format!("the body cannot be written: {error}"))
        });
        self.body = Some(bytes);
        self
    }

    /// Sends a form, nested values as `a[b]` and list items as `a[0]`. Fields that are `null` are
    /// left out.
    pub fn form(mut self, body: &Value) -> Self {
        let mut fields = Vec::new();
        flatten(String::new(), body, &mut fields);
        let text =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.headers
            .push((CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")));
        self.body = Some(Ok(text.into_bytes()));
        self
    }

    /// Sends bytes of this media type.
    pub fn bytes(mut self, media_type: &'static str, bytes: Vec<u8>) -> Self {
        self.headers.push((CONTENT_TYPE, HeaderValue::from_static(media_type)));
        self.body = Some(Ok(bytes));
        self
    }

    /// Sends a JSON object, leaving out the fields that are `null`.
    pub fn fields(self, mut body: Value) -> Self {
        if let Value::Object(fields) = &mut body {
            fields.retain(|_, value| !value.is_null());
        }
        self.json(&body)
    }

    /// Sends it and reads the answer as `T`.
    ///
    /// # Errors
    /// What the provider answered, told by [`Code`].
    pub async fn send<T: DeserializeOwned>(self) -> Result<T> {
        let api = self.api;
        let is_unsafe = !self.is_safe();
        let reply = self.exchange(false).await?;
        parse(api.provider, is_unsafe, reply.0.json())
    }

    /// Sends it; `None` where the provider does not find it.
    ///
    /// # Errors
    /// As [`Request::send`], but not for `not_found`.
    pub async fn send_optional<T: DeserializeOwned>(self) -> Result<Option<T>> {
        match self.send().await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.code() == Code::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends it and ignores the body of the answer.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn send_empty(self) -> Result<()> {
        self.exchange(false).await.map(drop)
    }

    /// Sends it and reads the answer as text, cut at the bound of a body.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn send_text(self) -> Result<Text> {
        let (reply, truncated) = self.exchange(true).await?;
        Ok(Text { text: String::from_utf8_lossy(&reply.body).into_owned(), truncated })
    }

    /// Sends it and reads as text what arrives within `time`: for answers that are streams without
    /// an end. Nothing at all is an empty text.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn send_listening(mut self, time: Duration) -> Result<Text> {
        self.listens = Some(time);
        self.send_text().await
    }

    /// Sends it and reads the answer as one page of a list.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn list<T: DeserializeOwned>(self) -> Result<Page<T>> {
        self.list_at("").await
    }

    /// As [`Request::list`], with the list in this field of the answer.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn list_in<T: DeserializeOwned>(self, field: &str) -> Result<Page<T>> {
        self.list_at(&format!("/{field}")).await
    }

    async fn list_at<T: DeserializeOwned>(self, pointer: &str) -> Result<Page<T>> {
        let (api, paging) = (self.api, self.paging);
        let (reply, _) = self.exchange(false).await?;
        let mut next = None;
        let list = reply.json().and_then(|mut body| {
            next = next_cursor(api, paging, &reply.headers, &body, pointer);
            let omitted = api.provider.omits_empty_lists && body.is_object();
            let list = body.pointer_mut(pointer).map(Value::take);
            list.or(omitted.then(|| Value::Array(Vec::new())))
                .ok_or_else(|| "sent no list".to_owned())
        });
        Ok(Page { items: parse(api.provider, false, list)?, next_cursor: next })
    }
}
