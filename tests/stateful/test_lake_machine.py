"""A lake driven at random through two handles, against a dict.

``LAKEHOUSE_STATEFUL=long`` runs it for many minutes; the default is what fits into every test run.
"""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lakehouse.engine import Lake, Options
from lakehouse.engine.backup import back_up
from lakehouse.engine.check import check
from lakehouse.engine.findings import Severity
from lakehouse.engine.restore import restore
from lakehouse.errors import Conflict, DataLoss, Expired
from tests.stateful import invariants
from tests.stateful.model import Model, Operation, Refused, State, specs

UIDS = st.sampled_from("abcdefgh")
NAMES = st.sampled_from(["p", "q", "r", "s", "t", None])
LABEL = st.fixed_dictionaries({"uid": UIDS, "name": NAMES, "n": st.integers(0, 3)})
LINK = st.fixed_dictionaries({"uid": UIDS, "label": st.one_of(st.none(), UIDS)})
KEY = st.fixed_dictionaries({"uid": UIDS})
ROWS = {("label", False): LABEL, ("link", False): LINK, ("label", True): KEY, ("link", True): KEY}


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    """Draw one change of one table."""
    op, table = (
        draw(st.sampled_from(["insert", "upsert", "upsert", "delete"])),
        draw(st.sampled_from(["label", "link"])),
    )
    rows = draw(st.lists(ROWS[table, op == "delete"], min_size=1, max_size=3, unique_by=lambda r: r["uid"]))
    return op, table, rows


class LakeMachine(RuleBasedStateMachine):
    """Two handles on one lake; each rule picks one of them."""

    catalog_url: str | None = None
    """The database for its catalog; None is a SQLite file."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="lakehouse-stateful-"))
        self.root, self.moves, self.bulks = self.folder / "lake", 0, 0
        self.model, self.pins = Model(), ExitStack()
        self.backup: tuple[Path, State, list[str]] | None = None
        self.restorations = 0

    @initialize(small_rows=st.sampled_from([0, 200_000]), file_rows=st.sampled_from([4, 150_000]))
    def create(self, small_rows: int, file_rows: int) -> None:
        self.options = Options(
            auto_publish=False,
            bulk_rows=5,
            file_rows=file_rows,
            small_rows=small_rows,
            merge_files=4,
            checkpoint_every=3,
            retention=0.0,
            grace=0.0,
        )
        catalog = (
            self.catalog_url
            and f"{self.catalog_url}{'&' if '?' in self.catalog_url else '?'}schema=stateful_{uuid.uuid4().hex}"
        )
        first = Lake.create(self.root, specs(), catalog=catalog, options=self.options)
        self.lakes = [first, Lake.open(self.root, options=self.options)]
        self.model.history[first.head()] = {"label": {}, "link": {}}

    # -- changes -----------------------------------------------------------------------------------------------------
    def _write(self, lake: Lake, blocks: list[tuple[list[Operation], bool]]) -> None:
        """Run one transaction; blocks that are marked are undone by their savepoint."""
        before = lake.head()
        try:
            expected = self.model.after(o for block, undone in blocks if not undone for o in block)
        except Refused:
            expected = None
        try:
            with lake.transaction() as txn:
                for block, undone in blocks:
                    self._block(lake, txn, block, undone)
        except Conflict as error:
            assert expected is None, error
            assert not error.transient
            assert lake.head() == before
            return
        assert expected is not None, "a broken rule was let through"
        if lake.head() > before:
            assert lake.head() == before + 1
            self.model.committed(expected, lake.head())
        assert expected == self.model.state

    def _block(self, lake: Lake, txn: Any, block: list[Operation], undone: bool) -> None:
        try:
            with lake.transaction():
                for op, table, rows in block:
                    given = [row["uid"] for row in rows] if op == "delete" else rows
                    getattr(txn, op)(table, given)
                if undone:
                    raise InterruptedError
        except InterruptedError:
            assert undone

    @rule(which=st.integers(0, 1), operation=operations())
    def change(self, which: int, operation: Operation) -> None:
        self._write(self.lakes[which], [([operation], False)])

    @rule(
        which=st.integers(0, 1),
        blocks=st.lists(
            st.tuples(st.lists(operations(), min_size=1, max_size=3), st.sampled_from([False, False, True])),
            min_size=1,
            max_size=3,
        ),
    )
    def transact(self, which: int, blocks: list[tuple[list[Operation], bool]]) -> None:
        self._write(self.lakes[which], blocks)

    @rule(which=st.integers(0, 1), count=st.integers(6, 12), again=st.booleans())
    def insert_in_bulk(self, which: int, count: int, again: bool) -> None:
        self.bulks += not again
        key = "abcdefgh"[self.bulks % 8]
        rows = [{"uid": f"{key}{n}", "name": f"bulk {key}{n}", "n": n % 3} for n in range(count)]
        self._write(self.lakes[which], [([("insert", "label", rows)], False)])

    @rule(which=st.integers(0, 1), upto=st.integers(0, 12), key=UIDS)
    def delete_of_bulk(self, which: int, upto: int, key: str) -> None:
        rows = [{"uid": f"{key}{n}"} for n in range(upto)]
        self._write(self.lakes[which], [([("delete", "label", rows)], False)])

    @precondition(lambda self: len(self.model.extra) < 3)
    @rule(which=st.integers(0, 1))
    def add_a_column(self, which: int) -> None:
        column = f"x{len(self.model.extra)}"
        self.lakes[which].ensure(specs([*self.model.extra, column]))
        self.model.grow(column, self.lakes[which].head())

    # -- maintenance -------------------------------------------------------------------------------------------------
    @rule(which=st.integers(0, 1))
    def flush(self, which: int) -> None:
        assert self.lakes[which].flush() == self.lakes[which].head()
        invariants.delta_is_a_prefix(self.lakes[which], self.model)

    @rule(which=st.integers(0, 1))
    def compact(self, which: int) -> None:
        self.lakes[which].compact()
        assert self.lakes[which].compact().removed == 0
        if (self.lakes[which].root / "head.json").exists():
            invariants.delta_is_a_prefix(self.lakes[which], self.model)

    @rule(which=st.integers(0, 1))
    def vacuum(self, which: int) -> None:
        assert self.lakes[which].vacuum() is not None
        with self.lakes[which].catalog.read() as session:
            oldest = session.meta().oldest_readable
        gone = [commit for commit in self.model.history if commit < oldest]
        self.model.forget_before(oldest)
        for commit in gone[-1:]:
            with pytest.raises(Expired):
                self.lakes[which].snapshot(commit).state("label")

    @rule(which=st.integers(0, 1))
    def check(self, which: int) -> None:
        report = check(self.lakes[which], deep=True)
        assert report.ok, report.of(Severity.HARM)

    @precondition(lambda self: self.catalog_url is None)  # Postgres has tools of its own for it
    @rule(which=st.integers(0, 1))
    def back_up(self, which: int) -> None:
        path = self.folder / f"backup {self.lakes[which].head()} {self.moves} {self.restorations}"
        if not path.exists():
            back_up(self.lakes[which].catalog, path)
        self.backup = path, copy.deepcopy(self.model.state), list(self.model.extra)

    @precondition(lambda self: self.backup is not None and self.backup[2] == self.model.extra)
    @rule()
    def go_back(self) -> None:
        path, rows, _ = self.backup  # type: ignore[misc]
        self.pins.close()
        for lake in self.lakes:
            lake.close()
        try:
            restore(self.root, path, discard_newer=True, options=self.options)
        except DataLoss:  # a vacuum dropped files that only the backup needs: all is as it was
            self.lakes = [Lake.open(self.root, options=self.options) for _ in range(2)]
            return
        self.restorations += 1
        self.lakes = [Lake.open(self.root, options=self.options) for _ in range(2)]
        self.model.history.clear()
        self.model.committed(copy.deepcopy(rows), self.lakes[0].head())
        invariants.delta_is_a_prefix(self.lakes[0], self.model)

    @rule(which=st.integers(0, 1), back=st.integers(0, 5))
    def pin(self, which: int, back: int) -> None:
        commit = sorted(self.model.history)[-1 - back :][0]
        self.pins.enter_context(self.lakes[which].pinned(commit))

    @rule()
    def unpin(self) -> None:
        self.pins.close()

    @rule(which=st.integers(0, 1))
    def reopen(self, which: int) -> None:
        self.pins.close()
        self.lakes[which].close()
        self.lakes[which] = Lake.open(self.root, specs(self.model.extra), options=self.options)

    @rule()
    def move(self) -> None:
        self.pins.close()
        for lake in self.lakes:
            lake.close()
        self.moves += 1
        self.root = self.root.rename(self.folder / f"moved {self.moves}")
        self.lakes = [Lake.open(self.root, options=self.options) for _ in range(2)]

    # -- what must hold ----------------------------------------------------------------------------------------------
    @rule(which=st.integers(0, 1))
    def travel(self, which: int) -> None:
        invariants.history_is_readable(self.lakes[which], self.model)

    @rule(which=st.integers(0, 1))
    def query(self, which: int) -> None:
        invariants.sql_agrees(self.lakes[which], self.model.state)
        invariants.lookups_agree(self.lakes[which], self.model.state)
        oldest = min(self.model.history)
        invariants.sql_agrees(self.lakes[which], self.model.history[oldest], oldest)

    @invariant()
    def both_handles_show_the_model(self) -> None:
        for lake in getattr(self, "lakes", []):
            invariants.rows_agree(lake, self.model.state)
        if hasattr(self, "lakes"):
            invariants.unique_values_are_held_by_rows(self.lakes[0], self.model.state)

    def teardown(self) -> None:
        try:
            self.pins.close()
            if hasattr(self, "lakes"):
                self.lakes[0].flush()
                invariants.delta_is_a_prefix(self.lakes[0], self.model)
                invariants.history_is_readable(self.lakes[1], self.model)
                for lake in self.lakes:
                    lake.close()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


LONG = os.environ.get("LAKEHOUSE_STATEFUL") == "long"
SETTINGS = settings(
    max_examples=1_000 if LONG else 16,
    stateful_step_count=80 if LONG else 25,
    report_multiple_bugs=False,
    deadline=None,
    phases=tuple(Phase) if LONG else (Phase.reuse, Phase.generate),  # shrinking takes minutes: run the long one for it
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
LIMIT = 0 if LONG else 170
LakeMachine.TestCase.settings = SETTINGS
test_lake_shows_what_a_dict_shows = pytest.mark.stateful(pytest.mark.timeout(LIMIT)(LakeMachine.TestCase))


@pytest.mark.stateful
@pytest.mark.timeout(LIMIT)
def test_lake_in_postgres_shows_what_a_dict_shows(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LakeMachine, "catalog_url", postgres_url)
    run_state_machine_as_test(LakeMachine, settings=settings(SETTINGS, max_examples=1_000 if LONG else 6))
