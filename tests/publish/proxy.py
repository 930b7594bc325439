"""Stands between the aws tool and moto_server: notes every request, and fails where it is told to.

proxy.py PORT LOG SWITCH

Listens on a free port of 127.0.0.1 and prints its number. Each request is a line "METHOD PATH" in LOG and goes on to PORT,
unless SWITCH is a file that holds this line: then the answer is the error that AWS gives when its storage is full.

moto knows no layers whose zips stay in their buckets: of those that are published with S3ObjectStorageMode=REFERENCE, the answers
get the ResolvedS3Object that Lambda adds (botocore 1.44.8, LayerVersionContentOutput).
"""

import http.client
import http.server
import json
import pathlib
import sys

UPSTREAM = int(sys.argv[1])
LOG = pathlib.Path(sys.argv[2])
SWITCH = pathlib.Path(sys.argv[3])
# The objects of layer versions that are published by reference, by the path of the version.
RESOLVED = {}
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
        answer = self.resolved(body, response.read()) if response.status < 300 else response.read()
        self.reply(response.status, response.getheaders(), answer, response.getheader("Content-Length"))
        upstream.close()

    def resolved(self, body, answer):
        """The answer about a layer version, with the object that it refers to."""
        if not self.path.startswith("/2018-10-31/layers/"):
            return answer
        version = self.path
        if self.command == "POST":
            content = json.loads(body).get("Content", {})
            version = f"{self.path}/{json.loads(answer)['Version']}"
            if content.get("S3ObjectStorageMode") == "REFERENCE":
                RESOLVED[version] = {key: content[key] for key in ("S3Bucket", "S3Key", "S3ObjectVersion")}
        if version not in RESOLVED:
            return answer
        document = json.loads(answer)
        document["Content"]["ResolvedS3Object"] = RESOLVED[version]
        return json.dumps(document).encode()

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
