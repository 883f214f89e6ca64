"""Applies a model to a batch, and halves the batch if the device runs out of memory."""

from __future__ import annotations

import gc
import logging
import sys
from typing import Any

from gpu_workers.model import Model
from ipc.arena import ArenaView
from ipc.messages import Frames, Subject

log = logging.getLogger(__name__)


def apply(model: Model, spec: Any, subject: Subject, arena: ArenaView) -> list[Any]:
    """Run the three steps of `model` on `subject`; return one result, or one per part.

    If CUDA runs out of memory, the batch is halved; a single frame is retried with the cache
    emptied. If this fails too, or if the device fails, the process exits, and the front replaces
    it.
    """
    if "torch" not in sys.modules:
        return [run(model, spec, subject, arena)]
    import torch

    try:
        return [run(model, spec, subject, arena)]
    except torch.AcceleratorError:
        log.exception("the device failed: this worker is replaced")
        raise SystemExit(1) from None
    except torch.OutOfMemoryError:
        log.warning("out of device memory", extra={"model": model.info.model_name})
    # The traceback keeps the batch's tensors alive: free memory only after it is deleted.
    gc.collect()
    torch.cuda.empty_cache()
    if isinstance(subject, Frames) and len(subject.refs) - subject.context > 1:
        return [part for half in _halves(subject) for part in apply(model, spec, half, arena)]
    try:
        return [run(model, spec, subject, arena)]
    except torch.OutOfMemoryError:
        log.exception("out of device memory for a single frame: this worker is replaced")
        raise SystemExit(1) from None


def run(model: Model, spec: Any, subject: Subject, arena: ArenaView) -> Any:
    """Preprocess, infer, postprocess."""
    inputs = model.preprocess(spec, subject, arena)
    outputs = model.infer(spec, inputs)
    return model.postprocess(spec, subject, outputs)


def _halves(subject: Frames) -> tuple[Frames, Frames]:
    """Two batches of about equal size, each with its context frames."""
    refs, context = subject.refs, subject.context
    middle = (len(refs) + context) // 2
    return Frames(refs[:middle], context), Frames(refs[middle - context :], context)
