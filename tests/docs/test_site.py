"""The built site in a real browser: `make docs` first; left out where chromium or the site is missing."""

import http.server
import json
import re
import shutil
import subprocess
import threading
from functools import partial
from html import unescape
from pathlib import Path

import pytest

SITE = Path(__file__).resolve().parents[2] / "build" / "docs" / "site"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium"),
    pytest.mark.skipif(not (SITE / "index.html").exists(), reason="no site: make docs"),
]

# Each page in a frame as wide as a telephone; what is seen there, as JSON in the title's place.
LOOK = """<!doctype html><body><pre id="seen"></pre><script>
const pages = %s;
const seen = {};
const light = (color) => color.match(/[\\d.]+/g).slice(0, 3).reduce((a, b) => a + +b, 0) / 3;
function look(page) {
  return new Promise((done) => {
    const frame = document.createElement("iframe");
    frame.style.cssText = "width:375px;height:800px;border:0";
    frame.onload = () => {
      const doc = frame.contentDocument, view = frame.contentWindow, body = doc.body;
      const modes = {};
      for (const mode of ["light", "dark"]) {
        body.dataset.theme = mode;
        const picture = doc.querySelector(".picture text");
        modes[mode] = {
          ground: light(view.getComputedStyle(body).backgroundColor),
          text: light(view.getComputedStyle(doc.querySelector("article p")).color),
          picture: picture && light(view.getComputedStyle(picture).fill),
        };
      }
      const hidden = (e) => !e.getClientRects().length;
      seen[page] = {
        width: doc.documentElement.scrollWidth,
        wide: [...doc.querySelectorAll("article table")].filter((t) => !hidden(t))
          .filter((t) => t.getBoundingClientRect().right > 376).length,
        formulas: [...doc.querySelectorAll("div.math math")].map((m) => m.getBoundingClientRect().height),
        unnamed: doc.querySelectorAll("article img:not([alt]), img[alt=''], .picture svg:not([aria-label])").length,
        broken: [...doc.images].filter((i) => !i.complete || !i.naturalWidth).length,
        requests: view.performance.getEntriesByType("resource").map((e) => e.name),
        modes,
      };
      frame.remove();
      done();
    };
    frame.src = "/" + page;
    document.body.append(frame);
  });
}
(async () => {
  for (const page of pages) await look(page);
  document.getElementById("seen").textContent = JSON.stringify(seen);
})();
</script>"""


def chromium(address: str, profile: Path) -> tuple[str, list[str]]:
    """The page as it stands once its scripts have run, and what they said on the console."""
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={profile}",
        "--enable-logging=stderr",
    ]
    options += ["--virtual-time-budget=60000", "--window-size=1200,900", "--dump-dom"]
    done = subprocess.run([str(CHROMIUM), *options, address], capture_output=True, text=True, check=True, timeout=300)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    look = b""

    def do_GET(self) -> None:
        if self.path != "/look":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.look)
        return None

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What a browser sees of each page, the server's address, and its console."""
    pages = sorted(page.relative_to(SITE).as_posix() for page in SITE.rglob("*.html"))
    pages = [page for page in pages if page not in ("genindex.html", "search.html") and not page.startswith("_")]
    handler = type("Handler", (_Quiet,), {"look": (LOOK % json.dumps(pages)).encode()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        origin = f"http://127.0.0.1:{server.server_port}/"
        dom, console = chromium(origin + "look", tmp_path_factory.mktemp("profile"))
        server.shutdown()
    (found,) = re.findall(r'<pre id="seen">(.*?)</pre>', dom, re.DOTALL)
    assert found, "the browser did not get through all pages"
    return json.loads(unescape(found)), origin, console


def test_pages_and_their_tables_fit_a_telephone(seen):
    pages, _, _ = seen
    assert {page: s["width"] for page, s in pages.items() if s["width"] > 375} == {}
    assert {page: s["wide"] for page, s in pages.items() if s["wide"]} == {}


def test_formulas_are_set(seen):
    pages, _, _ = seen
    of_estimators = {page: s["formulas"] for page, s in pages.items() if page.startswith("estimators/")}
    assert len(of_estimators) > 60
    assert [page for page, heights in of_estimators.items() if not heights or min(heights) < 12] == []


def test_each_picture_is_there_and_has_words(seen):
    pages, _, _ = seen
    assert [page for page, s in pages.items() if s["unnamed"] or s["broken"]] == []


def test_light_and_dark_can_be_read(seen):
    pages, _, _ = seen
    for page, s in pages.items():
        for mode, sign in (("light", 1), ("dark", -1)):
            ground, text, picture = (s["modes"][mode][key] for key in ("ground", "text", "picture"))
            assert sign * (ground - text) > 100, (page, mode)
            assert picture is None or sign * (ground - picture) > 90, (page, mode)


def test_nothing_is_asked_of_another_site(seen):
    pages, origin, _ = seen
    assert {name for s in pages.values() for name in s["requests"] if not name.startswith((origin, "data:"))} == set()


def test_the_console_is_silent(seen):
    _, _, console = seen
    assert console == []


def test_search_finds_rloo_without_a_server(tmp_path):
    dom, console = chromium(f"file://{SITE}/search.html?q=rloo", tmp_path)
    assert re.search(r'<a href="estimators/rloo\.html[^"]*"', dom)
    assert console == []
