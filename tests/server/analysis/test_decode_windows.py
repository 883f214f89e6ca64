"""One pass for several plans: the same chunks as in separate passes, every frame in a window."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.analysis.decode_windows import windows
from server.analysis.planner import FramePlan

PLANS = st.builds(
    lambda step, start, stop, size, context: FramePlan(
        size, size, range(start, max(start, stop), step), size, context
    ),
    step=st.integers(1, 40),
    start=st.integers(0, 50),
    stop=st.integers(0, 300),
    size=st.integers(1, 9),
    context=st.integers(0, 1),
)


@given(st.lists(PLANS, min_size=1, max_size=4))
def test_every_plan_gets_the_chunks_that_it_would_have_alone(plans: list[FramePlan]) -> None:
    given_chunks: dict[int, list[object]] = {i: [] for i in range(len(plans))}
    for window in windows(plans):
        assert list(window.frames) == sorted(window.frames)
        for i, chunk in window.chunks:
            given_chunks[i].append(chunk)
            plan = plans[i]
            assert {(index, plan.height, plan.width) for index in chunk.indices} <= set(
                window.frames
            )
    for i, plan in enumerate(plans):
        assert given_chunks[i] == list(plan.chunks())


@given(PLANS)
def test_a_plan_alone_has_a_window_a_chunk(plan: FramePlan) -> None:
    alone = list(windows([plan]))
    assert [len(window.chunks) for window in alone] == [1] * len(list(plan.chunks()))
    for window, chunk in zip(alone, plan.chunks(), strict=True):
        assert [frame[0] for frame in window.frames] == list(chunk.indices)
