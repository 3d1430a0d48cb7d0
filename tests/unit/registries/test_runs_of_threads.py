"""A run belongs to the thread (and task) that works in it, on the rows and on the commits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier


def test_threads_stamp_their_own_runs(lake):
    transform = lake.Transform(name="import", kind="script").save()
    runs = [lake.Run(transform=transform).save() for _ in range(4)]
    meeting = Barrier(len(runs))

    def work(run) -> list[str]:
        with lake.use_run(run):
            meeting.wait()
            return [lake.ULabel(name=f"{run.uid}-{number}").save().uid for number in range(5)]

    with ThreadPoolExecutor(len(runs)) as pool:
        made = list(pool.map(work, runs))
    for run, labels in zip(runs, made, strict=True):
        assert {lake.ULabel.get(uid).run for uid in labels} == {run.uid}
    stamped = [commit.run for commit in lake.snapshots()]
    assert {uid: stamped.count(uid) for uid in {run.uid for run in runs}} == {run.uid: 5 for run in runs}


def test_a_transaction_that_began_before_another_thread_made_the_first_save_can_save(lake):
    with lake.transaction(), ThreadPoolExecutor(1) as other:
        other.submit(lambda: lake.ULabel(name="meanwhile").save()).result()
        lake.ULabel(name="begun before").save()
    assert lake.User.filter().count() == 1
    assert {label.name for label in lake.ULabel.filter()} == {"meanwhile", "begun before"}
