"""Over how many processes a model is split, and how they divide over machines. Pure."""

from __future__ import annotations

from launcher.record import record
from launcher.server.address import effective_integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.server.model import Instance


@record
class Sizes:
    """The parallel sizes of one server, as vLLM will see them."""

    tensor: int
    pipeline: int
    context: int
    data: int

    def replica(self) -> int:
        """Return how many processes hold the model once."""
        return self.tensor * self.pipeline * self.context

    def world(self) -> int:
        """Return how many processes there are in all; each has a GPU of its own."""
        return self.data * self.replica()

    def spreads_replicas(self, nodes: int) -> bool:
        """Tell whether each machine holds whole replicas: the data-parallel mode."""
        return self.data > 1 and self.data % nodes == 0

    def shown(self) -> str:
        """Return the product as a person writes it, without what is 1."""
        named = (
            ("tensor_parallel_size", self.tensor),
            ("pipeline_parallel_size", self.pipeline),
            ("prefill_context_parallel_size", self.context),
            ("data_parallel_size", self.data),
        )
        words = [f"{name} {size}" for name, size in named if size != 1]
        return " x ".join(words) or "tensor_parallel_size 1"


def sizes_of(instance: Instance) -> Sizes:
    """Return the parallel sizes of an instance; what is no positive integer counts as 1."""

    def size(name: str) -> int:
        return max(1, effective_integer(instance, name, 1))

    return Sizes(
        tensor=size("tensor_parallel_size"),
        pipeline=size("pipeline_parallel_size"),
        context=size("prefill_context_parallel_size"),
        data=size("data_parallel_size"),
    )
