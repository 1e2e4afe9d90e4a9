"""Weight files from the net: told, cancelled, gone on with, checked; from a real server on this machine."""

import hashlib
import re
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.error import URLError

import pytest

from backend import download
from backend.harmonize.errors import Cancelled, WeightsUnavailable
from backend.harmonize.networks import Download, download_of
from backend.harmonize.step import ignore

CONTENT = bytes(range(256)) * 40  # 10 pieces of 1024 bytes
PIECE = 1024


class Server(HTTPServer):
    """Serves CONTENT; `ranges` whether it can begin in the midst, `ends` after how many bytes the line breaks."""

    ranges, ends = True, len(CONTENT)

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/net-00000000.pth"


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.asked.append(asked)
        begin = int(re.match(r"bytes=(\d+)-", asked)[1]) if asked and server.ranges else 0
        if begin >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(CONTENT) - begin))
        self.end_headers()
        self.wfile.write(CONTENT[begin : max(begin, server.ends)])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "PIECE", PIECE)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def wanted(server, tmp_path):
    digest = hashlib.sha256(CONTENT).hexdigest()[:8]
    return Download(server.url, tmp_path / "hub" / f"net-{digest}.pth", digest)


def part_of(wanted):
    return wanted.path.with_name(wanted.path.name + ".part")


def test_all_of_it_comes_and_each_piece_is_told(wanted):
    steps = []
    download.fetch(wanted, "vgg19", steps.append)
    assert wanted.path.read_bytes() == CONTENT and not part_of(wanted).exists()
    assert [(step.stage, step.iteration, step.iterations) for step in steps] == [
        ("download", count, 10) for count in range(1, 11)
    ]
    assert all(step.seconds_left >= 0 for step in steps) and steps[-1].seconds_left == 0


def test_what_is_there_is_not_asked_for(wanted, server):
    wanted.path.parent.mkdir()
    wanted.path.write_bytes(b"there")
    download.fetch(wanted, "vgg19", ignore)
    assert wanted.path.read_bytes() == b"there" and not server.asked


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cancelled_one_goes_on_where_it_ended(wanted, server, ranges):
    def cancel(step):
        if step.iteration == 4:
            raise Cancelled()

    with pytest.raises(Cancelled):
        download.fetch(wanted, "vgg19", cancel)
    assert part_of(wanted).stat().st_size == 4 * PIECE and not wanted.path.exists()
    server.ranges, steps = ranges, []
    download.fetch(wanted, "vgg19", steps.append)
    assert wanted.path.read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={4 * PIECE}-"]
    assert steps[0].iteration == (5 if ranges else 1) and steps[0].iterations == 10


def test_a_line_that_breaks_is_told_and_costs_nothing(wanted, server):
    server.ends = 3 * PIECE + 100
    with pytest.raises(WeightsUnavailable, match="vgg19 could not be downloaded.*try again"):
        download.fetch(wanted, "vgg19", ignore)
    assert part_of(wanted).stat().st_size == server.ends
    server.ends = len(CONTENT)
    download.fetch(wanted, "vgg19", ignore)
    assert wanted.path.read_bytes() == CONTENT and server.asked[1] == f"bytes={3 * PIECE + 100}-"


def test_a_whole_one_that_was_not_yet_put_in_its_place_is(wanted, server):
    wanted.path.parent.mkdir()
    part_of(wanted).write_bytes(CONTENT)
    download.fetch(wanted, "vgg19", ignore)
    assert wanted.path.read_bytes() == CONTENT and server.asked == [f"bytes={len(CONTENT)}-"]


@pytest.mark.parametrize("rest", [CONTENT[:PIECE], b"x" * 2 * len(CONTENT)], ids=["in part", "too long"])
def test_what_came_wrong_is_not_kept(wanted, rest):
    wanted.path.parent.mkdir()
    part_of(wanted).write_bytes(b"?" + rest[1:])
    with pytest.raises(WeightsUnavailable, match="did not come as they should; try again"):
        download.fetch(wanted, "vgg19", ignore)
    assert not wanted.path.exists() and not part_of(wanted).exists()
    download.fetch(wanted, "vgg19", ignore)
    assert wanted.path.read_bytes() == CONTENT


def test_nobody_there_and_no_folder_to_write_to_are_sentences(wanted, tmp_path):
    with pytest.raises(WeightsUnavailable, match="choose the packaged network"):
        download.fetch(wanted._replace(url="http://127.0.0.1:9/net.pth"), "vgg19", ignore)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsUnavailable, match="connection and disk allow"):
        download.fetch(wanted._replace(path=tmp_path / "file" / "net.pth"), "vgg19", ignore)


def test_a_mac_without_certificates_is_told_what_to_open(wanted, monkeypatch):
    def distrusting(request, timeout):
        raise URLError(ssl.SSLCertVerificationError("unable to get local issuer certificate"))

    monkeypatch.setattr(download, "urlopen", distrusting)
    with pytest.raises(
        WeightsUnavailable, match="issuer certificate.*Install Certificates.command.*packaged"
    ):
        download.fetch(wanted, "vgg19", ignore)


def test_it_goes_where_torchvision_looks(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    found = download_of("vgg19")
    assert (
        found.path == tmp_path / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth" and found.digest == "dcbb9e9d"
    )
    assert found.url.endswith("/vgg19-dcbb9e9d.pth") and download_of("packaged") is None
