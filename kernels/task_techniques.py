"""The techniques of interpreters in programs with tasks."""

from vmlab.kernels.quickening import QuickeningEmitter
from vmlab.kernels.tasks import TaskHandlerEmitter


class TaskQuickeningEmitter(TaskHandlerEmitter, QuickeningEmitter):
    """An instruction that waits has quickened before."""
