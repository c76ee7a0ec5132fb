"""BasicSR's pipelines, with all that this project registers."""

import mssr_arch  # noqa: F401  (each import registers its classes with BasicSR)
import mssr_data  # noqa: F401
import mssr_loss  # noqa: F401
import mssr_metric  # noqa: F401
import mssr_model  # noqa: F401
from mssr_train.pipeline import test, train  # noqa: F401
