"""Samples from differences: the seven predictors of lossless JPEG (ITU-T T.81, H.1.2.1), modulo 65536."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["reconstruct"]

Array = np.ndarray[Any, np.dtype[Any]]


def reconstruct(out: Array, predictor: int, start: int) -> None:
    """Turn differences into samples, in place.

    Parameters
    ----------
    out : numpy.ndarray, shape (rows, columns), dtype uint16
        Differences modulo 65536; samples afterwards.
    predictor : int
        1 to 7: Ra, Rb, Rc, Ra+Rb-Rc, Ra+(Rb-Rc)/2, Rb+(Ra-Rc)/2, (Ra+Rb)/2.
    start : int
        Prediction of the first sample.
    """
    out[0, 0] = (int(out[0, 0]) + start) & 0xFFFF
    # the first line is predicted from the left and the first column from above, whatever the predictor
    np.cumsum(out[0], dtype=np.uint16, out=out[0])
    if predictor == 1:
        np.cumsum(out[:, 0], dtype=np.uint16, out=out[:, 0])
        np.cumsum(out[1:], axis=1, dtype=np.uint16, out=out[1:])
    elif predictor == 2:
        np.cumsum(out, axis=0, dtype=np.uint16, out=out)
    else:
        for row in range(1, len(out)):
            _LINES[predictor](out[row - 1], out[row])


def _corner(above: Array, line: Array) -> None:
    line += np.concatenate([above[:1], above[:-1]])


def _plane(above: Array, line: Array) -> None:
    line[:] = above + np.cumsum(line, dtype=np.uint16)


def _left_and_slope(above: Array, line: Array) -> None:
    wide = above.astype(np.int32)
    line[:1] += above[:1]
    line[1:] += (np.diff(wide) >> 1).astype(np.uint16)
    np.cumsum(line, dtype=np.uint16, out=line)


# In the last two a sample depends on half of its neighbour, rounded: they go one by one.
def _above_and_slope(above: Array, line: Array) -> None:
    upper, values = above.tolist(), line.tolist()
    values[0] = (values[0] + upper[0]) & 0xFFFF
    for column in range(1, len(values)):
        slope = (values[column - 1] - upper[column - 1]) >> 1
        values[column] = (values[column] + upper[column] + slope) & 0xFFFF
    line[:] = values


def _mean(above: Array, line: Array) -> None:
    upper, values = above.tolist(), line.tolist()
    values[0] = (values[0] + upper[0]) & 0xFFFF
    for column in range(1, len(values)):
        values[column] = (values[column] + ((values[column - 1] + upper[column]) >> 1)) & 0xFFFF
    line[:] = values


_LINES = {3: _corner, 4: _plane, 5: _left_and_slope, 6: _above_and_slope, 7: _mean}
