"""Which of the jobs that are ready goes next: rows are finished early, and no later in all.

Let R be the expected seconds of all unfinished jobs and W the number of workers: R / W seconds
pass at least until all is done. A job's rank is the length of the longest chain of jobs that
starts with it. A job whose rank is well below R / W can wait without any harm, and what goes
first is then a matter of taste: the jobs of the network that was begun first, so that its row is
finished, before another network is begun. Jobs that have no such slack go by rank, the longest
first, which keeps the time until all is done near its least.

A network's judging is spread over all workers but its training occupies one. So that none of them
runs dry while the last networks train, a training of h seconds must begin while work for W h
seconds is left that waits for no training: that of networks that were begun, and the trainings.
"""

import heapq
from collections.abc import Callable, Container, Iterable, Mapping, Sequence

from bench.jobs.job import Job

SLACK = 0.5  # a chain of this share of R / W has none: seconds are expectations, jobs are lumps


class Order:
    """The jobs of a run that are not finished, and those that are ready to be handed out.

    jobs: each after the ones it names. followers: key -> keys of the jobs that wait for it.
    """

    def __init__(self, jobs: Sequence[Job], followers: Mapping[str, Sequence[str]]) -> None:
        self.jobs = {job.key: job for job in jobs}
        self.followers = followers
        self.place_in_plan = {key: i for i, key in enumerate(self.jobs)}
        self.root: dict[str, str] = {}  # job -> the network's own job
        for job in jobs:
            self.root[job.key] = self.root[job.after[0]] if job.after else job.key
        self.begun: dict[str, int] = {}  # root -> when, as a number that counts up
        self.seconds: dict[str, float] = {}
        self.ranks: dict[str, float] = {}
        self.left = self.left_begun = self.heads = 0.0
        self.left_of: dict[str, float] = {}  # root -> expected seconds of all its open jobs
        self.ready: dict[str, _Ready] = {}  # by place

    def rank(self, seconds: Callable[[Job], float], ended: Container[str]) -> None:
        """Takes new expectations of how long jobs take; `ended` are those that are over."""
        self.ranks.clear()
        self.left_of = dict.fromkeys(self.root.values(), 0.0)
        for key in reversed(self.jobs):
            if key in ended:
                continue
            behind = (self.ranks[f] for f in self.followers[key] if f in self.ranks)
            self.seconds[key] = seconds(self.jobs[key])
            self.ranks[key] = self.seconds[key] + max(behind, default=0.0)
            self.left_of[self.root[key]] += self.seconds[key]
        self.left = sum(self.left_of.values())
        self.left_begun = sum(self.left_of[root] for root in self.begun)
        self.heads = sum(
            self.seconds[root]
            for root in self.left_of
            if root in self.ranks and root not in self.begun
        )
        for ready in self.ready.values():
            ready.sort(self)

    def add(self, key: str, place: str) -> None:
        """A job waits for nothing any more and would run at this place."""
        self.ready.setdefault(place, _Ready()).add(self, key)

    def places(self) -> Iterable[str]:
        """Where ready jobs would run."""
        return [place for place, ready in self.ready.items() if ready.keys]

    def next(self, place: str, workers: int) -> str | None:
        """The ready job that goes next at a place; None where none is ready."""
        ready = self.ready[place]
        longest, head, of_first = (ready.top(heap) for heap in ready.heaps)
        if workers > 1 and longest is not None:  # one worker takes as long in any order
            if self.ranks[longest] * workers >= SLACK * self.left:
                return longest
            others = self.left_begun + self.heads
            if head is not None and self.seconds[head] * workers >= SLACK * others:
                return head
        return of_first if of_first is not None else head

    def begin(self, key: str, place: str) -> None:
        """A job is handed out."""
        self.ready[place].keys.discard(key)
        self._begin(self.root[key])

    def end(self, key: str) -> None:
        """A job is over, however it ended."""
        root = self.root[key]
        seconds = self.seconds.pop(key, 0.0)
        self._begin(root)
        self.ranks.pop(key, None)
        self.left_of[root] -= seconds
        self.left -= seconds
        self.left_begun -= seconds

    def _begin(self, root: str) -> None:
        if root not in self.begun:
            self.begun[root] = len(self.begun)
            self.left_begun += self.left_of[root]
            self.heads -= self.seconds.get(root, 0.0)


Entry = tuple[float, float, int, str]


class _Ready:
    """Ready jobs of a place in heaps: all by rank; roots by rank; the others by network.

    What was taken out by one heap is dropped from another when it comes to its top.
    """

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.heaps: tuple[list[Entry], list[Entry], list[Entry]] = ([], [], [])

    def add(self, order: Order, key: str) -> None:
        self.keys.add(key)
        for heap, entry in self._entries(order, key):
            heapq.heappush(heap, entry)

    def sort(self, order: Order) -> None:
        """Anew, as ranks have changed."""
        for heap in self.heaps:
            heap.clear()
        for key in self.keys:
            for heap, entry in self._entries(order, key):
                heap.append(entry)
        for heap in self.heaps:
            heapq.heapify(heap)

    def top(self, heap: list[Entry]) -> str | None:
        while heap and heap[0][3] not in self.keys:
            heapq.heappop(heap)
        return heap[0][3] if heap else None

    def _entries(self, order: Order, key: str) -> list[tuple[list[Entry], Entry]]:
        all_, heads, others = self.heaps
        rank = -order.ranks[key]
        place = order.place_in_plan[key]
        root = order.root[key]
        by_rank = (rank, 0.0, place, key)
        if key == root:
            return [(all_, by_rank), (heads, by_rank)]
        return [(all_, by_rank), (others, (float(order.begun[root]), rank, place, key))]
