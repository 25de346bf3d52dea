"""Takes pictures of the dashboard, in light, dark and on a phone, of a gateway whose servers really break: `make screenshots`."""

import argparse
import asyncio
import base64
import shutil
from pathlib import Path

from dashboard_stage import Stage, stage, story, traffic
from playwright.async_api import Browser, Page, async_playwright

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
FLAGS = ("--no-sandbox", "--disable-gpu", "--font-render-hinting=none", "--disable-lcd-text")
SHOWN = {
    "overview-light": ("/", "light", DESK, 1370), "overview-dark": ("/", "dark", DESK, 1370),
    "incident-light": ("{incident}", "light", DESK, 1480), "incident-dark": ("{incident}", "dark", DESK, 1480),
    "phone": ("{incident}", "dark", PHONE, 740), "upstream": ("/upstreams/shop", "light", DESK, 760),
}  # fmt: skip
"""Pictures for the documentation: page, theme, window, and how much of its height."""
TO_WEBP = """async data => {
  const image = new Image();
  image.src = data;
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/webp", 0.86);
}"""
PAGES = {
    "overview": "/",
    "incident": "{incident}",
    "incidents": "/incidents",
    "upstream": "/upstreams/shop",
    "find": "/find?reference=7f3a-22",
}


async def opened(browser: Browser, url: str, scheme: str, size: dict[str, int]) -> Page:
    """Return a page, as it looks after a moment."""
    scale = 2 if size is PHONE else 1
    page = await browser.new_page(viewport=size, color_scheme=scheme, device_scale_factor=scale)  # type: ignore[arg-type]
    await page.goto(url)
    await page.wait_for_timeout(1500)
    return page


async def look(browser: Browser, stage: Stage, incident: str, folder: Path) -> None:
    """Take pictures of whole pages, to be looked at."""
    for name, path in PAGES.items():
        for scheme, size in (("light", DESK), ("dark", DESK), ("light", PHONE)):
            page = await opened(browser, stage.url + path.format(incident=incident), scheme, size)
            await page.screenshot(path=folder / f"{name}-{'phone' if size is PHONE else scheme}.png", full_page=True)
            await page.close()


async def show(browser: Browser, stage: Stage, incident: str, folder: Path) -> None:
    """Take the pictures of the documentation, small enough for a repository."""
    for name, (path, scheme, size, height) in SHOWN.items():
        page = await opened(browser, stage.url + path.format(incident=incident), scheme, size)
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height}
        png = await page.screenshot(full_page=True, clip=clip)  # type: ignore[arg-type]
        await page.close()
        blank = await browser.new_page()
        webp = await blank.evaluate(TO_WEBP, f"data:image/png;base64,{base64.b64encode(png).decode()}")
        await blank.close()
        (folder / f"{name}.webp").write_bytes(base64.b64decode(webp.partition(",")[2]))


async def pictures(stage: Stage, folder: Path, *, whole: bool) -> None:
    found = {one["cause"]: one["id"] for one in stage.get("/api/incidents?state=open")["incidents"]}
    incident = f"/incidents/{found.get('header-invalid') or next(iter(found.values()))}"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        await (look if whole else show)(browser, stage, incident, folder)
        await browser.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=150.0, help="how long things go on before the pictures")
    parser.add_argument("--whole", action="store_true", help="whole pages as PNG, instead of the documentation's")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    async with stage() as up:
        await story(up, given.seconds)
        going_on = asyncio.create_task(traffic(up, 120))
        await asyncio.sleep(1)
        await pictures(up, given.folder, whole=given.whole)
        going_on.cancel()


if __name__ == "__main__":
    asyncio.run(main())
