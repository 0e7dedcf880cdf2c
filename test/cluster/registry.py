"""A registry for the node's containerd, so that manifests that always pull work as published: it
serves the image archives of a folder, read-only.

    registry.py FOLDER
"""
import http.server
import json
import pathlib
import re
import sys
import tarfile

PORT = 5000
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Archive:
    """An OCI archive: its name, and where its blobs lie in the file."""

    def __init__(self, path):
        self.path = path
        with tarfile.open(path) as tar:
            self.blobs = {x.name.removeprefix("blobs/sha256/"): (x.offset_data, x.size)
                          for x in tar if x.name.startswith("blobs/")}
            entry = json.load(tar.extractfile("index.json"))["manifests"][0]
        self.manifest = entry["digest"].removeprefix("sha256:")
        name = entry["annotations"]["io.containerd.image.name"].removeprefix("docker.io/")
        self.repository, self.tag = name.rsplit(":", 1)

    def read(self, digest):
        offset, size = self.blobs[digest]
        with open(self.path, "rb") as f:
            f.seek(offset)
            return f.read(size)


class Handler(http.server.BaseHTTPRequestHandler):
    """The part of the distribution API that pulling takes."""
    protocol_version = "HTTP/1.1"
    archives = []

    def find(self):
        """(content, media type, digest) of what is asked for, or None."""
        path = self.path.split("?")[0]
        if path == "/v2/":
            return b"{}", "application/json", ""
        found = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/(.+)", path)
        for archive in self.archives if found else []:
            repository, kind, what = found.groups()
            digest = archive.manifest if what == archive.tag else what.removeprefix("sha256:")
            if repository == archive.repository and digest in archive.blobs:
                media = MANIFEST if kind == "manifests" else "application/octet-stream"
                return archive.read(digest), media, f"sha256:{digest}"
        return None

    def do_GET(self):
        content, media, digest = self.find() or (b"{}", "application/json", None)
        self.send_response(200 if digest is not None else 404)
        self.send_header("content-type", media)
        self.send_header("content-length", str(len(content)))
        if digest:
            self.send_header("docker-content-digest", digest)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET


def main():
    Handler.archives = [Archive(x) for x in pathlib.Path(sys.argv[1]).glob("*.tar")]
    http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()


if __name__ == "__main__":
    main()
