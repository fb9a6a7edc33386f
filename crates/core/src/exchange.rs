//! Requests that carry no connection's credential, such as those to a token endpoint: the same one
//! HTTP client, without an adapter around them.

use std::time::Duration;

use tokio::time::timeout;
use url::Url;

use crate::reply::Reply;
use crate::text::quote;
use crate::{Bounds, Code, Error, Http, Result};

/// From the request to the end of the answer.
const TOTAL: Duration = Duration::from_secs(15);

/// Bytes of an answer: tokens are short.
const BODY: usize = 1 << 20;

impl Http {
    /// Sends a request once and reads its whole answer, whatever its status: at most 1 MiB, within
    /// 15 s. A redirect is an answer like any other.
    ///
    /// # Errors
    /// The address is not one that requests go to, or no whole answer came.
    pub async fn exchange(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>> {
        let fault = |what: &str| Error::new(Code::Internal, format!("The request {what}."));
        let url = Url::parse(&request.uri().to_string())
            .map_err(|_| fault("has no address. Nothing was sent"))?;
        let client = self.client(&url)?;
        let request = reqwest::Request::try_from(request)
            .map_err(|_| fault("cannot be built. Nothing was sent"))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let down =
            |what: &str| Error::new(Code::ProviderDown, format!("{host} {what}. Try again later."));
        let bounds = Bounds { body: BODY, ..(*self.bounds).clone() };
        let answered = timeout(TOTAL, async {
            let response = client.execute(request).await.map_err(|error| {
                down(if error.is_connect() { "cannot be reached" } else { "did not answer" })
            })?;
            let (reply, _) = Reply::read(response, &bounds, false, None)
                .await
                .map_err(|what| down(&quote(&what)))?;
            Ok(reply)
        });
        let Reply { status, headers, body } =
            answered.await.unwrap_or_else(|_| Err(down("did not answer within 15 s")))?;
        let mut response = http::Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}
