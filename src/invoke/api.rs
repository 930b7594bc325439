//! The Runtime API as a state machine: what each request of a runtime means, and what it is answered. No socket and no clock.
//!
//! Paths, headers and statuses are those of the AWS Lambda developer guide, "Using the Lambda runtime API for custom
//! runtimes"; states, their names and the texts of errors those of aws-lambda-runtime-interface-emulator.

use std::sync::Arc;

use serde_json::json;

use super::data::DATA;
use super::http::{Reply, Request};

/// The version that all paths begin with.
const ROOT: &str = "/2018-06-01";

/// One event on its way to a runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
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

/// What a runtime has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Happening {
    /// It asks for the next event.
    Ready,
    /// It has answered.
    Answered(Answer),
    /// It cannot start, it says.
    InitError(ErrorBody),
}

/// How an event is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// With a response.
    Response(Vec<u8>),
    /// With an error.
    Error(ErrorBody),
}

/// An error as a runtime reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ErrorBody {
    /// The header `Lambda-Runtime-Function-Error-Type`.
    pub(super) header: Option<String>,
    /// The body, most often JSON with `errorMessage`, `errorType` and `stackTrace`.
    pub(super) body: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Started,
    InitError,
    Ready,
    Running,
    ResponseSent,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::InitError => "InitError",
            Self::Ready => "Ready",
            Self::Running => "Running",
            Self::ResponseSent => "ResponseSent",
        }
    }
}

/// What is to be done with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Answer it.
    Reply(Reply),
    /// Answer it once there is an event: ask [`Api::next`] again then.
    Wait,
}

/// The state of one runtime.
#[derive(Debug)]
pub(super) struct Api {
    state: State,
    /// The event that waits or is being answered.
    offer: Option<Arc<Offer>>,
}

impl Api {
    /// The API for a runtime that is about to start.
    pub(super) fn new() -> Self {
        Self {
            state: State::Started,
            offer: None,
        }
    }

    /// Gives the runtime an event as soon as it asks for one.
    pub(super) fn offer(&mut self, offer: Offer) {
        self.offer = Some(Arc::new(offer));
    }

    /// How large the body of a request may be.
    pub(super) fn largest_body(request: &Request) -> u64 {
        if request.header(MODE) == Some("streaming") {
            DATA.process.largest_streamed_response
        } else {
            DATA.process.largest_response
        }
    }

    /// Takes a request. What has happened by it is to be made known before it is answered.
    pub(super) fn handle(&mut self, request: &Request) -> (Reaction, Option<Happening>) {
        let Some(path) = request.path.strip_prefix(ROOT) else {
            return (Reaction::Reply(not_found()), None);
        };
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let reply = |(reply, happening)| (Reaction::Reply(reply), happening);
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["ping"]) => (Reaction::Reply(text(200, "pong")), None),
            ("GET", ["runtime", "invocation", "next"]) => self.ask(),
            ("POST", ["runtime", "invocation", id, "response"]) => reply(self.response(id, request)),
            ("POST", ["runtime", "invocation", id, "error"]) => reply(self.error(id, request)),
            ("POST", ["runtime", "init", "error"]) => reply(self.init_error(request)),
            (
                _,
                ["ping"]
                | ["runtime", "invocation", "next"]
                | ["runtime", "invocation", _, "response" | "error"]
                | ["runtime", "init", "error"],
            ) => (Reaction::Reply(text(405, "")), None),
            _ => (Reaction::Reply(not_found()), None),
        }
    }

    fn ask(&mut self) -> (Reaction, Option<Happening>) {
        match self.state {
            State::Started | State::ResponseSent => {
                self.state = State::Ready;
                self.offer = None;
                (Reaction::Wait, Some(Happening::Ready))
            }
            State::Ready | State::Running => (self.next(), None),
            State::InitError => (Reaction::Reply(self.forbidden("Ready")), None),
        }
    }

    /// The event, if there is one. A runtime that asks again before it has answered gets the same one again.
    pub(super) fn next(&mut self) -> Reaction {
        if self.state == State::Ready && self.offer.is_some() {
            self.state = State::Running;
        }
        let Some(offer) = self.offer.as_ref().filter(|_| self.state == State::Running) else {
            return Reaction::Wait;
        };
        Reaction::Reply(Reply {
            status: 200,
            headers: vec![
                ("Lambda-Runtime-Aws-Request-Id", offer.id.clone()),
                ("Lambda-Runtime-Deadline-Ms", offer.deadline_ms.to_string()),
                ("Lambda-Runtime-Invoked-Function-Arn", offer.arn.clone()),
                ("Lambda-Runtime-Trace-Id", offer.trace_id.clone()),
            ],
            body: offer.payload.to_vec(),
        })
    }

    fn response(&mut self, id: &str, request: &Request) -> (Reply, Option<Happening>) {
        if let Some(refused) = self.refused(id, "InvocationResponse") {
            return (refused, None);
        }
        if request
            .header(MODE)
            .is_some_and(|mode| mode != "streaming" && mode != "buffered")
        {
            let reply = refusal(400, "InvalidFunctionResponseMode", "Invalid function response mode");
            return (reply, None);
        }
        self.state = State::ResponseSent;
        let Ok(body) = &request.body else {
            let largest = Self::largest_body(request);
            let error = ErrorBody {
                header: None,
                body: json!({
                    "errorType": "Function.ResponseSizeTooLarge",
                    "errorMessage": format!("Response payload size exceeded maximum allowed payload size ({largest} bytes)."),
                })
                .to_string()
                .into_bytes(),
            };
            return (too_large(largest), Some(Happening::Answered(Answer::Error(error))));
        };
        // A stream that breaks off ends with an error in its trailers.
        let answer = match request.trailer(ERROR_TYPE) {
            None => Answer::Response(body.clone()),
            Some(kind) => Answer::Error(ErrorBody {
                header: Some(kind.to_owned()),
                body: request.trailer(ERROR_BODY).map(decoded).unwrap_or_default(),
            }),
        };
        (accepted(), Some(Happening::Answered(answer)))
    }

    fn error(&mut self, id: &str, request: &Request) -> (Reply, Option<Happening>) {
        if let Some(refused) = self.refused(id, "InvocationErrorResponse") {
            return (refused, None);
        }
        match error_body(request) {
            Err(reply) => (reply, None),
            Ok(error) => {
                self.state = State::ResponseSent;
                (accepted(), Some(Happening::Answered(Answer::Error(error))))
            }
        }
    }

    fn init_error(&mut self, request: &Request) -> (Reply, Option<Happening>) {
        if self.state != State::Started {
            return (self.forbidden("InitError"), None);
        }
        match error_body(request) {
            Err(reply) => (reply, None),
            Ok(error) => {
                self.state = State::InitError;
                (accepted(), Some(Happening::InitError(error)))
            }
        }
    }

    /// Why an event cannot be answered now, or not under this number.
    fn refused(&self, id: &str, to: &str) -> Option<Reply> {
        match &self.offer {
            _ if self.state != State::Running => Some(self.forbidden(to)),
            Some(offer) if offer.id == id => None,
            _ => Some(refusal(400, "InvalidRequestID", "Invalid request ID")),
        }
    }

    fn forbidden(&self, to: &str) -> Reply {
        let message = format!(
            "State transition from {} to {to} failed for runtime. Error: State transition is not allowed",
            self.state.name()
        );
        refusal(403, "InvalidStateTransition", &message)
    }
}

const MODE: &str = "lambda-runtime-function-response-mode";
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const ERROR_BODY: &str = "lambda-runtime-function-error-body";

/// The error in a trailer is in base64.
fn decoded(body: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD
        .decode(body)
        .unwrap_or_else(|_| body.as_bytes().to_vec())
}

fn error_body(request: &Request) -> Result<ErrorBody, Reply> {
    match &request.body {
        Err(_) => Err(too_large(Api::largest_body(request))),
        Ok(body) => Ok(ErrorBody {
            header: request.header(ERROR_TYPE).map(ToOwned::to_owned),
            body: body.clone(),
        }),
    }
}

fn text(status: u16, text: &str) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: text.as_bytes().to_vec(),
    }
}

fn not_found() -> Reply {
    text(404, "404 page not found\n")
}

fn accepted() -> Reply {
    text(202, "{\"status\":\"OK\"}\n")
}

fn refusal(status: u16, kind: &str, message: &str) -> Reply {
    text(
        status,
        &format!("{}\n", json!({ "errorMessage": message, "errorType": kind })),
    )
}

fn too_large(largest: u64) -> Reply {
    let message = format!("Exceeded maximum allowed payload size ({largest} bytes).");
    refusal(413, "RequestEntityTooLarge", &message)
}

/// The answer to what is no request.
pub(super) fn malformed() -> Reply {
    text(400, "")
}

#[cfg(test)]
mod tests {
    use super::super::http::read_request;
    use super::*;

    fn request(text: &str) -> Request {
        let mut from = text.as_bytes();
        read_request(&mut from, &mut std::io::sink(), Api::largest_body)
            .unwrap()
            .unwrap()
    }

    fn call(api: &mut Api, method: &str, path: &str, body: &str) -> (Reaction, Option<Happening>) {
        let length = body.len();
        api.handle(&request(&format!(
            "{method} /2018-06-01/{path} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}"
        )))
    }

    fn status((reaction, _): &(Reaction, Option<Happening>)) -> u16 {
        match reaction {
            Reaction::Reply(reply) => reply.status,
            Reaction::Wait => 0,
        }
    }

    fn offer(id: &str) -> Offer {
        Offer {
            id: id.to_owned(),
            deadline_ms: 7,
            arn: "arn:aws:lambda:x".to_owned(),
            trace_id: "Root=1".to_owned(),
            payload: b"{}".to_vec().into(),
        }
    }

    #[test]
    fn events_go_round() {
        let mut api = Api::new();
        for id in ["one", "two"] {
            let asked = call(&mut api, "GET", "runtime/invocation/next", "");
            assert_eq!(asked, (Reaction::Wait, Some(Happening::Ready)));
            assert_eq!(api.next(), Reaction::Wait);
            api.offer(offer(id));
            let Reaction::Reply(reply) = api.next() else { panic!() };
            assert_eq!(reply.body, b"{}");
            assert!(
                reply
                    .headers
                    .contains(&("Lambda-Runtime-Aws-Request-Id", id.to_owned()))
            );
            // The client was gone, and asks again.
            assert_eq!(status(&call(&mut api, "GET", "runtime/invocation/next", "")), 200);
            let answered = call(&mut api, "POST", &format!("runtime/invocation/{id}/response"), "fine");
            assert_eq!(status(&answered), 202);
            assert_eq!(
                answered.1,
                Some(Happening::Answered(Answer::Response(b"fine".to_vec())))
            );
        }
    }

    #[test]
    fn an_error_is_an_answer_too() {
        let mut api = Api::new();
        call(&mut api, "GET", "runtime/invocation/next", "");
        api.offer(offer("one"));
        api.next();
        let answered = api.handle(&request(
            "POST /2018-06-01/runtime/invocation/one/error HTTP/1.1\r\nLambda-Runtime-Function-Error-Type: R.Error\r\n\
             Content-Length: 2\r\n\r\n{}",
        ));
        assert_eq!(status(&answered), 202);
        let error = ErrorBody {
            header: Some("R.Error".to_owned()),
            body: b"{}".to_vec(),
        };
        assert_eq!(answered.1, Some(Happening::Answered(Answer::Error(error))));
    }

    #[test]
    fn wrong_states_and_numbers_are_refused() {
        let mut api = Api::new();
        let early = call(&mut api, "POST", "runtime/invocation/one/response", "x");
        assert_eq!(status(&early), 403);
        assert!(early.1.is_none());
        call(&mut api, "GET", "runtime/invocation/next", "");
        assert_eq!(status(&call(&mut api, "POST", "runtime/init/error", "{}")), 403);
        api.offer(offer("one"));
        api.next();
        let wrong = call(&mut api, "POST", "runtime/invocation/two/response", "x");
        assert_eq!(status(&wrong), 400);
        assert!(
            matches!(&wrong.0, Reaction::Reply(reply) if reply.body == b"{\"errorMessage\":\"Invalid request ID\",\"errorType\":\"InvalidRequestID\"}\n")
        );
        assert_eq!(
            status(&call(&mut api, "POST", "runtime/invocation/one/response", "x")),
            202
        );
        assert_eq!(
            status(&call(&mut api, "POST", "runtime/invocation/one/response", "x")),
            403
        );
        assert_eq!(status(&call(&mut api, "POST", "runtime/invocation/next", "")), 405);
        assert_eq!(status(&call(&mut api, "GET", "runtime/nothing", "")), 404);
    }

    #[test]
    fn a_runtime_that_cannot_start_says_so() {
        let mut api = Api::new();
        let told = call(&mut api, "POST", "runtime/init/error", "{}");
        assert_eq!(status(&told), 202);
        assert!(matches!(told.1, Some(Happening::InitError(_))));
        assert_eq!(status(&call(&mut api, "GET", "runtime/invocation/next", "")), 403);
    }

    #[test]
    fn payloads_have_their_limits() {
        let mut api = Api::new();
        for (length, expected) in [(6_291_556, 202), (6_291_557, 413)] {
            call(&mut api, "GET", "runtime/invocation/next", "");
            api.offer(offer("one"));
            api.next();
            let answered = call(&mut api, "POST", "runtime/invocation/one/response", &"x".repeat(length));
            assert_eq!(status(&answered), expected);
            let too_large = matches!(answered.1, Some(Happening::Answered(Answer::Error(_))));
            assert_eq!(too_large, expected == 413);
        }
        call(&mut api, "GET", "runtime/invocation/next", "");
        api.offer(offer("one"));
        api.next();
        let streamed = api.handle(&request(&format!(
            "POST /2018-06-01/runtime/invocation/one/response HTTP/1.1\r\n\
             Lambda-Runtime-Function-Response-Mode: streaming\r\nContent-Length: 7000000\r\n\r\n{}",
            "x".repeat(7_000_000)
        )));
        assert_eq!(status(&streamed), 202);
    }

    #[test]
    fn a_stream_may_break_off() {
        let mut api = Api::new();
        call(&mut api, "GET", "runtime/invocation/next", "");
        api.offer(offer("one"));
        api.next();
        let answered = api.handle(&request(
            "POST /2018-06-01/runtime/invocation/one/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
             1\r\na\r\n0\r\nLambda-Runtime-Function-Error-Type: A.B\r\nLambda-Runtime-Function-Error-Body: e30=\r\n\r\n",
        ));
        let error = ErrorBody {
            header: Some("A.B".to_owned()),
            body: b"{}".to_vec(),
        };
        assert_eq!(answered.1, Some(Happening::Answered(Answer::Error(error))));
    }
}
