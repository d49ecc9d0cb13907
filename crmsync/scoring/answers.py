"""What a question can be answered with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NO, UNKNOWN, YES = np.int8(0), np.int8(1), np.int8(2)
"""In this order, so that "all" is the least of some answers, "any" the greatest, and "not" their mirror image."""

Answers = NDArray[np.int8]
