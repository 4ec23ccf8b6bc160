"""A hub on this machine that takes data sets as the real one does, as far as `huggingface_hub` and `protostill push` ask:
create, preupload, git LFS (basic), commit. `serve()` gives it and its address; `held[repo]` is what was uploaded."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LARGE = (".png", ".tar", ".parquet", ".safetensors")


class Hub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.held, self.large, self.created = {}, {}, {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, value, status=200):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        name = self.path.split("?")[0].removeprefix("/api/datasets/").split("/revision/")[0]
        if name in self.server.created:
            self.answer({"id": name, "sha": "0" * 40, "siblings": [], "private": True})
        else:
            self.answer({"error": "not found"}, 404)

    def do_PUT(self):
        self.server.large[self.path.rsplit("/", 1)[1]] = self.body()
        self.answer({})

    def do_POST(self):
        hub, path, body = self.server, self.path.split("?")[0], self.body()
        if path == "/api/repos/create":
            about = json.loads(body)
            name = f"{about['organization']}/{about['name']}"
            known = name in hub.created
            hub.created.setdefault(name, about)
            self.answer({"url": f"{hub.address}/datasets/{name}", "id": name}, 409 if known else 200)
        elif path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            files = [{"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(LARGE) else "regular", "shouldIgnore": False}
                     for f in json.loads(body)["files"]]
            self.answer({"files": files})
        elif path.endswith("/info/lfs/objects/batch"):
            objects = []
            for o in json.loads(body)["objects"]:
                if o["oid"] not in hub.large:
                    o["actions"] = {"upload": {"href": f"{hub.address}/store/{o['oid']}"}}
                objects.append(o)
            self.answer({"transfer": "basic", "objects": objects})
        elif "/commit/" in path:
            name = path.removeprefix("/api/datasets/").split("/commit/")[0]
            files = {}
            for line in body.decode().splitlines():
                line = json.loads(line)
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                elif line["key"] == "lfsFile":
                    files[line["value"]["path"]] = hub.large[line["value"]["oid"]]
            hub.held[name] = files
            self.answer({"commitUrl": f"{hub.address}/datasets/{name}/commit/{'0' * 40}", "commitOid": "0" * 40, "success": True})
        else:
            self.answer({"error": f"unknown: {path}"}, 404)


def serve():
    hub = Hub()
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    return hub
