//! The Runtime API as a state machine: what each request of a runtime means, and what it is answered. No socket and no clock.
//!
//! Paths, headers and statuses are those of the AWS Lambda developer guide, "Using the Lambda runtime API for custom
//! runtimes"; states, their names and the texts of errors those of aws-lambda-runtime-interface-emulator.

use std::sync::Arc;

use serde_json::{Value, json};

use super::data::DATA;
use super::exchange::{Invoke, Reaction, Reply, Request, Waiter, accepted, not_found, refusal, text};
use super::extensions::{Change, Extensions, ShutdownReason};

/// The version that all paths of the Runtime API begin with.
const ROOT: &str = "/2018-06-01";
/// The same of the Extensions API.
const EXTENSIONS: &str = "/2020-01-01/extension/";
/// The largest body that is neither a response nor an error of a function.
const LARGEST_MESSAGE: u64 = 64 << 10;

/// What a runtime or an extension has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ApiEvent {
    /// Every extension that was started has registered.
    Registered,
    /// The runtime asks for the next event, and every extension waits, too.
    Ready,
    /// The runtime has responded.
    Responded(Response),
    /// The runtime reports that it cannot start.
    InitError(ErrorBody),
    /// An extension reports that it cannot go on: the kind of error, and its own word for it.
    ExtensionError(&'static str, String),
}

/// How a runtime responds to an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Response {
    /// With a payload.
    Payload(Vec<u8>),
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

/// The state of one execution environment: a runtime, and extensions.
#[derive(Debug)]
pub(super) struct Api {
    state: State,
    extensions: Extensions,
    /// What extensions are told of the function when they register.
    function: Value,
    /// Whether [`ApiEvent::Ready`] has been told since the last event.
    ready_told: bool,
    /// The event that waits or is being answered.
    invoke: Option<Arc<Invoke>>,
}

impl Api {
    /// The API for a runtime that is about to start, with these extensions, by their names.
    pub(super) fn new(extensions: &[String], function: Value) -> Self {
        Self {
            state: State::Started,
            extensions: Extensions::started(extensions),
            function,
            ready_told: false,
            invoke: None,
        }
    }

    /// Gives the runtime an event as soon as it asks for one, and tells the extensions.
    pub(super) fn invoke(&mut self, invoke: Invoke) {
        self.extensions.invoke(&invoke);
        self.invoke = Some(Arc::new(invoke));
        self.ready_told = false;
    }

    /// Tells the extensions that all ends; gives the names of those that want to know.
    pub(super) fn shut_down(&mut self, reason: ShutdownReason, deadline_ms: u64) -> Vec<String> {
        self.extensions.shut_down(reason, deadline_ms)
    }

    /// The extensions.
    pub(super) fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// How large the body of a request may be.
    pub(super) fn largest_body(&self, request: &Request) -> u64 {
        let parts: Vec<&str> = request.path.split('/').collect();
        match parts.as_slice() {
            // What is refused is not read.
            ["", _, "runtime", "invocation", id, "response" | "error"] if self.refused(id, "").is_some() => 0,
            ["", _, "runtime", ..] => largest_response(request),
            _ => LARGEST_MESSAGE,
        }
    }

    /// Takes a request. What has happened by it is to be made known before the reply is sent.
    pub(super) fn handle(&mut self, request: &Request) -> (Reaction, Option<ApiEvent>) {
        if let Some(path) = request.path.strip_prefix(EXTENSIONS) {
            return self.of_extension(path, request);
        }
        if let Some(subscribed) = telemetry(request) {
            return (Reaction::Reply(subscribed), None);
        }
        let Some(path) = request.path.strip_prefix(ROOT) else {
            return (Reaction::Reply(not_found()), None);
        };
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let reply = |(reply, event)| (Reaction::Reply(reply), event);
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

    /// What there is for a client that waits.
    pub(super) fn poll(&mut self, waiter: &Waiter) -> Reaction {
        match waiter {
            Waiter::Runtime => self.next(),
            Waiter::Extension(id) => self.extensions.next(id),
        }
    }

    fn of_extension(&mut self, path: &str, request: &Request) -> (Reaction, Option<ApiEvent>) {
        let parts: Vec<&str> = path.split('/').collect();
        let registered = self.extensions.all_registered();
        let (reaction, change) = self.extensions.handle(&parts, request, &self.function);
        let event = match change {
            Change::None => None,
            Change::Error { kind, message } => Some(ApiEvent::ExtensionError(kind, message)),
            Change::Progress if !registered && self.extensions.all_registered() => Some(ApiEvent::Registered),
            Change::Progress => self.readiness(),
        };
        (reaction, event)
    }

    /// Tells once that everybody waits for the next event.
    fn readiness(&mut self) -> Option<ApiEvent> {
        let ready = self.state == State::Ready && self.extensions.all_ready() && !self.ready_told;
        self.ready_told |= ready;
        ready.then_some(ApiEvent::Ready)
    }

    fn ask(&mut self) -> (Reaction, Option<ApiEvent>) {
        match self.state {
            State::Started | State::ResponseSent => {
                self.state = State::Ready;
                self.invoke = None;
                self.extensions.close();
                (Reaction::Wait(Waiter::Runtime), self.readiness())
            }
            State::Ready | State::Running => (self.next(), None),
            State::InitError => (Reaction::Reply(self.forbidden("Ready")), None),
        }
    }

    /// The event, if there is one. A runtime that asks again before it has responded gets the same one again.
    fn next(&mut self) -> Reaction {
        if self.state == State::Ready && self.invoke.is_some() {
            self.state = State::Running;
        }
        let Some(invoke) = self.invoke.as_ref().filter(|_| self.state == State::Running) else {
            return Reaction::Wait(Waiter::Runtime);
        };
        Reaction::Reply(Reply {
            status: 200,
            headers: vec![
                ("Lambda-Runtime-Aws-Request-Id", invoke.id.clone()),
                ("Lambda-Runtime-Deadline-Ms", invoke.deadline_ms.to_string()),
                ("Lambda-Runtime-Invoked-Function-Arn", invoke.arn.clone()),
                ("Lambda-Runtime-Trace-Id", invoke.trace_id.clone()),
            ],
            body: invoke.payload.to_vec(),
        })
    }

    fn response(&mut self, id: &str, request: &Request) -> (Reply, Option<ApiEvent>) {
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
            let largest = largest_response(request);
            let error = ErrorBody {
                header: None,
                body: json!({
                    "errorType": "Function.ResponseSizeTooLarge",
                    "errorMessage": format!("Response payload size exceeded maximum allowed payload size ({largest} bytes)."),
                })
                .to_string()
                .into_bytes(),
            };
            return (too_large(largest), Some(ApiEvent::Responded(Response::Error(error))));
        };
        // A stream that breaks off ends with an error in its trailers.
        let response = match request.trailer(ERROR_TYPE) {
            None => Response::Payload(body.clone()),
            Some(kind) => Response::Error(ErrorBody {
                header: Some(kind.to_owned()),
                body: request.trailer(ERROR_BODY).map(decoded).unwrap_or_default(),
            }),
        };
        (accepted(), Some(ApiEvent::Responded(response)))
    }

    fn error(&mut self, id: &str, request: &Request) -> (Reply, Option<ApiEvent>) {
        if let Some(refused) = self.refused(id, "InvocationErrorResponse") {
            return (refused, None);
        }
        match error_body(request) {
            Err(reply) => (reply, None),
            Ok(error) => {
                self.state = State::ResponseSent;
                (accepted(), Some(ApiEvent::Responded(Response::Error(error))))
            }
        }
    }

    fn init_error(&mut self, request: &Request) -> (Reply, Option<ApiEvent>) {
        if self.state != State::Started {
            return (self.forbidden("InitError"), None);
        }
        match error_body(request) {
            Err(reply) => (reply, None),
            Ok(error) => {
                self.state = State::InitError;
                (accepted(), Some(ApiEvent::InitError(error)))
            }
        }
    }

    /// Why an event cannot be answered now, or not under this number.
    fn refused(&self, id: &str, to: &str) -> Option<Reply> {
        match &self.invoke {
            _ if self.state != State::Running => Some(self.forbidden(to)),
            Some(invoke) if invoke.id == id => None,
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
        Err(_) => Err(too_large(largest_response(request))),
        Ok(body) => Ok(ErrorBody {
            header: request.header(ERROR_TYPE).map(ToOwned::to_owned),
            body: body.clone(),
        }),
    }
}

fn too_large(largest: u64) -> Reply {
    let message = format!("Exceeded maximum allowed payload size ({largest} bytes).");
    refusal(413, "RequestEntityTooLarge", &message)
}

/// How large a response may be.
fn largest_response(request: &Request) -> u64 {
    if request.header(MODE) == Some("streaming") {
        DATA.process.largest_streamed_response
    } else {
        DATA.process.largest_response
    }
}

/// Subscriptions to telemetry are accepted, and nothing is sent, as in aws-lambda-runtime-interface-emulator.
fn telemetry(request: &Request) -> Option<Reply> {
    let name = match request.path.as_str() {
        "/2022-07-01/telemetry" => "Telemetry",
        "/2020-08-15/logs" => "Logs",
        _ => return None,
    };
    if request.method != "PUT" {
        return Some(text(405, ""));
    }
    let message = format!("{name} API is not supported");
    Some(refusal(202, &format!("{name}.NotSupported"), &message))
}

#[cfg(test)]
mod tests {
    use super::super::exchange::TooLarge;
    use super::*;

    impl Request {
        pub(in super::super) fn new(method: &str, path: &str, headers: &[(&str, &str)]) -> Self {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            Self {
                method: method.to_owned(),
                path: path.to_owned(),
                headers: headers.iter().map(owned).collect(),
                trailers: Vec::new(),
                body: Ok(Vec::new()),
            }
        }

        pub(in super::super) fn with_body(self, body: &[u8]) -> Self {
            Self {
                body: Ok(body.to_vec()),
                ..self
            }
        }
    }

    fn api() -> Api {
        Api::new(&[], json!({}))
    }

    fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Request {
        Request::new("POST", &format!("/2018-06-01/{path}"), headers).with_body(body)
    }

    /// Sends a request, its body cut off where the API would not read it.
    fn call(api: &mut Api, method: &str, path: &str, body: &str) -> (Reaction, Option<ApiEvent>) {
        let mut request = post(path, &[], body.as_bytes());
        request.method = method.to_owned();
        send(api, request)
    }

    fn send(api: &mut Api, mut request: Request) -> (Reaction, Option<ApiEvent>) {
        if request
            .body
            .as_ref()
            .is_ok_and(|body| body.len() as u64 > api.largest_body(&request))
        {
            request.body = Err(TooLarge);
        }
        api.handle(&request)
    }

    fn status((reaction, _): &(Reaction, Option<ApiEvent>)) -> u16 {
        match reaction {
            Reaction::Reply(reply) => reply.status,
            Reaction::Wait(_) => 0,
        }
    }

    fn invoke(id: &str) -> Invoke {
        Invoke {
            id: id.to_owned(),
            deadline_ms: 7,
            arn: "arn:aws:lambda:x".to_owned(),
            trace_id: "Root=1".to_owned(),
            payload: b"{}".to_vec().into(),
        }
    }

    #[test]
    fn events_go_round() {
        let mut api = api();
        for id in ["one", "two"] {
            let asked = call(&mut api, "GET", "runtime/invocation/next", "");
            assert_eq!(asked, (Reaction::Wait(Waiter::Runtime), Some(ApiEvent::Ready)));
            assert_eq!(api.next(), Reaction::Wait(Waiter::Runtime));
            api.invoke(invoke(id));
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
                Some(ApiEvent::Responded(Response::Payload(b"fine".to_vec())))
            );
        }
    }

    #[test]
    fn an_error_is_an_answer_too() {
        let mut api = api();
        call(&mut api, "GET", "runtime/invocation/next", "");
        api.invoke(invoke("one"));
        api.next();
        let answered = api.handle(&post(
            "runtime/invocation/one/error",
            &[("lambda-runtime-function-error-type", "R.Error")],
            b"{}",
        ));
        assert_eq!(status(&answered), 202);
        let error = ErrorBody {
            header: Some("R.Error".to_owned()),
            body: b"{}".to_vec(),
        };
        assert_eq!(answered.1, Some(ApiEvent::Responded(Response::Error(error))));
    }

    #[test]
    fn wrong_states_and_numbers_are_refused() {
        let mut api = api();
        let early = call(&mut api, "POST", "runtime/invocation/one/response", "x");
        assert_eq!(status(&early), 403);
        assert!(early.1.is_none());
        call(&mut api, "GET", "runtime/invocation/next", "");
        assert_eq!(status(&call(&mut api, "POST", "runtime/init/error", "{}")), 403);
        api.invoke(invoke("one"));
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
        let mut api = api();
        let told = call(&mut api, "POST", "runtime/init/error", "{}");
        assert_eq!(status(&told), 202);
        assert!(matches!(told.1, Some(ApiEvent::InitError(_))));
        assert_eq!(status(&call(&mut api, "GET", "runtime/invocation/next", "")), 403);
    }

    #[test]
    fn payloads_have_their_limits() {
        let mut api = api();
        for (length, expected) in [(6_291_556, 202), (6_291_557, 413)] {
            call(&mut api, "GET", "runtime/invocation/next", "");
            api.invoke(invoke("one"));
            api.next();
            let answered = call(&mut api, "POST", "runtime/invocation/one/response", &"x".repeat(length));
            assert_eq!(status(&answered), expected);
            let too_large = matches!(answered.1, Some(ApiEvent::Responded(Response::Error(_))));
            assert_eq!(too_large, expected == 413);
        }
        call(&mut api, "GET", "runtime/invocation/next", "");
        api.invoke(invoke("one"));
        api.next();
        let streamed = send(
            &mut api,
            post(
                "runtime/invocation/one/response",
                &[("lambda-runtime-function-response-mode", "streaming")],
                &vec![b'x'; 7_000_000],
            ),
        );
        assert_eq!(status(&streamed), 202);
    }

    #[test]
    fn a_stream_may_break_off() {
        let mut api = api();
        call(&mut api, "GET", "runtime/invocation/next", "");
        api.invoke(invoke("one"));
        api.next();
        let mut request = post("runtime/invocation/one/response", &[], b"a");
        request.trailers = [
            ("lambda-runtime-function-error-type", "A.B"),
            ("lambda-runtime-function-error-body", "e30="),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        let answered = api.handle(&request);
        let error = ErrorBody {
            header: Some("A.B".to_owned()),
            body: b"{}".to_vec(),
        };
        assert_eq!(answered.1, Some(ApiEvent::Responded(Response::Error(error))));
    }

    /// The runtime is started once every extension has registered, and gets its event once all of them wait.
    #[test]
    fn everybody_has_to_be_ready() {
        let mut api = Api::new(&["watch".to_owned()], json!({}));
        let extension = |method: &str, path: &str, headers: &[(&str, &str)]| {
            let path = format!("/2020-01-01/extension/{path}");
            Request::new(method, &path, headers).with_body(br#"{"events":["INVOKE"]}"#)
        };
        let (reaction, event) = api.handle(&extension("POST", "register", &[("lambda-extension-name", "watch")]));
        assert_eq!(event, Some(ApiEvent::Registered));
        let Reaction::Reply(reply) = reaction else { panic!() };
        let next = extension(
            "GET",
            "event/next",
            &[("lambda-extension-identifier", &reply.headers[0].1)],
        );
        assert_eq!(call(&mut api, "GET", "runtime/invocation/next", "").1, None);
        assert_eq!(api.handle(&next).1, Some(ApiEvent::Ready));
        api.invoke(invoke("one"));
        assert_eq!(status(&api.handle(&next)), 200);
        api.next();
        let responded = call(&mut api, "POST", "runtime/invocation/one/response", "x").1;
        assert!(matches!(responded, Some(ApiEvent::Responded(_))));
        // It has not asked for the next event yet.
        assert_eq!(call(&mut api, "GET", "runtime/invocation/next", "").1, None);
        assert_eq!(api.handle(&next).1, Some(ApiEvent::Ready));
        let telemetry = Request::new("PUT", "/2022-07-01/telemetry", &[]);
        assert_eq!(status(&api.handle(&telemetry)), 202);
    }
}
