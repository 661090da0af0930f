"""Spread work over the processes of a local Ray or a Ray cluster (extra `ray`), by Ray Data.

Items go through two stages: `cut` makes records of each, in tasks; `encode` gives them vectors, in actors that live
through the run and hold one encoder each. A process that dies is replaced and its share done again; what it had
handed in stays, and every record comes back once.
"""

import logging
import os
import re
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rag.config import calm_ray
from rag.embed import count_cores
from rag.errors import EncoderError, UsageError

ADDRESS = re.compile(r"ray(?::(?P<host>[\w.-]+):(?P<port>\d{1,5}))?")
"""What `--engine` takes."""
BATCH_ROWS = 64
"""Records an actor encodes at a time: done again when it dies."""
LARGEST_NUMBER_OF_TASKS = 1_000
"""Documents are dealt out to this many tasks at most."""
OBJECT_STORE_BYTES = 256 * 1024 * 1024
"""Shared memory of a local Ray; what does not fit goes to its folder."""
CONNECT_TIMEOUT_S = 5.0
CUT, ROW = "cut", "row"
"""Kinds of record: what was found in an item, and a row to encode."""
Record = dict[str, Any]
"""`kind`, `name` and `data`, all strings; once encoded `vector`, `worker` and `seconds` too."""
Encode = Callable[[Sequence[Record]], list[bytes]]
"""Records to the bytes of their vectors, none where there is nothing to encode."""


class Worker:
    """What an actor does: it loads the encoder once, and gives each batch of records its vectors."""

    def __init__(self, load: Callable[[], Encode]) -> None:
        self._encode = load()
        self._name = f"{socket.gethostname()} 进程 {os.getpid()}"

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Replace the texts of a batch by vectors, and note who took how long."""
        started = time.perf_counter()
        records = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        vectors = self._encode(records)
        n_encoded = sum(map(bool, vectors))
        return {
            "kind": batch["kind"],
            "name": batch["name"],
            "data": [record["data"] if record["kind"] == CUT else "" for record in records],
            "vector": vectors,
            "worker": [self._name] * len(records),
            "seconds": [(time.perf_counter() - started) / max(1, n_encoded)] * len(records),
        }


def run_stages(
    engine: str,
    items: Sequence[Record],
    cut: Callable[[Record], list[Record]],
    load: Callable[[], Encode],
) -> Iterator[Record]:
    """Cut items into records, encode them, and yield them as they are done, in no order.

    :param load: loads the encoder in an actor, and returns what encodes records.
    :raises UsageError: when Ray is not installed or there is none at the address.
    :raises EncoderError: when a stage fails on a worker.
    """
    with _started(engine) as n_workers:
        import ray
        from ray.data import ActorPoolStrategy

        records = ray.data.from_items(
            list(items), override_num_blocks=min(len(items), LARGEST_NUMBER_OF_TASKS)
        ).flat_map(cut, num_cpus=0.5)
        encoded = records.repartition(target_num_rows_per_block=BATCH_ROWS).map_batches(
            Worker,
            fn_constructor_args=(load,),
            batch_size=BATCH_ROWS,
            compute=ActorPoolStrategy(size=n_workers),
            num_cpus=1,
        )
        try:
            yield from encoded.iter_rows()
        except ray.exceptions.RayError as error:
            raise EncoderError(f"--engine {engine}: 工作进程出错（{_find_cause(error)}）") from error


def _find_cause(error: BaseException) -> str:
    """Return the last line of what went wrong on a worker."""
    cause = getattr(error, "cause", None) or error.__cause__ or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(cause).__name__


@contextmanager
def _started(engine: str) -> Iterator[int]:
    """Start a local Ray or join a cluster, tell how many encoders it has room for, and leave it after."""
    match = ADDRESS.fullmatch(engine)
    if not match:
        raise UsageError(f"--engine {engine}: 要 local、ray 或 ray:主机:端口")
    host, port = match["host"], match["port"]
    calm_ray(is_local=not host)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UsageError("--engine ray: 还缺依赖；请先运行：pip install 'mianjing[ray]'") from error
    if host:
        _check_reachable(engine, host, int(port))
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="mianjing-ray-", ignore_cleanup_errors=True) as folder:
        place = (
            {"address": f"{host}:{port}"}
            if host
            else {
                "address": "local",
                "num_cpus": count_cores() + 1,  # an actor for each core, and room for a task that cuts
                "include_dashboard": False,
                "object_store_memory": OBJECT_STORE_BYTES,
                "_temp_dir": folder,
            }
        )
        try:
            with _hush():
                ray.init(**place, log_to_driver=False, logging_level=logging.CRITICAL)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UsageError(
                f"--engine {engine}: 连不上 Ray（{_find_cause(error)}）；看看集群还在不在，两边的 Ray 和 Python 版本是否一样，"
                "集群要令牌的话放进 ~/.ray/auth_token"
            ) from error
        try:
            ray.data.DataContext.get_current().enable_progress_bars = False
            resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
            yield max(1, int(resources.get("CPU", 2)) - 1)
        finally:
            ray.shutdown()


@contextmanager
def _hush() -> Iterator[None]:
    """Keep what Ray's native code says as it starts off the terminal; what goes wrong is raised."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _check_reachable(engine: str, host: str, port: int) -> None:
    """Look whether anything listens there: Ray itself would try for a minute."""
    try:
        socket.create_connection((host, port), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise UsageError(
            f"--engine {engine}: 连不上 Ray（{error.strerror or error}）；检查主机和端口（ray start --head 打印的那个）"
        ) from error
