"""The Runtime API of Lambda, as far as a bootstrap sees it, and a way to run a bootstrap against it."""

import collections
import http.server
import json
import subprocess
import threading
import time

# What the API answers to a longer response (6 MiB and 100 bytes).
LONGEST = 6 * 1024 * 1024 + 100
Run = collections.namedtuple("Run", "status answers init_error log init_seconds")
Answer = collections.namedtuple("Answer", "kind body type seconds content_type mode trailers")


class Api:
    """Hands out events in order and keeps what comes back; after the last answer it ends the process."""

    def __init__(self, events, chunked=False):
        self.events, self.chunked = list(events), chunked
        self.answers, self.init_error = [], None
        self.first_call, self.handed_out = None, 0
        self.done = threading.Event()
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def reply(self, status, body=b"", headers=()):
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                if api.chunked and body:
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    for at in range(0, len(body), 4000):
                        part = body[at : at + 4000]
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                    self.wfile.write(b"0\r\n\r\n")
                else:
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def do_GET(self):
                assert self.path == "/2018-06-01/runtime/invocation/next", self.path
                api.first_call = api.first_call or time.monotonic()
                if api.handed_out == len(api.events):
                    api.done.set()
                    return
                event = api.events[api.handed_out]
                api.handed_out += 1
                api.begun = time.monotonic()
                self.reply(200, event, (
                    ("Content-Type", "application/json"),
                    ("Lambda-Runtime-Aws-Request-Id", f"id-{api.handed_out}"),
                    ("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 60000)),
                    ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:f"),
                    ("Lambda-Runtime-Trace-Id", f"Root=1-2-{api.handed_out}"),
                ))

            def body(self):
                """What was sent, and the trailers of a body that came in chunks."""
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers["Content-Length"])), {}
                body, trailers = b"", {}
                while length := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(length)
                    self.rfile.readline()
                while line := self.rfile.readline().strip():
                    name, _, value = line.decode().partition(":")
                    trailers[name.lower()] = value.strip()
                return body, trailers

            def do_POST(self):
                body, trailers = self.body()
                error_type = self.headers.get("Lambda-Runtime-Function-Error-Type")
                if self.path == "/2018-06-01/runtime/init/error":
                    api.init_error = (json.loads(body), error_type)
                    return self.reply(202)
                prefix, request_id, kind = self.path.rsplit("/", 2)
                # What fails outside of an invocation has no number.
                is_known = request_id == f"id-{api.handed_out}" or kind == "error"
                assert prefix == "/2018-06-01/runtime/invocation" and is_known, self.path
                if kind == "response" and len(body) > LONGEST:
                    return self.reply(413)
                mode = self.headers.get("Lambda-Runtime-Function-Response-Mode")
                content_type = self.headers.get("Content-Type")
                seconds = time.monotonic() - api.begun
                api.answers.append(Answer(kind, body, error_type, seconds, content_type, mode, trailers))
                self.reply(202, b'{"status":"OK"}')

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = "127.0.0.1:%d" % self.server.server_address[1]


def run(command, events, chunked=False, timeout=120):
    """Runs command(address), a bootstrap, until it has answered the events or has ended."""
    api = Api(events, chunked)
    begun = time.monotonic()
    process = subprocess.Popen(command(api.address), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    log = []
    reader = threading.Thread(target=lambda: log.append(process.stdout.read()), daemon=True)
    reader.start()
    while process.poll() is None and not api.done.wait(0.02):
        assert time.monotonic() - begun < timeout, "it takes too long"
    status = process.poll()
    if status is None:
        process.kill()
        process.wait()
    reader.join(5)
    api.server.shutdown()
    api.server.server_close()
    init = api.first_call - begun if api.first_call else None
    return Run(status, api.answers, api.init_error, b"".join(log).decode(errors="replace"), init)
