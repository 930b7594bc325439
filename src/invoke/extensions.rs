//! The Extensions API as a state machine: who has registered, for which events, and what to tell each of them. No socket and
//! no clock.
//!
//! Paths, headers and events are those of the AWS Lambda developer guide, "Using the Lambda Extensions API to create
//! extensions"; states, their names and the texts of errors those of aws-lambda-runtime-interface-emulator.

use serde::Deserialize;
use serde_json::json;

use super::exchange::{Invoke, Reaction, Reply, Request, Waiter, accepted, not_found, refusal, text};
use super::ids::uuid;

/// The most extensions of a function (Lambda quotas).
const MOST: usize = 10;

const NAME: &str = "lambda-extension-name";
const IDENTIFIER: &str = "lambda-extension-identifier";
const ERROR_TYPE: &str = "lambda-extension-function-error-type";

/// Why the execution environment ends, in the words of the SHUTDOWN event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShutdownReason {
    /// There are no more events.
    Spindown,
    /// An event took too long.
    Timeout,
    /// The runtime or an extension ended.
    Failure,
}

impl ShutdownReason {
    fn name(self) -> &'static str {
        match self {
            Self::Spindown => "spindown",
            Self::Timeout => "timeout",
            Self::Failure => "failure",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It was started from /opt/extensions.
    Started,
    Registered,
    /// It waits for an event, or has one to be fetched.
    Ready,
    /// It has got an event.
    Running,
    Failed,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::Registered => "Registered",
            Self::Ready => "Ready",
            Self::Running => "Running",
            Self::Failed => "InitError",
        }
    }
}

#[derive(Debug)]
struct Extension {
    name: String,
    id: String,
    /// It is a process of its own, not a part of the runtime.
    external: bool,
    state: State,
    /// Whether it wants to hear of events, and of the end.
    invoke: bool,
    shutdown: bool,
    /// The body of the next message to it.
    event: Option<Vec<u8>>,
}

/// The body of a registration.
#[derive(Deserialize)]
struct Registration {
    #[serde(default)]
    events: Vec<String>,
}

/// What happened by a request, as far as others have to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// An extension has registered, or waits for its next event.
    Progress,
    /// An extension reports that it cannot go on: the kind of error, and its own word for it.
    Error {
        kind: &'static str,
        message: String,
    },
}

/// The extensions of one execution environment.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    list: Vec<Extension>,
    /// Whether the runtime has asked for its first event: nobody can register any more.
    closed: bool,
}

impl Extensions {
    /// Those that were started, by their file names.
    pub(super) fn started(names: &[String]) -> Self {
        let list = names.iter().map(|name| Extension::new(name, true)).collect();
        Self { list, closed: false }
    }

    /// How many have registered.
    pub(super) fn registered(&self) -> usize {
        self.list.iter().filter(|one| one.state != State::Started).count()
    }

    /// Whether every process that was started has registered.
    pub(super) fn all_registered(&self) -> bool {
        self.list.iter().all(|one| one.state != State::Started)
    }

    /// Whether there is a process besides the runtime.
    pub(super) fn has_external(&self) -> bool {
        self.list.iter().any(|one| one.external)
    }

    /// Whether each of them waits for its next event.
    pub(super) fn all_ready(&self) -> bool {
        self.list
            .iter()
            .all(|one| one.state == State::Ready && one.event.is_none())
    }

    /// From now on nobody can register.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Tells those that want to know of an event for the runtime.
    pub(super) fn invoke(&mut self, invoke: &Invoke) {
        let body = json!({
            "eventType": "INVOKE",
            "deadlineMs": invoke.deadline_ms,
            "requestId": invoke.id,
            "invokedFunctionArn": invoke.arn,
            "tracing": { "type": "X-Amzn-Trace-Id", "value": invoke.trace_id },
        });
        for one in self.list.iter_mut().filter(|one| one.invoke) {
            one.event = Some(body.to_string().into_bytes());
        }
    }

    /// Tells those that want to know that all ends; gives their names.
    pub(super) fn shut_down(&mut self, reason: ShutdownReason, deadline_ms: u64) -> Vec<String> {
        let body = json!({
            "eventType": "SHUTDOWN",
            "shutdownReason": reason.name(),
            "deadlineMs": deadline_ms,
        });
        for one in &mut self.list {
            one.event = one.shutdown.then(|| body.to_string().into_bytes());
        }
        let told = self.list.iter().filter(|one| one.shutdown);
        told.map(|one| one.name.clone()).collect()
    }

    /// Takes a request; `path` is what follows /2020-01-01/extension.
    pub(super) fn handle(
        &mut self,
        path: &[&str],
        request: &Request,
        function: &serde_json::Value,
    ) -> (Reaction, Change) {
        let none = |reply| (Reaction::Reply(reply), Change::None);
        match (request.method.as_str(), path) {
            ("POST", ["register"]) => {
                let (reply, registered) = self.register(request, function);
                let change = if registered { Change::Progress } else { Change::None };
                (Reaction::Reply(reply), change)
            }
            ("GET", ["event", "next"]) => match self.identified(request) {
                Err(reply) => none(reply),
                Ok(at) => self.ask(at),
            },
            ("POST", ["init", "error"]) => self.error(request, "Extension.InitError"),
            ("POST", ["exit", "error"]) => self.error(request, "Extension.ExitError"),
            (_, ["register"] | ["event", "next"] | ["init" | "exit", "error"]) => none(text(405, "")),
            _ => none(not_found()),
        }
    }

    /// The next message to the extension with this identifier, if there is one.
    pub(super) fn next(&mut self, id: &str) -> Reaction {
        let waiting = Reaction::Wait(Waiter::Extension(id.to_owned()));
        let Some(one) = self.list.iter_mut().find(|one| one.id == id) else {
            return waiting;
        };
        match one.event.take() {
            None => waiting,
            Some(body) => {
                one.state = State::Running;
                Reaction::Reply(Reply {
                    status: 200,
                    headers: vec![("Lambda-Extension-Event-Identifier", uuid())],
                    body,
                })
            }
        }
    }

    fn ask(&mut self, at: usize) -> (Reaction, Change) {
        let one = &mut self.list[at];
        match one.state {
            State::Registered | State::Ready | State::Running => {
                one.state = State::Ready;
                let id = one.id.clone();
                (self.next(&id), Change::Progress)
            }
            State::Started | State::Failed => (Reaction::Reply(forbidden(one, "Ready")), Change::None),
        }
    }

    fn register(&mut self, request: &Request, function: &serde_json::Value) -> (Reply, bool) {
        let refused = |kind: &str, message: &str| (refusal(403, kind, message), false);
        let name = request.header(NAME).unwrap_or_default();
        if name.is_empty() {
            return refused("Extension.InvalidExtensionName", "Empty extension name");
        }
        let body = request.body.as_deref().unwrap_or_default();
        let registration: Registration = match serde_json::from_slice(body) {
            Ok(registration) => registration,
            Err(error) => return refused("InvalidRequestFormat", &error.to_string()),
        };
        let known = self.list.iter().position(|one| one.name == name);
        let external = known.is_some_and(|at| self.list[at].external);
        for event in &registration.events {
            let message = match event.as_str() {
                "INVOKE" => continue,
                "SHUTDOWN" if external => continue,
                "SHUTDOWN" => "event is not supported for internal extensions",
                _ => "invalid event",
            };
            return refused("Extension.InvalidEventType", &format!("{event}: {message}"));
        }
        let at = match known {
            Some(at) if self.list[at].state != State::Started => {
                return (forbidden(&self.list[at], "Registered"), false);
            }
            Some(at) => at,
            None if self.closed => {
                return refused("Extension.RegistrationClosed", "Extension registration closed already");
            }
            None if self.list.len() >= MOST => {
                let message = format!("Extension limit ({MOST}) reached");
                return refused("Extension.TooManyExtensions", &message);
            }
            None => {
                self.list.push(Extension::new(name, false));
                self.list.len() - 1
            }
        };
        let one = &mut self.list[at];
        one.state = State::Registered;
        one.invoke = registration.events.iter().any(|event| event == "INVOKE");
        one.shutdown = registration.events.iter().any(|event| event == "SHUTDOWN");
        let mut function = function.clone();
        let features = request.header("lambda-extension-accept-feature").unwrap_or_default();
        if !features.split(',').any(|feature| feature.trim() == "accountId")
            && let Some(fields) = function.as_object_mut()
        {
            fields.remove("accountId");
        }
        let reply = Reply {
            status: 200,
            headers: vec![("Lambda-Extension-Identifier", one.id.clone())],
            body: function.to_string().into_bytes(),
        };
        (reply, true)
    }

    fn error(&mut self, request: &Request, kind: &'static str) -> (Reaction, Change) {
        let at = match self.identified(request) {
            Ok(at) => at,
            Err(reply) => return (Reaction::Reply(reply), Change::None),
        };
        let Some(message) = request.header(ERROR_TYPE).filter(|kind| !kind.is_empty()) else {
            let reply = refusal(
                403,
                "Extension.MissingHeader",
                "Lambda-Extension-Function-Error-Type not found",
            );
            return (Reaction::Reply(reply), Change::None);
        };
        let one = &mut self.list[at];
        if matches!(one.state, State::Started | State::Failed) {
            return (Reaction::Reply(forbidden(one, "InitError")), Change::None);
        }
        one.state = State::Failed;
        let message = format!("extension {}: {message}", one.name);
        (Reaction::Reply(accepted()), Change::Error { kind, message })
    }

    /// The extension that a request is from.
    fn identified(&self, request: &Request) -> Result<usize, Reply> {
        let Some(id) = request.header(IDENTIFIER).filter(|id| !id.is_empty()) else {
            let message = "Missing Lambda-Extension-Identifier header";
            return Err(refusal(403, "Extension.MissingExtensionIdentifier", message));
        };
        let found = self.list.iter().position(|one| one.id == id);
        found.ok_or_else(|| {
            refusal(
                403,
                "Extension.UnknownExtensionIdentifier",
                &format!("Unknown extension {id}"),
            )
        })
    }
}

impl Extension {
    fn new(name: &str, external: bool) -> Self {
        Self {
            name: name.to_owned(),
            id: uuid(),
            external,
            state: State::Started,
            invoke: false,
            shutdown: false,
            event: None,
        }
    }
}

fn forbidden(one: &Extension, to: &str) -> Reply {
    let message = format!(
        "State transition from {} to {to} failed for extension {}. Error: State transition is not allowed",
        one.state.name(),
        one.name
    );
    refusal(403, "Extension.InvalidExtensionState", &message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(
        extensions: &mut Extensions,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (Reply, Change) {
        let parts: Vec<&str> = path.split('/').collect();
        let request = Request::new(method, path, headers).with_body(body.as_bytes());
        let (reaction, change) = extensions.handle(&parts, &request, &json!({"functionName": "f", "accountId": "1"}));
        match reaction {
            Reaction::Reply(reply) => (reply, change),
            Reaction::Wait(_) => (text(0, ""), change),
        }
    }

    fn registered(extensions: &mut Extensions, name: &str, events: &str) -> String {
        let body = format!("{{\"events\":{events}}}");
        let (reply, change) = call(
            extensions,
            "POST",
            "register",
            &[("lambda-extension-name", name)],
            &body,
        );
        assert_eq!(
            (reply.status, change),
            (200, Change::Progress),
            "{}",
            String::from_utf8_lossy(&reply.body)
        );
        assert_eq!(reply.body, br#"{"functionName":"f"}"#);
        reply.headers[0].1.clone()
    }

    fn invoke() -> Invoke {
        Invoke {
            id: "7".to_owned(),
            deadline_ms: 9,
            arn: "arn".to_owned(),
            trace_id: "Root=1".to_owned(),
            payload: b"{}".to_vec().into(),
        }
    }

    #[test]
    fn extensions_register_wait_and_are_told() {
        let mut extensions = Extensions::started(&["watch".to_owned()]);
        assert!(!extensions.all_registered());
        let id = registered(&mut extensions, "watch", r#"["INVOKE","SHUTDOWN"]"#);
        let inner = registered(&mut extensions, "inner", r#"["INVOKE"]"#);
        assert!(extensions.all_registered() && !extensions.all_ready() && extensions.has_external());
        for id in [&id, &inner] {
            let (reply, change) = call(&mut extensions, "GET", "event/next", &[(IDENTIFIER, id)], "");
            assert_eq!((reply.status, change), (0, Change::Progress));
        }
        assert!(extensions.all_ready());
        extensions.invoke(&invoke());
        assert!(!extensions.all_ready());
        let Reaction::Reply(reply) = extensions.next(&id) else {
            panic!()
        };
        let event: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(
            (&event["eventType"], &event["requestId"]),
            (&json!("INVOKE"), &json!("7"))
        );
        assert_eq!(extensions.next(&id), Reaction::Wait(Waiter::Extension(id.clone())));
        assert_eq!(extensions.shut_down(ShutdownReason::Timeout, 5), ["watch"]);
        let (reply, _) = call(&mut extensions, "GET", "event/next", &[(IDENTIFIER, &id)], "");
        let event: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(
            (&event["eventType"], &event["shutdownReason"]),
            (&json!("SHUTDOWN"), &json!("timeout"))
        );
        // Only what is a process of its own hears of the end.
        assert_eq!(
            extensions.next(&inner),
            Reaction::Wait(Waiter::Extension(inner.clone()))
        );
    }

    #[test]
    fn what_is_not_allowed_is_refused() {
        let mut extensions = Extensions::started(&["watch".to_owned()]);
        let mut refused = |path: &str, headers: &[(&str, &str)], body: &str| {
            let method = if path == "event/next" { "GET" } else { "POST" };
            let (reply, change) = call(&mut extensions, method, path, headers, body);
            assert_eq!(change, Change::None);
            let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
            (reply.status, body["errorType"].as_str().unwrap_or_default().to_owned())
        };
        let kind = |status: u16, kind: &str| (status, format!("Extension.{kind}"));
        assert_eq!(refused("register", &[], "{}"), kind(403, "InvalidExtensionName"));
        let inner = [(NAME, "inner")];
        assert_eq!(refused("register", &inner, "x").1, "InvalidRequestFormat");
        assert_eq!(
            refused("register", &inner, r#"{"events":["SHUTDOWN"]}"#),
            kind(403, "InvalidEventType")
        );
        assert_eq!(
            refused("register", &inner, r#"{"events":["OTHER"]}"#),
            kind(403, "InvalidEventType")
        );
        assert_eq!(refused("event/next", &[], ""), kind(403, "MissingExtensionIdentifier"));
        assert_eq!(
            refused("event/next", &[(IDENTIFIER, "x")], ""),
            kind(403, "UnknownExtensionIdentifier")
        );
        assert_eq!(refused("nothing", &[], "").0, 404);
        let id = registered(&mut extensions, "watch", "[]");
        let (reply, _) = call(&mut extensions, "POST", "register", &[(NAME, "watch")], "{}");
        assert_eq!(reply.status, 403);
        let (reply, change) = call(
            &mut extensions,
            "POST",
            "exit/error",
            &[(IDENTIFIER, &id), (ERROR_TYPE, "A.B")],
            "",
        );
        assert_eq!(reply.status, 202);
        let message = "extension watch: A.B".to_owned();
        assert_eq!(
            change,
            Change::Error {
                kind: "Extension.ExitError",
                message
            }
        );
        extensions.close();
        let (reply, _) = call(&mut extensions, "POST", "register", &inner, "{}");
        assert_eq!(reply.status, 403);
    }
}
