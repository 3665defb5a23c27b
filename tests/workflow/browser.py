"""A report, or a page of one, in a headless Chromium: what it shows, and what goes wrong in it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WALK = """
<script>
// Shows every result of a Snakemake report one after the other, and writes what it finds.
addEventListener("load", async () => {
  const wait = milliseconds => new Promise(done => setTimeout(done, milliseconds));
  while (!app) await wait(50);  // React makes it after the page has loaded
  await wait(500);
  const seen = { front: document.querySelector(".prose")?.innerText ?? "", results: {} };
  seen.categories = Object.keys(categories);
  for (const [path, result] of Object.entries(results)) {
    const image = result.mime_type.startsWith("image");
    app.setView({ content: image ? "img" : "html", contentPath: result.data_uri,
                  navbarMode: "resultinfo", resultPath: path });
    await wait(50);
    const shown = document.querySelector(image ? "#app .grow img" : "#app iframe");
    if (image) await shown.decode().catch(() => null);
    seen.results[path] = { width: image ? shown.naturalWidth : shown.clientWidth,
                           height: image ? shown.naturalHeight : shown.clientHeight,
                           caption: document.querySelector(".prose-invert")?.innerText ?? "" };
  }
  const answer = document.createElement("script");
  answer.type = "application/json";
  answer.id = "seen";
  answer.textContent = JSON.stringify(seen).replaceAll("<", "\\\\u003c");
  document.body.append(answer);
});
</script>
"""


def browser() -> str | None:
    """Path of a Chromium; None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def run(page: Path, *options: str, size: tuple[int, int] = (1500, 1000)) -> tuple[str, list[str]]:
    """Open a page; return its document once its scripts have run, and errors of the console."""
    program = browser()
    assert program is not None
    done = subprocess.run(
        [
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-dev-shm-usage", f"--user-data-dir={page.parent / '.browser'}",
            "--enable-logging=stderr", "--log-level=0", "--virtual-time-budget=60000",
            f"--window-size={size[0]},{size[1]}", *(options or ("--dump-dom",)), page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )  # fmt: skip
    messages = re.findall(r"CONSOLE[:(]\d+\)?\] (.*)", done.stderr)
    return done.stdout, [m for m in messages if re.search(r"Uncaught|Error|Refused|Failed", m)]


def with_script(report: Path, script: str) -> str:
    """Text of a report with a script at its end; scripts within it speak of bodies, too."""
    before, _, after = report.read_text(encoding="utf-8").rpartition("</body>")
    return f"{before}{script}</body>{after}"


def walk(report: Path, folder: Path) -> tuple[dict, list[str]]:
    """Show every result of a report; return what was seen, and errors of the console."""
    copy = folder / "walked.html"
    copy.write_text(with_script(report, WALK), encoding="utf-8")
    document, errors = run(copy)
    found = re.search(r'<script type="application/json" id="seen">(.*?)</script>', document, re.S)
    assert found, "the report did not come to its end"
    return json.loads(found[1]), errors


def picture(page: Path, path: Path, *, size: tuple[int, int] = (1500, 1000)) -> None:
    """Write a picture (PNG) of a page."""
    run(page, f"--screenshot={path}", size=size)


def picture_of_result(report: Path, result: str | None, path: Path, **options: object) -> None:
    """Write a picture of a report that shows one of its results, or its front page."""
    show = ""
    if result is not None:
        show = (
            "<script>const waiting = setInterval(() => { if (!app) return; clearInterval(waiting);"
            f"const path = {json.dumps(result)}, result = results[path];"
            'app.setView({ content: result.mime_type.startsWith("image") ? "img" : "html",'
            'contentPath: result.data_uri, navbarMode: "resultinfo", resultPath: path });'
            "}, 500);</script>"
        )
    copy = path.with_suffix(".html")
    copy.write_text(with_script(report, show), encoding="utf-8")
    picture(copy, path, **options)  # type: ignore[arg-type]
    copy.unlink()
