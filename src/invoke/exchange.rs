//! Requests to the Runtime API and the Extensions API, and what is sent back.

use std::sync::Arc;

use serde_json::json;

/// A request, as far as the APIs look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// `GET`, `POST`, …
    pub(super) method: String,
    /// The path without a query.
    pub(super) path: String,
    /// Headers with their names in lower case.
    pub(super) headers: Vec<(String, String)>,
    /// What follows a body in chunks.
    pub(super) trailers: Vec<(String, String)>,
    /// The body, unless it is larger than allowed.
    pub(super) body: Result<Vec<u8>, TooLarge>,
}

/// A body is larger than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

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
    let found = headers.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

/// A response of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// 200, 202, …
    pub(super) status: u16,
    /// Headers besides the length and the type.
    pub(super) headers: Vec<(&'static str, String)>,
    /// The body, which is JSON or what a user calls so.
    pub(super) body: Vec<u8>,
}

/// An event on its way to a runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invoke {
    /// The request's number, a UUID.
    pub(super) id: String,
    /// When it has to be answered, in milliseconds since 1970.
    pub(super) deadline_ms: u64,
    /// The function's name on AWS.
    pub(super) arn: String,
    /// The trace header.
    pub(super) trace_id: String,
    /// The event.
    pub(super) payload: Arc<[u8]>,
}

/// What to do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Send this.
    Reply(Reply),
    /// Send what [`Api::poll`](super::api::Api::poll) gives for this client once there is something for it.
    Wait(Waiter),
}

/// Who waits for its next event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Waiter {
    /// The runtime.
    Runtime,
    /// The extension with this identifier.
    Extension(String),
}

/// A reply that is a text.
pub(super) fn text(status: u16, text: &str) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: text.as_bytes().to_vec(),
    }
}

/// The reply to a path that the APIs do not have.
pub(super) fn not_found() -> Reply {
    text(404, "404 page not found\n")
}

/// The reply to a response or an error that is taken.
pub(super) fn accepted() -> Reply {
    text(202, "{\"status\":\"OK\"}\n")
}

/// The reply to a request that is refused.
pub(super) fn refusal(status: u16, kind: &str, message: &str) -> Reply {
    text(
        status,
        &format!("{}\n", json!({ "errorMessage": message, "errorType": kind })),
    )
}
