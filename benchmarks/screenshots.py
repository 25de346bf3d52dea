"""Takes pictures of the dashboard, in light, dark and on a phone, of a gateway whose servers really break: `make screenshots`."""

import argparse
import asyncio
import shutil
from pathlib import Path

from dashboard_stage import Stage, stage, story, traffic
from playwright.async_api import Browser, async_playwright

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
FLAGS = ("--no-sandbox", "--disable-gpu", "--font-render-hinting=none", "--disable-lcd-text")


async def pictures(stage: Stage, folder: Path) -> None:
    """Take all of them."""
    found = {one["cause"]: one["id"] for one in stage.get("/api/incidents?state=open")["incidents"]}
    main = found.get("header-invalid") or next(iter(found.values()))
    pages = {
        "overview": "/", "incident": f"/incidents/{main}", "incidents": "/incidents", "upstream": "/upstreams/shop",
        "find": "/find?reference=7f3a-22",
    }  # fmt: skip
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        for name, path in pages.items():
            for scheme in ("light", "dark"):
                await _picture(browser, stage.url + path, folder / f"{name}-{scheme}.png", scheme, DESK)
            await _picture(browser, stage.url + path, folder / f"{name}-phone.png", "light", PHONE)
        await browser.close()


async def _picture(browser: Browser, url: str, file: Path, scheme: str, size: dict[str, int]) -> None:
    page = await browser.new_page(viewport=size, color_scheme=scheme, device_scale_factor=2 if size is PHONE else 1)  # type: ignore[arg-type]
    await page.goto(url)
    await page.wait_for_timeout(1500)
    await page.screenshot(path=file, full_page=True)
    await page.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=90.0, help="how long things go on before the pictures")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    async with stage() as up:
        await story(up, given.seconds)
        going_on = asyncio.create_task(traffic(up, 120))
        await asyncio.sleep(1)
        await pictures(up, given.folder)
        going_on.cancel()


if __name__ == "__main__":
    asyncio.run(main())
