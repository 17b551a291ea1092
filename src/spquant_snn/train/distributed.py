"""Several processes that train one network, each on its part of every batch: what they say to one another.

``torchrun`` starts them and tells each by environment variables who it is. All hold the same weights and the same data
and draw the same random numbers; each computes its images of a batch, and the sum of all gradients makes the same step
everywhere. What is written and shown comes from the first process. A process alone is a world of size one, which
talks to nobody and sets nothing up.
"""

from __future__ import annotations

import atexit
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial, wraps
from itertools import pairwise
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import torch
from torch import Tensor, nn

from ..errors import ConfigError, DataError, RunError, SpQuantError
from ..quant.sharded_batch import BatchShard, assign

T = TypeVar("T")
P = ParamSpec("P")
_PATIENCE = 300  # seconds for all to come
_LETTING_GO = 0.1  # seconds
_NUMBERS, _PLACE = ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"), ("MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Part:
    """Some images of a batch.

    Args:
        rows: of the batch, those that this process computes at once.
        weight: their share of the batch.
        own: the same rows among those of the batch that this process computes at all.
    """

    rows: slice
    weight: float
    own: slice


@dataclass(frozen=True)
class World:
    """All processes of a training, as one of them sees them.

    Args:
        rank, size: its number, from 0, and how many there are.
        local_rank, local_size: the same among those of its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and shows."""
        return self.rank == 0

    def parts(self, network: nn.Module, count: int, accumulate: int, lengths: Tensor | None = None) -> Iterator[Part]:
        """What this process computes of a batch of ``count`` images that is taken in so many parts, one after another;
        the network knows of each. Processes have nearly the same number of images of a part, at least one.
        ``lengths`` are those of the sequences of the whole batch, where they differ."""
        done = 0
        try:
            for (begin, end), (start, stop) in zip(
                _split(0, count, accumulate), self.spans(count, accumulate), strict=True
            ):
                if self.size > 1:
                    own = None if lengths is None else lengths[begin:end]
                    assign(network, _Share(start - begin, stop - begin, end - begin, own))
                yield Part(slice(start, stop), (stop - start) / count, slice(done, done + stop - start))
                done += stop - start
        finally:
            if self.size > 1:
                assign(network, None)

    def spans(self, count: int, accumulate: int) -> list[tuple[int, int]]:
        """From where to where a batch of ``count`` images is this process's own, of each of its parts."""
        return [_split(begin, end, self.size)[self.rank] for begin, end in _split(0, count, accumulate)]

    def sum_gradients(self, network: nn.Module, numbers: Tensor) -> Tensor:
        """Replace each gradient by the sum over all processes; returns the sums of the numbers, float32 [K]."""
        if self.size == 1:
            return numbers
        found = [p.grad for p in network.parameters() if p.grad is not None]
        together = _add(torch.cat([*(g.flatten() for g in found), numbers]))
        *summed, numbers = torch.split(together, [*(g.numel() for g in found), len(numbers)])
        for gradient, total in zip(found, summed, strict=True):
            gradient.copy_(total.view_as(gradient))
        return numbers

    def alike(self, network: nn.Module) -> None:
        """Give all processes the weights and statistics of the first."""
        if self.size > 1:
            import torch.distributed as dist

            with _connected():
                for tensor in network.state_dict().values():
                    dist.broadcast(tensor, 0)

    def gather(self, mine: T) -> list[T]:
        """What each process has, in the order of their numbers; on the CPU."""
        if self.size == 1:
            return [mine]
        import torch.distributed as dist

        found: list[Any] = [None] * self.size
        with _connected():
            dist.all_gather_object(found, mine)
        return found

    def together(self, act: Callable[[], T]) -> T:
        """What ``act`` gives here, once it succeeded in all processes.

        Raises:
            SpQuantError: what the first that failed raised, in all processes; its text names that process, unless all
                failed alike.
        """
        if self.size == 1:
            return act()
        error: SpQuantError | None = None
        try:
            result = act()
        except SpQuantError as caught:
            error = caught
        failed = [(rank, found) for rank, found in enumerate(self.gather(_plain(error))) if found is not None]
        if failed:
            (rank, (kind, text)), alone = failed[0], len(failed) < self.size
            raise self.raised_by_all(kind(f"in process {rank} of {self.size}: {text}" if alone else text))
        return result

    def in_step(self, read: Iterator[T]) -> Iterator[T]:
        """What each process reads, one after another, as long as all can read on: none waits for the gradients of one
        that cannot.

        Raises:
            SpQuantError: as ``together``.
            DataError: some came to their end before the others.
        """
        if self.size == 1:
            yield from read
            return
        while True:
            error: SpQuantError | None = None
            found: T | None = None
            try:
                found = next(read, None)
            except SpQuantError as caught:
                error = caught
            failed, ended = _add(torch.tensor([error is not None, found is None], dtype=torch.float32)).tolist()
            if failed:
                self.together(partial(_raise, error))
            if ended == self.size:
                return
            if found is None or ended:
                raise self.raised_by_all(
                    DataError(
                        f"{ended:.0f} of {self.size} processes have no more training batches while the others have: "
                        "give each of them equally many, as by steps_per_epoch"
                    )
                )
            yield found

    def from_first(self, act: Callable[[], T]) -> T:
        """What ``act`` gives in the first process, which alone acts; all wait for it.

        Raises:
            SpQuantError: what it raised, in all processes.
        """
        if self.size == 1:
            return act()
        import torch.distributed as dist

        outcome: list[Any] = [None, None]
        if self.first:
            try:
                outcome[0] = act()
            except SpQuantError as error:
                outcome[1] = _plain(error)
        with _connected():
            dist.broadcast_object_list(outcome, 0)
        if outcome[1] is not None:
            kind, text = outcome[1]
            raise self.raised_by_all(kind(text))
        found: T = outcome[0]
        return found

    def in_turn(self, act: Callable[[], T]) -> T:
        """As ``together``; the first process of each machine goes first, so that the others find what it wrote."""
        if self.local_rank:
            self.together(lambda: None)
            return self.together(act)
        found = self.together(act)
        self.together(lambda: None)
        return found

    def raised_by_all(self, error: SpQuantError) -> SpQuantError:
        """An error that all processes raise, marked so that only the first reports it to the user."""
        error.reported = not self.first
        return error


ALONE = World()


class _OfWorld(Protocol):
    @property
    def world(self) -> World: ...


Owner = TypeVar("Owner", bound=_OfWorld)


def together(method: Callable[Concatenate[Owner, P], T]) -> Callable[Concatenate[Owner, P], T]:
    """A method, of what has a ``world``, that all processes call and that succeeded once it did in all of them; see
    ``World.together``."""

    @wraps(method)
    def in_all(owner: Owner, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return owner.world.together(lambda: method(owner, *args, **kwargs))

    return in_all


class _Share(BatchShard):
    def add(self, x: Tensor) -> Tensor:
        return _add(x)


def join() -> World:
    """The processes that torchrun started, brought together; a world of one where it started none.

    Raises:
        ConfigError: the environment names several processes, but not what they need to find one another.
        RunError: they do not.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    if size == "1":
        return World()
    wrong = [name for name in ("WORLD_SIZE", *_NUMBERS) if not os.environ.get(name, "").isdecimal()]
    wrong += [name for name in _PLACE if name not in os.environ]
    if wrong:
        raise ConfigError(
            f"the environment variable WORLD_SIZE is {size}, but {wrong[0]} is no number or not set: "
            "start several processes with torchrun, or unset WORLD_SIZE"
        )
    world = World(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")))
    import torch.distributed as dist

    if not dist.is_initialized():
        with_gpus = torch.cuda.is_available() and dist.is_nccl_available()
        try:
            store = _meet(world.rank, world.size)
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if with_gpus else "gloo", store=store, rank=world.rank, world_size=world.size
            )
        except (RuntimeError, ValueError) as error:
            raise RunError(
                f"process {world.rank} does not reach the others ({_first_line(error)}): check the addresses and "
                "ports that torchrun was given"
            ) from None
        atexit.register(_leave)
    return world


def _meet(rank: int, size: int) -> Any:
    """A store of keys and values for the processes that run now.

    torchrun keeps one store through restarts, and with it the addresses of processes that are gone. So the first
    process greets each other one that says a word never said before with a word of its own, under which all go on.
    """
    import torch.distributed as dist

    store = next(iter(dist.rendezvous("env://")))[0]  # type: ignore[attr-defined]
    own, waiting = secrets.token_hex(8), set(range(1, size))
    if rank:
        store.set(f"hello/{rank}", own)
        name = store.get(f"welcome/{own}").decode()
        store.set(f"here/{name}/{rank}", own)
        return dist.PrefixStore(name, store)  # type: ignore[attr-defined]
    until = time.monotonic() + _PATIENCE
    while waiting:
        for other in sorted(waiting):
            if store.check([f"hello/{other}"]):
                store.set(f"welcome/{store.get(f'hello/{other}').decode()}", own)
            if store.check([f"here/{own}/{other}"]):
                waiting.remove(other)
        if time.monotonic() > until:
            raise RuntimeError(f"process {min(waiting)} did not come")
        time.sleep(0.02)
    return dist.PrefixStore(own, store)  # type: ignore[attr-defined]


def _split(begin: int, end: int, parts: int) -> list[tuple[int, int]]:
    """``begin .. end`` in parts of nearly one size, the larger ones first, as ``torch.tensor_split`` does."""
    size, more = divmod(end - begin, parts)
    edges = [begin + i * size + min(i, more) for i in range(parts + 1)]
    return list(pairwise(edges))


def _add(x: Tensor) -> Tensor:
    """Sum over all processes, in place."""
    import torch.distributed as dist

    with _connected():
        dist.all_reduce(x)
    return x


@contextmanager
def _connected() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise RunError(
            f"the processes of this training lost one another ({_first_line(error)[:120]}): the last checkpoint is "
            "kept; to go on, resume the run"
        ) from None


def _leave() -> None:
    import torch.distributed as dist

    # Gloo's threads still let go of the tensors of the last exchange, for which they need Python: one that came when
    # Python had ended would abort the process.
    time.sleep(_LETTING_GO)
    with suppress(RuntimeError, ValueError):
        dist.destroy_process_group()
    time.sleep(_LETTING_GO)


def _raise(error: SpQuantError | None) -> None:
    if error is not None:
        raise error


def _plain(error: SpQuantError | None) -> tuple[type[SpQuantError], str] | None:
    return None if error is None else (type(error), str(error))


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
