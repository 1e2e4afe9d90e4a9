"""Work in runs of rows (`ops/chunks.py`): whole and in order, smaller where memory is short, honest where it ends."""

import pytest
import torch

from backend.harmonize.ops.chunks import chunked, is_out_of_memory

ROWS = torch.arange(20.0)
LACKS = [
    torch.cuda.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("Invalid buffer size: 24.00 GB"),
    RuntimeError("std::bad_alloc"),
    RuntimeError("bad allocation"),
    MemoryError(),
]


def device_with(room: int, error: Exception, seen: list):
    """Doubles at most `room` rows at once."""

    def work(rows: slice) -> torch.Tensor:
        if rows.stop - rows.start > room:
            raise error
        seen.append(rows.stop - rows.start)
        return ROWS[rows] * 2

    return work


@pytest.mark.parametrize("size", [1, 7, 20, 1000])
def test_all_rows_in_order_and_never_more_than_the_size(size):
    seen = []
    assert torch.equal(chunked(device_with(20, MemoryError(), seen), 20, size), ROWS * 2)
    assert max(seen) <= size and sum(seen) == 20


def test_no_rows_are_one_empty_run():
    assert chunked(lambda rows: ROWS[rows], 0, 8).shape == (0,)


@pytest.mark.parametrize("error", LACKS, ids=repr)
@pytest.mark.parametrize("room", [1, 3, 19])
def test_a_lack_of_memory_is_answered_by_smaller_runs(error, room):
    seen = []
    assert torch.equal(chunked(device_with(room, error, seen), 20, 1000), ROWS * 2)
    assert max(seen) <= room


@pytest.mark.parametrize("error", LACKS, ids=repr)
def test_where_one_row_is_too_much_it_is_told(error):
    with pytest.raises(type(error)):
        chunked(device_with(0, error, []), 20, 8)


def test_other_errors_are_not_tried_again():
    calls = []

    def broken(rows):
        calls.append(rows)
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        chunked(broken, 20, 8)
    assert len(calls) == 1 and not is_out_of_memory(ValueError("out of memory"))
