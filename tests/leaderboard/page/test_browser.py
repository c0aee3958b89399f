"""The page in headless Chromium: it opens, complains of nothing, and does what it offers."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.data.datasets import DataSet
from bench.plugins.catalogue import Catalogue
from bench.store.results import Store
from leaderboard.board.data import RowData
from leaderboard.page.page import page_html
from tests.leaderboard.page.synthetic import Synthetic, write_run

selenium = pytest.importorskip("selenium")
from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.remote.webelement import WebElement  # noqa: E402
from selenium.webdriver.support.select import Select  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None,
        reason="needs chromium and chromedriver (apt-get install chromium chromium-driver)",
    ),
]
PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where downloads arrive."""
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def chromium(given: Path) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for word in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1280,900"):
        options.add_argument(f"--{word}")
    options.add_experimental_option("prefs", {"download.default_directory": str(given)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory, page: str, hostile_page: str
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    files = {"page": folder / "page.html", "hostile": folder / "hostile.html"}
    files["page"].write_text(page, encoding="utf-8")
    files["hostile"].write_text(hostile_page, encoding="utf-8")
    return files


@pytest.fixture
def opened(chromium: webdriver.Chrome, files: dict[str, Path]) -> Iterator[webdriver.Chrome]:
    """The page, fresh; at the end of the test the console is empty."""
    chromium.get(files["page"].as_uri())
    yield chromium
    assert chromium.get_log("browser") == []


def found(driver: webdriver.Chrome, selector: str) -> list[WebElement]:
    return list(driver.find_elements(By.CSS_SELECTOR, selector))


def one(driver: webdriver.Chrome, selector: str) -> WebElement:
    return driver.find_element(By.CSS_SELECTOR, selector)


def texts(driver: webdriver.Chrome, selector: str) -> list[str]:
    """Of all that match and are shown."""
    return [element.text for element in found(driver, selector) if element.is_displayed()]


def wait(driver: webdriver.Chrome, until: Callable[[webdriver.Chrome], Any]) -> Any:
    return WebDriverWait(driver, 10, poll_frequency=0.05).until(until)


def choose(driver: webdriver.Chrome, selector: str, text: str) -> None:
    Select(one(driver, selector)).select_by_visible_text(text)


def to_inputs(driver: webdriver.Chrome) -> None:
    """Scrolls to the inputs and waits for those of the first row."""
    driver.execute_script("document.querySelector('#inputs').scrollIntoView()")
    wait(driver, lambda d: found(d, "#gallery button"))


def test_sorting_by_press_and_by_key(opened: webdriver.Chrome) -> None:
    head = one(opened, '#rows th[data-key="undecided"]')
    head.find_element(By.TAG_NAME, "button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    shares = [float(text) for text in texts(opened, '#rows td[data-key="undecided"]')]
    assert shares == sorted(shares)
    head.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "descending"
    shares = [float(text) for text in texts(opened, '#rows td[data-key="undecided"]')]
    assert shares == sorted(shares, reverse=True)


def test_filters_search_and_reset_hold_for_charts_and_inputs_too(opened: webdriver.Chrome) -> None:
    choose(opened, '[data-filter="norm"]', "l2")
    assert texts(opened, "#rows tbody th") == ["plain", "at"]
    assert one(opened, "#count").text == "2 of 12 rows"
    assert set(texts(opened, "#charts h3")) == {"digits, l2 0.3"}
    assert len([mark for mark in found(opened, ".mark[id^=e]") if mark.is_displayed()]) == 2
    one(opened, "#search").send_keys("at L2")
    assert texts(opened, "#rows tbody th") == ["at"]
    assert len(found(opened, "#input-row option")) == 1
    one(opened, "#search").send_keys(" nothing of the kind")
    assert one(opened, "#count").text == "0 of 12 rows"
    one(opened, "#tools [type=reset]").click()
    wait(opened, lambda d: one(d, "#count").text == "12 rows")


def test_columns_are_chosen(opened: webdriver.Chrome) -> None:
    assert not one(opened, '#rows th[data-key="points"]').is_displayed()
    one(opened, ".columns summary").click()
    one(opened, '[data-column="points"]').click()
    assert one(opened, '#rows th[data-key="points"]').is_displayed()
    one(opened, '[data-column="points"]').send_keys(Keys.ESCAPE)
    assert not one(opened, '[data-column="points"]').is_displayed()


def test_marks_say_what_they_are_when_pointed_at_or_reached_by_keys(
    opened: webdriver.Chrome,
) -> None:
    mark = one(opened, "#e0-3")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", mark)
    webdriver.ActionChains(opened).move_to_element(mark).perform()
    wait(opened, lambda d: one(d, "#tip").is_displayed())
    assert "robust error" in one(opened, "#tip").text
    opened.execute_script("arguments[0].focus()", one(opened, "#e0-5"))
    assert one(opened, "#tip").text.startswith("ibp: test error")
    opened.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert one(opened, "#tip").text.startswith("crown_ibp: test error")
    assert len(found(opened, "[data-name=errors-0] .mark[tabindex='0']")) == 1


def test_inputs_are_listed_filtered_sorted_and_turned(opened: webdriver.Chrome) -> None:
    to_inputs(opened)
    assert one(opened, "#input-count").text == "1 to 50 of 60 inputs"
    one(opened, "#later").click()
    assert one(opened, "#input-count").text == "51 to 60 of 60 inputs"
    choose(opened, "#input-kind", "certified")
    assert set(texts(opened, "#input-table tbody td:nth-child(5)")) == {"certified"}
    choose(opened, "#input-kind", "all inputs")
    one(opened, '#input-table th[data-key="high"] button').click()
    highs = [float(text) for text in texts(opened, "#input-table tbody td:nth-child(4)")]
    assert highs == sorted(highs)


def test_an_input_has_pictures_interval_evidence_and_a_command(opened: webdriver.Chrome) -> None:
    to_inputs(opened)
    assert len(found(opened, "#gallery button")) == 20
    button = one(opened, "#gallery button:nth-child(3)")
    index = button.get_attribute("data-index")
    button.click()
    wait(opened, lambda d: one(d, "#detail h3").text == f"Input {index}")
    assert len(found(opened, "#detail canvas")) == 3
    assert opened.switch_to.active_element == one(opened, "#detail")
    said = one(opened, "#detail").text
    assert "evidence/kw0" in said or "evidence/bab0" in said
    command = one(opened, "#detail code").text
    assert command.startswith("python -m bench show ")
    assert command.endswith(f" --method plain --norm linf --input {index}")
    pixels = opened.execute_script(
        "const c = document.querySelectorAll('#detail canvas')[1];"
        "return [...c.getContext('2d').getImageData(0, 0, 8, 8).data]"
    )
    assert len(set(pixels)) > 3


def test_an_input_is_reached_from_a_chart(opened: webdriver.Chrome) -> None:
    one(opened, "#e0-7").send_keys(Keys.ENTER)
    wait(opened, lambda d: found(d, "#gallery button"))
    assert Select(one(opened, "#input-row")).first_selected_option.text.startswith("sabr")


def test_what_is_shown_can_be_downloaded(opened: webdriver.Chrome, given: Path) -> None:
    choose(opened, '[data-filter="method"]', "kw")
    for name in ("csv", "json", "latex"):
        one(opened, f'[data-give="{name}"]').click()
    one(opened, "#charts figure button").click()
    to_inputs(opened)
    one(opened, "#input-csv").click()
    names = ("leaderboard.csv", "leaderboard.json", "leaderboard.tex", "errors-0.svg", "inputs.csv")
    files = {name: given / name for name in names}
    wait(opened, lambda _: all(file.exists() for file in files.values()))
    said = {name: file.read_text(encoding="utf-8") for name, file in files.items()}
    assert said["leaderboard.csv"].count("\n") == 2
    assert [row["method"] for row in json.loads(said["leaderboard.json"])] == ["kw"]
    assert said["leaderboard.tex"].count("kw & ") == 1
    assert "var(" not in said["errors-0.svg"]
    assert said["inputs.csv"].count("\n") == 61


def test_the_theme_follows_the_system_and_the_button(opened: webdriver.Chrome) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = opened.execute_script(ground)
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": dark})
    night = opened.execute_script(ground)
    assert night != light
    one(opened, "#theme").click()
    assert one(opened, "#theme").text == "Theme: light"
    assert opened.execute_script(ground) == light
    one(opened, "#theme").click()
    assert opened.execute_script(ground) == night
    one(opened, "#theme").click()
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_phone_scrolls_tables_in_their_boxes_only(opened: webdriver.Chrome) -> None:
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        to_inputs(opened)
        one(opened, "#gallery button").click()
        wait(opened, lambda d: found(d, "#detail h3"))
        assert opened.execute_script("return document.documentElement.scrollWidth") == 360
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_texts_of_others_stay_texts(chromium: webdriver.Chrome, files: dict[str, Path]) -> None:
    chromium.get(files["hostile"].as_uri())
    to_inputs(chromium)
    assert texts(chromium, "#rows tbody th")[0].startswith("</script><b>plain</b>")
    choose(chromium, "#input-kind", "contradicted")
    assert one(chromium, "#input-count").text == "1 to 1 of 1 inputs"
    assert not found(chromium, "b:not(.track b), img")
    assert chromium.get_log("browser") == []


def test_without_scripts_the_table_is_read(
    chromium: webdriver.Chrome, files: dict[str, Path]
) -> None:
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        chromium.get(files["page"].as_uri())
        assert len(texts(chromium, "#rows tbody th")) == 12
        assert texts(chromium, "noscript p")
        assert not one(chromium, "#tools").is_displayed()
        assert one(chromium, "#charts svg").is_displayed()
    finally:
        chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.slow
def test_fifty_rows_of_a_thousand_inputs_are_small_and_open_at_once(
    chromium: webdriver.Chrome, tmp_path: Path, catalogue: Catalogue
) -> None:
    grey = torch.nn.functional.interpolate(torch.rand(1000, 1, 7, 7), scale_factor=4)
    labels = torch.arange(1000) % 10
    data = DataSet(
        name="mnist", classes=10, x_train=grey, y_train=labels, x_test=grey, y_test=labels
    )
    run = write_run(tmp_path / "run", Synthetic(data=data, rows=50, points=1000))
    there = RowData(catalogue=catalogue, _loaded={("mnist", None): data})
    file = tmp_path / "page.html"
    file.write_text(page_html([Store(run)], there), encoding="utf-8")
    assert file.stat().st_size < 6_000_000
    chromium.get(file.as_uri())
    timing = "return performance.getEntriesByType('navigation')[0].loadEventEnd"
    assert chromium.execute_script(timing) < 2000
    to_inputs(chromium)
    assert len(found(chromium, "#gallery button")) == 20
