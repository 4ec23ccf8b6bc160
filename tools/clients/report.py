"""Looks at the page that `protostill report` makes, in Chromium, in two widths, light and dark: report.py BINARY FOLDER.
A row works only if nothing is asked for, every picture is shown, nothing is wider than the window, whatever has a role that wants
a name has one, and all words stand out from their ground by 4.5 : 1. The screenshots in FOLDER are for people."""

import argparse
import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

parser = argparse.ArgumentParser()
parser.add_argument("binary", type=Path)
parser.add_argument("folder", type=Path)
parser.add_argument("--json", type=Path, help="the table for machines")
args = parser.parse_args()
folder = args.folder.resolve()
folder.mkdir(parents=True, exist_ok=True)
rows = []

# In the page: what is told of it, and of each text the colours that it is seen in.
LOOK = """
const shown = e => e.getClientRects().length > 0;
const rgb = c => (c.match(/[\\d.]+/g) || []).map(Number);
const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] !== 0) return c; }
    return [255, 255, 255]; };
const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b; };
const texts = [...document.querySelectorAll('body *')].filter(e => shown(e) &&
    [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim()));
const ink = e => rgb(getComputedStyle(e)[e instanceof SVGElement ? 'fill' : 'color']);
const contrast = e => { const [a, b] = [light(ink(e).slice(0, 3)), light(ground(e).slice(0, 3))].sort((x, y) => y - x);
    return (a + .05) / (b + .05); };
const worst = texts.map(e => [contrast(e), e.tagName + ': ' + e.textContent.trim().slice(0, 40)]).sort((a, b) => a[0] - b[0])[0];
const images = [...document.images];
return {worst, scripts: document.scripts.length, width: document.documentElement.scrollWidth, images: images.length,
    broken: images.filter(i => i.complete && !i.naturalWidth).length, lang: document.documentElement.lang, title: document.title,
    headings: document.querySelectorAll('h1').length, ground: getComputedStyle(document.documentElement).backgroundColor +
    getComputedStyle(document.body).backgroundColor, height: document.documentElement.scrollHeight};
"""
NAMED = {"image", "img", "link", "button", "table", "graphics-document", "textbox"}


def run(*command):
    subprocess.run([args.binary.resolve(), "--progress", "none", *map(str, command)], check=True, stdout=subprocess.DEVNULL, cwd=folder)


def page():
    """Two sets, one of them evaluated, of a hundred pairs."""
    for method, pairs in (("need+real", 100), ("random", 25)):
        run("distill", "--method", method, "--pairs", pairs, "--out", folder / method)
    run("evaluate", folder / "random", "--runs", 2, "--encoders", "vit")
    run("report", folder / "need+real", folder / "random", "--out", folder / "report.html")
    run("report", folder / "need+real", "--out", folder / "hundred.html")
    return folder / "report.html"


def opened(driver, path, width, scheme):
    """What is wrong with the page at this width."""
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    driver.get_log("performance")
    driver.get(path.as_uri())
    asked = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"]
    outside = [url for url in urls if url != path.as_uri() and not url.startswith("data:")]
    assert not outside, f"asks for {outside[0][:80]}"
    found = driver.execute_script(LOOK)
    assert found["scripts"] == 0 and found["headings"] == 1 and found["lang"] and found["title"], found
    assert found["images"] and not found["broken"], f"{found['broken']} of {found['images']} pictures are not shown"
    assert found["width"] <= width, f"{found['width']} wide in a window of {width}"
    assert found["worst"][0] >= 4.5, f"contrast {found['worst'][0]:.2f} of {found['worst'][1]}"
    nodes = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = [(n["role"]["value"], n.get("name", {}).get("value", "").strip()) for n in nodes if not n["ignored"]]
    nameless = [role for role, name in roles if role.lower() in NAMED and not name]
    assert not nameless, f"no name: {nameless[0]}"
    size = {"x": 0, "y": 0, "width": width, "height": min(found["height"], 8000), "scale": 1}
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": size, "captureBeyondViewport": True})
    (folder / f"report-{width}-{scheme}.png").write_bytes(base64.b64decode(shot["data"]))
    return found


path = page()
size = (folder / "hundred.html").stat().st_size
options = webdriver.ChromeOptions()
options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
    options.add_argument(option)
options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
browser = f"Chromium {driver.capabilities['browserVersion'].split('.')[0]}"
grounds = set()
for width in (1200, 400):
    for scheme in ("light", "dark"):
        what = f"report at {width} pixels, {scheme}"
        try:
            found = opened(driver, path, width, scheme)
            grounds.add((scheme, found["ground"]))
            outcome, said = "works", f"{found['images']} pictures, contrast {found['worst'][0]:.1f} : 1 at least"
        except Exception as e:  # noqa: BLE001: whatever goes wrong is the row's word on the matter
            outcome, said = "FAILED", f"{type(e).__name__}: {e}".splitlines()[0][:200]
        rows.append((browser, what, outcome, said))
driver.quit()
good = len({ground for _, ground in grounds}) == 2
rows.append((browser, "light and dark differ", "works" if good else "FAILED", ""))
rows.append(("", "a report of 100 pairs, under 5 MB", "works" if size < 5_000_000 else "FAILED", f"{size / 1e6:.1f} MB"))
for row in rows:
    print("{:22}  {:64}  {:7}  {}".format(*row))
failed = sum(row[2] == "FAILED" for row in rows)
print(f"{len(rows) - failed} passed, {failed} failed")
if args.json:
    args.json.write_text(json.dumps(rows))
sys.exit(failed > 0)
