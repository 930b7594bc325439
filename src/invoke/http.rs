//! As much of HTTP/1.1 as a runtime speaks with the Runtime API (RFC 9112): requests with a length or in chunks, connections
//! that are used again, and `Expect: 100-continue`, which curl sends before a large body.

use std::io::{self, BufRead, Read, Write};

/// The longest request line with all headers.
const LONGEST_HEAD: usize = 64 << 10;
/// The most headers or trailers.
const MOST_HEADERS: usize = 64;
/// A body that is too large is read up to this and thrown away, so that the client gets to read the answer.
const LARGEST_THROWN_AWAY: u64 = 256 << 20;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// `GET`, `POST`, …
    pub(super) method: String,
    /// The path without a query.
    pub(super) path: String,
    /// Headers with their names in lower case.
    headers: Vec<(String, String)>,
    /// What follows a body in chunks.
    trailers: Vec<(String, String)>,
    /// The body, unless it is larger than allowed.
    pub(super) body: Result<Vec<u8>, TooLarge>,
    /// Whether the client wants to use the connection again.
    pub(super) keep_alive: bool,
}

/// A body is larger than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

/// Why there is no further request on a connection.
#[derive(Debug)]
pub(super) enum HttpError {
    /// What came is no request.
    Malformed,
    /// The connection is broken.
    Io,
}

impl From<io::Error> for HttpError {
    fn from(_: io::Error) -> Self {
        Self::Io
    }
}

impl From<httparse::Error> for HttpError {
    fn from(_: httparse::Error) -> Self {
        Self::Malformed
    }
}

impl Request {
    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    /// The value of a trailer.
    pub(super) fn trailer(&self, name: &str) -> Option<&str> {
        value(&self.trailers, name)
    }
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// Reads the next request; `None` where the connection ends instead. `limit` says of a request without its body how large
/// that may be.
pub(super) fn read_request(
    from: &mut impl BufRead,
    to: &mut impl Write,
    limit: impl Fn(&Request) -> u64,
) -> Result<Option<Request>, HttpError> {
    let Some(head) = read_head(from)? else {
        return Ok(None);
    };
    let mut request = parse_head(&head)?;
    if request
        .header("expect")
        .is_some_and(|expect| expect.eq_ignore_ascii_case("100-continue"))
    {
        to.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        to.flush()?;
    }
    let mut body = Body {
        bytes: Vec::new(),
        limit: limit(&request),
        length: 0,
    };
    let chunked = request.header("transfer-encoding").is_some_and(|encoding| {
        encoding
            .to_ascii_lowercase()
            .split(',')
            .any(|one| one.trim() == "chunked")
    });
    if chunked {
        read_chunks(from, &mut body)?;
        let trailers = read_trailers(from)?;
        request.trailers = trailers;
    } else if let Some(length) = request.header("content-length") {
        let length = length.trim().parse().map_err(|_| HttpError::Malformed)?;
        body.take(from, length)?;
    }
    request.body = if body.length > body.limit {
        Err(TooLarge)
    } else {
        Ok(body.bytes)
    };
    Ok(Some(request))
}

/// The bytes up to the first empty line.
fn read_head(from: &mut impl BufRead) -> Result<Option<Vec<u8>>, HttpError> {
    let mut head = Vec::new();
    loop {
        let start = head.len();
        let left = LONGEST_HEAD.saturating_sub(start) as u64;
        from.by_ref().take(left).read_until(b'\n', &mut head)?;
        match &head[start..] {
            // Empty lines before a request are passed over (RFC 9112, section 2.2).
            b"\r\n" | b"\n" if start == 0 => head.clear(),
            b"\r\n" | b"\n" => return Ok(Some(head)),
            line if line.ends_with(b"\n") => {}
            [] if start == 0 => return Ok(None),
            _ => return Err(HttpError::Malformed),
        }
    }
}

fn parse_head(head: &[u8]) -> Result<Request, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    if parsed.parse(head)?.is_partial() {
        return Err(HttpError::Malformed);
    }
    let target = parsed.path.unwrap_or_default();
    let target = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    let headers = owned(parsed.headers);
    let connection = value(&headers, "connection").unwrap_or_default().to_ascii_lowercase();
    let says = |word: &str| connection.split(',').any(|one| one.trim() == word);
    Ok(Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: target.split('?').next().unwrap_or_default().to_owned(),
        keep_alive: if parsed.version == Some(1) {
            !says("close")
        } else {
            says("keep-alive")
        },
        headers,
        trailers: Vec::new(),
        body: Ok(Vec::new()),
    })
}

fn owned(headers: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_ascii_lowercase(), value)
        })
        .collect()
}

/// A body as it comes in.
struct Body {
    bytes: Vec<u8>,
    limit: u64,
    length: u64,
}

impl Body {
    /// Takes so many bytes; those above the limit are counted alone.
    fn take(&mut self, from: &mut impl BufRead, length: u64) -> Result<(), HttpError> {
        self.length = self.length.saturating_add(length);
        if self.length > LARGEST_THROWN_AWAY {
            return Err(HttpError::Malformed);
        }
        let read = if self.length > self.limit {
            self.bytes = Vec::new();
            io::copy(&mut from.by_ref().take(length), &mut io::sink())?
        } else {
            from.by_ref().take(length).read_to_end(&mut self.bytes)? as u64
        };
        if read == length { Ok(()) } else { Err(HttpError::Io) }
    }
}

fn read_line(from: &mut impl BufRead) -> Result<Vec<u8>, HttpError> {
    let mut line = Vec::new();
    from.by_ref().take(LONGEST_HEAD as u64).read_until(b'\n', &mut line)?;
    if line.ends_with(b"\n") {
        Ok(line)
    } else {
        Err(HttpError::Io)
    }
}

fn read_chunks(from: &mut impl BufRead, body: &mut Body) -> Result<(), HttpError> {
    loop {
        let line = read_line(from)?;
        let Ok(httparse::Status::Complete((_, size))) = httparse::parse_chunk_size(&line) else {
            return Err(HttpError::Malformed);
        };
        if size == 0 {
            return Ok(());
        }
        body.take(from, size)?;
        if !matches!(read_line(from)?.as_slice(), b"\r\n" | b"\n") {
            return Err(HttpError::Malformed);
        }
    }
}

fn read_trailers(from: &mut impl BufRead) -> Result<Vec<(String, String)>, HttpError> {
    let mut text = Vec::new();
    loop {
        let line = read_line(from)?;
        text.extend_from_slice(&line);
        if text.len() > LONGEST_HEAD {
            return Err(HttpError::Malformed);
        }
        if matches!(line.as_slice(), b"\r\n" | b"\n") {
            let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
            return match httparse::parse_headers(&text, &mut headers)? {
                httparse::Status::Complete((_, headers)) => Ok(owned(headers)),
                httparse::Status::Partial => Err(HttpError::Malformed),
            };
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// 200, 202, …
    pub(super) status: u16,
    /// Headers beside the length and the type.
    pub(super) headers: Vec<(&'static str, String)>,
    /// The body, which is JSON or what a user calls so.
    pub(super) body: Vec<u8>,
}

/// Writes an answer.
pub(super) fn write_reply(to: &mut impl Write, reply: &Reply, keep_alive: bool) -> io::Result<()> {
    let reason = match reply.status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Request Entity Too Large",
        _ => "Internal Server Error",
    };
    let mut head = format!(
        "HTTP/1.1 {} {reason}\r\nContent-Type: application/json\r\n",
        reply.status
    );
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !keep_alive {
        head += "Connection: close\r\n";
    }
    head += &format!("Content-Length: {}\r\n\r\n", reply.body.len());
    to.write_all(head.as_bytes())?;
    to.write_all(&reply.body)?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8]) -> (Result<Option<Request>, HttpError>, Vec<u8>) {
        let mut written = Vec::new();
        let mut from = text;
        (read_request(&mut from, &mut written, |_| 10), written)
    }

    #[test]
    fn requests_are_read_with_a_length_and_in_chunks() {
        let (request, written) =
            read(b"POST /a/b?c HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\ncontent-LENGTH: 4\r\n\r\nb\0dyGET");
        let request = request.unwrap().unwrap();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/a/b"));
        assert_eq!(request.body, Ok(b"b\0dy".to_vec()));
        assert!(request.keep_alive);
        assert_eq!(written, b"HTTP/1.1 100 Continue\r\n\r\n");
        let (request, written) = read(
            b"\r\nPOST http://127.0.0.1:9001/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
              3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nError-Type: A.B\r\n\r\n",
        );
        let request = request.unwrap().unwrap();
        assert_eq!(request.path, "/x");
        assert_eq!(request.body, Ok(b"abcde".to_vec()));
        assert_eq!(request.trailer("error-type"), Some("A.B"));
        assert!(!request.keep_alive && written.is_empty());
        assert!(matches!(read(b"").0, Ok(None)));
    }

    #[test]
    fn what_is_too_large_is_read_and_thrown_away() {
        for text in [
            "POST /x HTTP/1.1\r\nContent-Length: 11\r\n\r\n01234567890GET /y HTTP/1.1\r\n\r\n",
            "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n5\r\n67890\r\n0\r\n\r\nGET /y HTTP/1.1\r\n\r\n",
        ] {
            let mut from = text.as_bytes();
            let request = read_request(&mut from, &mut io::sink(), |_| 10).unwrap().unwrap();
            assert_eq!(request.body, Err(TooLarge));
            let next = read_request(&mut from, &mut io::sink(), |_| 10).unwrap().unwrap();
            assert_eq!(next.path, "/y");
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in [
            "nonsense\r\n\r\n",
            "GET /x HTTP/1.1\r\n",
            "POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nab",
            "POST /x HTTP/1.1\r\nContent-Length: -5\r\n\r\nab",
            "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "POST /x HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n",
        ] {
            assert!(read(text.as_bytes()).0.is_err(), "{text}");
        }
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(LONGEST_HEAD));
        assert!(read(long.as_bytes()).0.is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail_otherwise(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            let mut request = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            request.extend(bytes);
            let _ = read(&request);
        }
    }
}
