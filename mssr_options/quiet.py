"""Building networks and models before BasicSR's logger exists, without a trace."""

import contextlib
import io
from collections.abc import Iterator

import torch
from basicsr.utils import logger as basicsr_logger


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide BasicSR's prints and logs, leave its logger unmade (its log file comes later), and keep the random state."""
    state, made = torch.get_rng_state(), dict(basicsr_logger.initialized_logger)
    basicsr_logger.initialized_logger['basicsr'] = True  # BasicSR then makes no handlers
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        torch.set_rng_state(state)
        basicsr_logger.initialized_logger.clear()
        basicsr_logger.initialized_logger.update(made)
