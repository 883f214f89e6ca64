"""What an exception says about the device: the texts are those of torch and of its libraries."""

from __future__ import annotations

import errno

import pytest
import torch

from gpu_workers.device_errors import Fault, exit_if_device_failed, fault_of
from gpu_workers.weights.errors import ModelUnavailable

MEMORY, FAILED = Fault.OUT_OF_MEMORY, Fault.DEVICE_FAILED


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), MEMORY),
        (torch.AcceleratorError("CUDA error: out of memory"), MEMORY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(h)`"),
         MEMORY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(h)`"),
         MEMORY),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), MEMORY),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"), MEMORY),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), MEMORY),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), MEMORY),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"), MEMORY),
        (RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"), MEMORY),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
         MEMORY),
        (RuntimeError("std::bad_alloc"), MEMORY),
        (MemoryError(), MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), MEMORY),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), FAILED),
        (torch.AcceleratorError("of a kind that is not known yet"), FAILED),
        (RuntimeError("CUDA error: unspecified launch failure"), FAILED),
        (RuntimeError("CUDA driver error: invalid device context"), FAILED),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
         FAILED),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), FAILED),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_BAD_LAUNCH_PARAM"), FAILED),
        (RuntimeError("cuFFT error: CUFFT_EXEC_FAILED"), FAILED),
        (RuntimeError("PytorchStreamReader failed reading zip archive"), None),
        (RuntimeError("Error(s) in loading state_dict for ResNet"), None),
        (OSError(errno.ESTALE, "Stale file handle"), None),
        (ValueError("CUDA error: this text is a file's"), None),
        (ModelUnavailable("out of memory.pt is no known model"), None),
    ],
    ids=str,
)  # fmt: skip
def test_errors_are_classified(error: Exception, fault: Fault | None) -> None:
    assert fault_of(error) is fault


@pytest.mark.parametrize("fault", list(Fault))
def test_the_cause_counts(fault: Fault) -> None:
    """A task that says that a file is no checkpoint may have caught any exception."""
    text = {MEMORY: "CUDA out of memory.", FAILED: "CUDA error: device-side assert triggered"}
    with pytest.raises(ModelUnavailable) as raised:
        raise ModelUnavailable("resnet18.pth.tar is no ResNet-18") from RuntimeError(text[fault])
    assert fault_of(raised.value) is fault


def test_only_a_failed_device_ends_the_process() -> None:
    with pytest.raises(SystemExit), exit_if_device_failed():
        raise RuntimeError("CUDA error: unspecified launch failure")
    with pytest.raises(MemoryError), exit_if_device_failed():
        raise MemoryError
    with pytest.raises(KeyError), exit_if_device_failed():
        raise KeyError
