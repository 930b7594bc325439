"""Stands between the aws tool and moto_server: notes every request, and fails where it is told to.

proxy.py PORT LOG SWITCH

Listens on a free port of 127.0.0.1 and prints its number. Each request is a line "METHOD PATH" in LOG and goes on to PORT,
unless SWITCH is a file that holds this line: then the answer is the error that AWS gives when its storage is full.
"""

import http.client
import http.server
import json
import pathlib
import sys

UPSTREAM = int(sys.argv[1])
LOG = pathlib.Path(sys.argv[2])
SWITCH = pathlib.Path(sys.argv[3])
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        line = f"{self.command} {self.path}"
        with LOG.open("a") as log:
            log.write(line + "\n")
        if SWITCH.exists() and SWITCH.read_text() == line:
            answer = json.dumps({"Type": "User", "message": "Code storage limit exceeded."}).encode()
            self.reply(400, [("x-amzn-ErrorType", "CodeStorageExceededException")], answer)
            return
        upstream = http.client.HTTPConnection("127.0.0.1", UPSTREAM, timeout=120)
        upstream.request(self.command, self.path, body, dict(self.headers))
        response = upstream.getresponse()
        answer = response.read()
        self.reply(response.status, response.getheaders(), answer, response.getheader("Content-Length"))
        upstream.close()

    def reply(self, status, headers, answer, length=None):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        # An answer to HEAD has the length of a body that does not come.
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
