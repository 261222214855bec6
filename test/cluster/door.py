"""The registry for those who say who they are.

Asks for a name and a password, as registries do that are not for everybody, and passes on what is read there.

    door.py LISTEN REGISTRY NAME PASSWORD     # HOST:PORT both
"""

import base64
import http.client
import http.server
import shutil
import sys

listen, registry, name, password = sys.argv[1:]
WANTED = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


class Door(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/healthz" and self.headers.get("Authorization") != WANTED:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="registry"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        passed = {key: self.headers[key] for key in ("Accept", "Range") if key in self.headers}
        upstream = http.client.HTTPConnection(registry)
        upstream.request(self.command, "/v2/" if self.path == "/healthz" else self.path, headers=passed)
        answer = upstream.getresponse()
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in ("connection", "date", "server", "transfer-encoding"):
                self.send_header(key, value)
        self.end_headers()
        shutil.copyfileobj(answer, self.wfile)
        upstream.close()

    do_HEAD = do_GET


host, port = listen.rsplit(":", 1)
http.server.ThreadingHTTPServer((host, int(port)), Door).serve_forever()
