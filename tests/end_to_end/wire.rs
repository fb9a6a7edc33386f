//! HTTP/1.1 as it stands on the wire: requests that no decent client would send, and what a provider is sent.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

/// A request or an answer.
#[derive(Clone, Debug)]
pub struct Message {
    /// `POST /mcp HTTP/1.1`, or `HTTP/1.1 200 OK`.
    pub first: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Message {
    /// Reads the next one; `None` where the other side has closed.
    pub fn read(stream: &mut impl BufRead) -> io::Result<Option<Self>> {
        let first = line(stream)?;
        if first.is_empty() {
            return Ok(None);
        }
        let mut headers = Vec::new();
        loop {
            let line = line(stream)?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut message = Self { first, headers, body: String::new() };
        let mut body = Vec::new();
        if message.header("transfer-encoding").is_some() {
            loop {
                let size = usize::from_str_radix(&line(stream)?, 16).unwrap();
                stream.take(size as u64).read_to_end(&mut body)?;
                line(stream)?;
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = message.header("content-length") {
            stream.take(length.parse().unwrap()).read_to_end(&mut body)?;
        }
        message.body = String::from_utf8(body).unwrap();
        Ok(Some(message))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Of an answer.
    pub fn status(&self) -> u16 {
        self.first.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Of a request, such as `GET /user`, without its query.
    pub fn what(&self) -> &str {
        let end = self.first.find('?').or_else(|| self.first.rfind(' ')).unwrap();
        &self.first[..end]
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// Sends a request and leaves the answer on the connection. A `host` among the headers replaces the true one.
pub fn open(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut headers = headers.to_vec();
    if !headers.iter().any(|(name, _)| *name == "host") {
        headers.push(("host", host));
    }
    let mut stream = TcpStream::connect(host).unwrap();
    let written = write(&mut stream, &format!("{method} /{path} HTTP/1.1"), &headers, body);
    // Whoever knows enough may answer and close before all is read, and the answer is there all the same. One who broke down
    // has given none.
    if let Err(error) = written {
        let closed = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
        assert!(closed.contains(&error.kind()), "{error}");
    }
    stream
}

/// Writes a message, the last one on its connection unless its headers say otherwise.
pub fn write(
    stream: &mut impl Write,
    first: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<()> {
    let length = body.len().to_string();
    let more = [("content-length", length.as_str()), ("connection", "close")];
    let goes_on = headers.iter().any(|(name, _)| *name == "connection");
    let more = if goes_on { &more[..1] } else { &more[..] };
    let headers: Vec<String> =
        headers.iter().chain(more).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    // At once: whoever reads it may close the connection as soon as it knows enough.
    stream.write_all(format!("{first}\r\n{}\r\n{body}", headers.concat()).as_bytes())
}

/// Sends a request and reads its answer.
pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Message {
    answer(open(method, url, headers, body))
}

/// Reads the answer to a request that was sent.
pub fn answer(stream: TcpStream) -> Message {
    Message::read(&mut BufReader::new(stream)).unwrap().expect("an answer")
}
