"""Where Newton and Schulz's iteration takes singular values."""

import numpy as np

# Beyond it an iteration does no longer bring singular values near 1.
LIMIT = 2.0


def largest_singular_value(coefficients: tuple[float, float, float], steps: int) -> float:
    """The largest size that a singular value between 0 and 1 has after any number of steps up to some."""
    a, b, c = coefficients
    values, largest = np.linspace(0.0, 1.0, 10_001), 1.0
    with np.errstate(all="ignore"):
        for _ in range(steps):
            square = np.square(values)
            values = values * (a + b * square + c * np.square(square))
            largest = max(largest, float(np.abs(values).max()))
            if not largest <= LIMIT:
                break
    return largest
