"""The images that rows are about, and the networks behind them."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from bench.data.datasets import DataSet, load
from bench.data.given_inputs import given_inputs
from bench.data.holdout import hold_out
from bench.data.sources import Arrays, Source
from bench.jobs.networks import Networks
from bench.jobs.payloads import CleanPayload
from bench.plugins.catalogue import Catalogue
from bench.store.results import Store
from leaderboard.row import Row
from relu.errors import InputError


@dataclass(frozen=True, kw_only=True)
class RowData:
    """Where the data sets of rows are read from.

    place: the folder or file of data sets, None for the usual ones. inputs: the file of inputs that
    the runs judged, "" where these were test inputs. download: whether data sets that are nowhere
    may be fetched.
    """

    catalogue: Catalogue
    place: Path | None = None
    inputs: str = ""
    download: bool = True
    _loaded: dict[tuple[str, float | None], DataSet] = field(default_factory=dict, compare=False)

    @property
    def _sources(self) -> Mapping[str, Source]:
        sources = self.catalogue.sources
        if self.download:
            return sources
        return {name: _at_hand(source) for name, source in sources.items()}

    def of(self, row: Row, held_out: float | None = None) -> DataSet:
        """The data that the row is about. Raises InputError where there are others.

        held_out: the share of the training set that was judged in the test set's place.
        """
        name = row.dataset, held_out
        if name not in self._loaded:
            source = self.catalogue.find_source(row.dataset)
            whole = load(source, self.place, self._sources)
            whole = given_inputs(whole, Path(self.inputs)) if self.inputs else whole
            self._loaded[name] = whole if held_out is None else hold_out(whole, held_out)
        data = self._loaded[name]
        if data.fingerprint("test") != row.data.get("test"):
            given = row.settings.get("inputs")
            hint = f": give --inputs, the file {given!r} of the run" if given else ""
            raise InputError(f"the test data of {row.dataset} are not those of the run{hint}")
        return data


def _at_hand(source: Source) -> Source:
    """The source, but that it fetches nothing."""

    def read(folder: Path, download: bool) -> Arrays:
        if download:
            raise OSError("nothing is fetched for this")
        return source.read(folder, False)

    return dataclasses.replace(source, read=read)


def subject_of(store: Store, clean: str) -> CleanPayload:
    """What the predictions of a network are about, by their key. Raises InputError."""
    return CleanPayload.from_json(store.settings("clean", clean)["settings"])


def network_of(store: Store, clean: str, catalogue: Catalogue) -> nn.Module:
    """The network of these predictions, for evaluation, on the CPU. Raises InputError."""
    return Networks(store=store, catalogue=catalogue).stored(subject_of(store, clean))
