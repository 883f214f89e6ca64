"""Applies a model to a batch, and halves the batch if the device runs out of memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from gpu_workers.device_errors import EXIT_CODE, Fault, fault_of
from gpu_workers.device_memory import empty_caches
from gpu_workers.model import Model
from ipc.arena import ArenaView
from ipc.subjects import Frames, Subject

log = logging.getLogger(__name__)


def apply(
    model: Model,
    spec: Any,
    subject: Subject,
    arena: ArenaView,
    evict_others: Callable[[], None],
) -> list[Any]:
    """Run the three steps of `model` on `subject`; return one result, or one per part.

    If there is not enough memory, the batch is halved; a single frame is retried after
    `evict_others`. If this fails too, the process exits, and the front replaces it.
    """
    if result := _attempt(model, spec, subject, arena):
        return result
    empty_caches()
    if isinstance(subject, Frames) and len(subject.refs) - subject.context > 1:
        halves = _halves(subject)
        return [part for half in halves for part in apply(model, spec, half, arena, evict_others)]
    evict_others()
    if result := _attempt(model, spec, subject, arena):
        return result
    log.error("out of memory for a single frame: this worker is replaced")
    raise SystemExit(EXIT_CODE)


def run(model: Model, spec: Any, subject: Subject, arena: ArenaView) -> Any:
    """Preprocess, infer, postprocess."""
    inputs = model.preprocess(spec, subject, arena)
    outputs = model.infer(spec, inputs)
    return model.postprocess(spec, subject, outputs)


def _attempt(model: Model, spec: Any, subject: Subject, arena: ArenaView) -> list[Any]:
    """One result, or none if there is not enough memory.

    The traceback keeps the batch's tensors alive; they are freed when this function returns.
    """
    try:
        return [run(model, spec, subject, arena)]
    except Exception as error:
        if fault_of(error) is not Fault.OUT_OF_MEMORY:
            raise
        about = {"model": model.info.model_name, "reason": str(error)}
        log.warning("out of device memory", extra=about)
        return []


def _halves(subject: Frames) -> tuple[Frames, Frames]:
    """Two batches of about equal size, each with its context frames."""
    refs, context = subject.refs, subject.context
    middle = (len(refs) + context) // 2
    return Frames(refs[:middle], context), Frames(refs[middle - context :], context)
