"""Pages that open by themselves: everything escaped, nothing fetched, seen by a real browser."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_curve

from hemorrhage.evaluation.compare import (
    common_scans,
    dice_by_combination,
    dice_table,
    paired_differences,
    volume_table,
)
from hemorrhage.evaluation.scores import score_scan
from hemorrhage.evaluation.summary import summarize
from hemorrhage.report import figures
from hemorrhage.report.case_overlay import case_overlay, telling_slices
from hemorrhage.report.comparison_page import comparison_figures, comparison_page
from hemorrhage.report.growth import compare_findings
from hemorrhage.report.growth_page import growth_page
from hemorrhage.report.pages import number, percent
from hemorrhage.report.run_page import figures_of, run_page, scans_to_show
from hemorrhage.report.scan_page import scan_page

EVIL = "<script>document.title='owned'</script>"
BROWSER = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
AFFINE = np.diag([4.0, 4.0, 5.0, 1.0])
RUN = {"name": EVIL, "threshold": 0.5, "smallest_bleed_mm3": 50, "weights_sha256": "0" * 64}


def study(seed, scans=12):
    generator = np.random.default_rng(seed)
    rows, slices = [], []
    for n in range(scans):
        mask = np.zeros((24, 24, 6), dtype=np.uint8)
        if n % 4:
            mask[4 : 8 + n // 2, 5:14, 1:4] = 4
        answer = np.roll(mask, int(generator.integers(0, 3)), axis=0) > 0
        row, parts = score_scan(mask, answer, answer * 0.9, AFFINE, np.ones_like(mask), mask)
        name = f"scan {n:02d} {EVIL}" if n == 1 else f"scan {n:02d}"
        rows.append({"name": name, "patient": f"p{n // 2}", **row})
        slices += [{"name": name, "patient": f"p{n // 2}", **part} for part in parts]
    return pd.DataFrame(rows), pd.DataFrame(slices)


def overlay(name, title):
    mask = np.zeros((24, 24, 6), dtype=bool)
    mask[6:12, 6:12, 1:4] = True
    return case_overlay(np.full(mask.shape, 30.0), mask, np.roll(mask, 2, 0), AFFINE, title)


@pytest.fixture(scope="module")
def pages():
    rows, slices = study(0)
    run = run_page(RUN, rows, summarize(rows, slices, 20), figures_of(rows, slices, "a"), overlay, [], 20)
    scans = common_scans({EVIL: rows, "other": study(1)[0]})
    tables = {
        "dice": dice_table(scans, 20).reset_index(),
        "dice_by_combination": dice_by_combination(scans),
        "volume": volume_table(scans, 20).reset_index(),
        "differences": paired_differences(scans, 20),
    }
    findings = {
        "name": EVIL,
        "findings": {
            "volume_ml": 35.2, "volume_left_ml": None, "volume_right_ml": None, "side": "unknown",
            "volume_ml_at": {"0.3": 40.0}, "scan_score": 0.97, "number_of_components": 1, "brain_ml": 1400.0,
            "volume_ml_by_subtype": {"IPH": 35.2, "IVH": 0.0},
            "components": [{"volume_ml": 35.2, "mean_hu": 55.0, "mean_probability": 0.9}],
            "derived": {
                "volume_ml_by_compartment": {"supratentorial": 35.2, "infratentorial": 0.0}, "volume_ml_by_side": None,
                "abc_half": {"a_mm": 40.0, "b_mm": 30.0, "c_mm": 50.0, "ml": 30.0}, "abc_half_of": "largest bleed",
                "planimetric_ml_of_it": 35.2, "thickness_mm": {"SDH": 4.0, "EDH": 0.0},
                "flags": {"at_least_30_ml": True, "at_least_60_ml": False, "at_most_15_ml": False},
            },
        },
        "warnings": [{"code": "W_TILT", "text": EVIL}],
        "input": {"file": EVIL, "sha256": "a"}, "weights": {"sha256": "b"}, "threshold": 0.5,
        "versions": {"hemorrhage": "0"},
    }  # fmt: skip
    later = findings | {"name": "later", "input": {"file": "b", "sha256": "b"}}
    later["findings"] = findings["findings"] | {"volume_ml": 50.0, "volume_ml_by_subtype": {"IPH": 48.0, "IVH": 2.0}}
    return {
        "run": run,
        "comparison": comparison_page(
            scans, tables, comparison_figures(scans), 20, {EVIL: RUN, "other": RUN}, {EVIL: 2}
        ),
        "scan": scan_page(findings, overlay("x", "y")),
        "growth": growth_page(compare_findings(findings, later), findings, later, (overlay("x", "y"),) * 2),
    }


@pytest.mark.parametrize("name", ["run", "comparison", "scan", "growth"])
def test_everything_from_outside_is_escaped(pages, name):
    assert EVIL not in pages[name]
    assert "&lt;script&gt;" in pages[name]


@pytest.mark.parametrize("name", ["run", "comparison", "scan", "growth"])
def test_nothing_is_fetched_and_every_figure_says_how_to_read_it(pages, name):
    page = pages[name]
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert "Research use only" in page
    pictures, captions = re.findall(r"<img ", page), re.findall(r"<figcaption>(.{20,}?)</figcaption>", page, re.DOTALL)
    assert len(pictures) == len(captions) > 0


def test_a_study_without_blood_has_a_page_without_overlap():
    rows, slices = study(0)
    rows, slices = rows[rows["reference_ml"] == 0], slices[slices["name"].isin(rows["name"][rows["reference_ml"] == 0])]
    page = run_page(RUN, rows, summarize(rows, slices, 20), figures_of(rows, slices, "a"), overlay, [], 20)
    assert "No scan has blood in its reference" in page
    assert "need scans with and without blood" in re.sub(r"\s+", " ", page)
    assert "nan" not in re.sub(r"<img[^>]*>", "", page)


def test_no_page_shows_a_number_that_is_none(pages):
    for page in pages.values():
        text = re.sub(r"<[^>]*>", " ", page)
        assert not re.search(r"\b(nan|None|- to -)\b", text)


def test_the_page_of_growth_flags_it_and_says_what_it_cannot_know(pages):
    assert "The bleed grew by 33 % or 6 mL." in pages["growth"]
    assert "Blood in the ventricles is new or grew by 1 mL." in pages["growth"]
    assert "+14.8 mL (+42.0 %)" in pages["growth"]
    assert "nothing here proves that they are of one patient" in pages["growth"]


def test_a_comparison_shows_detection_where_some_scans_have_no_blood(pages):
    assert "the 9 scans with blood from the 3 without" in pages["comparison"]
    positives = study(0)[0].query("reference_ml > 0")
    assert "roc" not in comparison_figures({"a": positives})


def test_every_curve_is_drawn(monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "roc_curve", lambda *a: drawn.append(a) or roc_curve(*a))
    figures.roc({f"system {n}": ([0, 1, 1, 0], [0.1, 0.9, 0.4, 0.5]) for n in range(9)})
    assert len(drawn) == 9


def test_scans_left_out_of_a_comparison_are_said(pages):
    assert "2 scans of" in pages["comparison"]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("name", ["run", "comparison", "scan", "growth"])
def test_a_browser_shows_all_images_within_a_phones_width(pages, name, tmp_path):
    # The page's own policy forbids scripts, so the page is measured inside a frame of another one's.
    (tmp_path / "page.html").write_text(pages[name], encoding="utf-8")
    (tmp_path / "outer.html").write_text(
        "<body><iframe id=f src=page.html width=390 height=800></iframe><script>onload = () => {"
        "const d = document.getElementById('f').contentDocument;"
        "document.body.setAttribute('data-found', JSON.stringify({title: d.title, wide: d.documentElement.scrollWidth,"
        "hidden: [...d.querySelectorAll('.facts td')].filter(c => c.getBoundingClientRect().right > 390).length,"
        "images: [...d.images].map(i => i.complete && i.naturalWidth > 50)}));}</script></body>"
    )
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
         "--disable-web-security", f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000",
         "--dump-dom", (tmp_path / "outer.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found = json.loads(html.unescape(re.search(r'data-found="(.*?)"', done.stdout)[1]))
    assert found["title"] != "owned"
    assert all(found["images"])
    assert len(found["images"]) == pages[name].count("<img ")
    assert found["wide"] <= 390
    assert not found["hidden"], "what a scan's own table says must not lie beyond the edge of a phone"


def test_numbers_for_people():
    assert number(float("nan")) == "-"
    assert number(None) == "-"
    assert number(float("inf")) == "infinite"
    assert number(1.23456, 2) == "1.23"
    assert percent(0.256) == "26 %"
    assert percent(float("nan")) == "-"


def test_median_and_worst_are_shown_and_false_alarms_too():
    rows = pd.DataFrame(
        {"name": list("abcdef"), "dice": [0.9, 0.2, 0.7, 0.5, 0.0, 1.0], "reference_ml": [5, 5, 5, 5, 0, 0],
         "automatic_ml": [5, 5, 5, 5, 3, 0]}
    )  # fmt: skip
    assert scans_to_show(rows, worst=2) == [("median", "c"), ("worst", "b"), ("worst", "d"), ("most invented", "e")]


def test_slices_that_tell_most():
    reference = np.zeros((10, 10, 8), dtype=bool)
    reference[2:8, 2:8, 3] = True
    prediction = reference.copy()
    prediction[:3, :3, 6] = True
    assert telling_slices(reference, prediction, 2) == [3, 6]
    assert telling_slices(np.zeros_like(reference), np.zeros_like(reference), 3) == [4]
