"""A pytest plugin: tests marked `gpu` skip without a CUDA device; with CI=true, no other may."""

from __future__ import annotations

import os
from collections.abc import Generator
from functools import cache

import pytest

REFUSAL = "With CI=true, only tests marked gpu may be skipped. This one was: "


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not _has_cuda():
        pytest.skip("no CUDA device")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not item.get_closest_marker("gpu"):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = REFUSAL + str(report.longrepr)


@cache
def _has_cuda() -> bool:
    import torch  # not above: most test runs need no torch

    return torch.cuda.is_available()
