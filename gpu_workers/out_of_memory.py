"""Applying a model to a subject, in halves where the device's memory is too small for it whole."""

from __future__ import annotations

import gc
import logging
import sys

import msgspec

from gpu_workers.model import Model
from ipc.arena import ArenaView
from ipc.messages import Frames, Subject
from ipc.results import Result
from ipc.specs import Spec

log = logging.getLogger(__name__)


def apply(model: Model, spec: Spec, subject: Subject, arena: ArenaView) -> Result:
    """Run the three steps of `model` on `subject`.

    On CUDA out of memory the batch is halved; one frame that still does not fit is tried again
    with the cache emptied; after that, or when the device itself fails, the process ends, and the
    front tries a fresh one.
    """
    if "torch" not in sys.modules:
        return run(model, spec, subject, arena)
    import torch

    try:
        return run(model, spec, subject, arena)
    except torch.AcceleratorError:
        log.exception("the device failed: this worker is replaced")
        raise SystemExit(1) from None
    except torch.OutOfMemoryError:
        log.warning("out of device memory", extra={"model": model.info.model_name})
    # The traceback keeps the batch's tensors alive: free memory only once it is gone.
    gc.collect()
    torch.cuda.empty_cache()
    if isinstance(subject, Frames) and len(subject.refs) > 1:
        return _in_halves(model, spec, subject, arena)
    try:
        return run(model, spec, subject, arena)
    except torch.OutOfMemoryError:
        log.exception("out of device memory for a single frame: this worker is replaced")
        raise SystemExit(1) from None


def run(model: Model, spec: Spec, subject: Subject, arena: ArenaView) -> Result:
    """Preprocess, infer, postprocess."""
    inputs = model.preprocess(spec, subject, arena)
    outputs = model.infer(spec, inputs)
    return model.postprocess(spec, subject, outputs)


def _in_halves(model: Model, spec: Spec, subject: Frames, arena: ArenaView) -> Result:
    middle = len(subject.refs) // 2
    first = apply(model, spec, Frames(subject.refs[:middle]), arena)
    second = apply(model, spec, Frames(subject.refs[middle:]), arena)
    return msgspec.structs.replace(first, items=[*first.items, *second.items])  # type: ignore[union-attr]
