"""The plug-in that verl loads when it is imported: the entry point in the group `verl.plugins`.

verl swallows what a plug-in raises, so a failure is logged here as the error that it is. A run that names one of our
estimators then ends in verl's own error, because nothing has that name.
"""

import logging

try:
    from .verl import register

    register()
except Exception:
    logging.getLogger(__name__).exception(
        "the estimators of `advantages` are not available in verl, whose plug-in failed; install versions in the "
        "tested range (see `advantages adapters`)"
    )
