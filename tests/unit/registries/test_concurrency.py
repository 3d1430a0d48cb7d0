from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading

import pytest

from registries.instance import Instance
from tests.unit.engine.support import once_at


def python(script: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def outcome(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


@pytest.mark.concurrency
def test_processes_that_save_the_same_things_at_once_converge(tmp_path):
    Instance.create(tmp_path / "lake", user="ada").close()
    script = """
        import sys
        from registries.instance import Instance
        lake = Instance.open(sys.argv[1], user="ada")
        for round in range(10):
            lake.ULabel(name=f"label {round}").save()
            artifact = lake.Artifact(f"{round}".encode(), key="one.txt").save()
            lake.Artifact(f"{round}".encode(), key=f"same {round}.txt").save().labels.add(f"label {round}")
            lake.Artifact(f"{sys.argv[2]} {round}".encode(), key="family.txt").save()
        lake.close()
    """
    for process in [python(script, str(tmp_path / "lake"), str(number)) for number in range(3)]:
        outcome(process)
    with Instance.open(tmp_path / "lake", user="ada") as lake:
        assert lake.User.filter().count() == lake.Storage.filter().count() == 1
        assert lake.ULabel.filter().count() == 10
        assert lake.Artifact.filter(key__startswith="same").count() == 10
        assert lake.sql("select count(*) from artifact_ulabel").fetchall() == [(10,)]
        family = lake.Artifact.get(key="family.txt").versions
        assert [artifact.version for artifact in family] == list(range(30))
        assert len({artifact.uid[:16] for artifact in family}) == 1
        assert len({artifact.load() for artifact in family}) == 30


def test_content_without_a_key_is_one_artifact_whoever_else_saves_it_at_that_moment(lake):
    other = Instance.open(lake.root, user="bob")
    saved = []
    for home in (lake, other):  # what is made with a first artifact makes others wait for each other, too
        home.Artifact(home.handle.encode()).save()
    with once_at("commit.checked", lambda: saved.append(other.Artifact(b"no key").save())):
        mine = lake.Artifact(b"no key").save()
    assert [mine] == [lake.Artifact.get(saved[0].uid)]
    with once_at("commit.checked", lambda: saved.append(other.save([other.Artifact(b"in a list")])[0])):
        listed = lake.save([lake.Artifact(b"in a list"), lake.Artifact(b"in a list"), lake.ULabel(name="beside")])
    assert {artifact.uid for artifact in listed[:2]} == {saved[1].uid}
    with once_at("commit.checked", lambda: other.Artifact(b"of no matter").save()) as seen:
        lake.Artifact(b"something else").save()
    assert seen.count("commit.checked") == 2, "another content made it plan again"
    assert lake.Artifact.filter().count() == 6
    other.close()


@pytest.mark.concurrency
def test_threads_share_an_instance(lake):
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for round in range(10):
                with lake.transaction(f"{number} {round}"):
                    lake.ULabel(name=f"shared {round}").save()
                    lake.ULabel(name=f"{number} {round}").save()
                assert lake.ULabel.filter(name__startswith=f"{number} ").count() == round + 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert lake.ULabel.filter().count() == 50
    assert lake.User.filter().count() == 1


@pytest.mark.concurrency
def test_forked_workers_save_and_read_without_deltalake_or_polars(tmp_path):
    script = """
        import json, multiprocessing, sys
        from registries.instance import Instance
        lake = Instance.create(sys.argv[1], user="ada")
        lake.ULabel(name="parent").save()
        assert lake.ULabel.filter().count() == 1

        def work(number):
            label = lake.ULabel(name=f"child {number}").save()
            lake.Artifact(f"{number}".encode(), key=f"{number}.txt").save().labels.add(label)
            assert lake.ULabel.get(name="parent").uid
            assert lake.ULabel.filter(name__startswith="child").arrow().num_rows >= 1
            assert lake.Artifact.filter(ulabels=label).all()[0].load() == f"{number}".encode()
            return sorted({"deltalake", "polars"} & set(sys.modules)), lake.ULabel.filter().count() >= 2

        with multiprocessing.get_context("fork").Pool(3) as pool:
            found = pool.map(work, range(6), chunksize=1)
        print(json.dumps([found, lake.ULabel.filter().count(), lake.Artifact.filter().count()]))
        lake.close()
    """
    found, labels, artifacts = json.loads(outcome(python(script, str(tmp_path / "lake"))))
    assert found == [[[], True]] * 6
    assert (labels, artifacts) == (7, 6)


@pytest.mark.concurrency
def test_processes_that_annotate_and_save_in_bulk_at_once_converge(tmp_path):
    with Instance.create(tmp_path / "lake", user="ada") as lake:
        lake.save([lake.Gene(symbol=f"g{i}", stable_id=f"E{i}") for i in range(20)])
        lake.Feature(name="n", dtype="list[int]").save()
        lake.Artifact(b"x", key="a.txt").save()
        lake.Artifact(b"bare").save()
    script = """
        import sys
        from registries.instance import Instance
        lake = Instance.open(sys.argv[1], user="ada")
        number = int(sys.argv[2])
        artifact, bare = lake.Artifact.get(key="a.txt"), lake.Artifact.get(size=4)
        for round in range(5):
            names = [f"{round} {i}" for i in range(150)]
            lake.save([lake.ULabel(name=name) for name in names])
            lake.ULabel.from_values(names + [f"{round} more"]).save()
            lake.ULabel.upsert_df([{"name": f"{round} upserted"}])
            genes = lake.Gene.filter().order_by("symbol")[: 5 + round].all()
            artifact.features.add_set(lake.FeatureSet.of(genes, modality="rna"), slot="var")
            artifact.features.add_values({"n": [number] * 3})
            artifact.labels.add(names[:3])
            bare.replace(f"{number} {round}".encode())
        lake.close()
    """
    for process in [python(script, str(tmp_path / "lake"), str(number)) for number in range(3)]:
        outcome(process)
    with Instance.open(tmp_path / "lake", user="ada") as lake:
        assert lake.ULabel.filter().count() == 5 * 152
        assert lake.FeatureSet.filter().count() == 5
        assert lake.Modality.filter().count() == 1
        assert [one.members.count() for one in lake.FeatureSet.filter().order_by("n")] == [5, 6, 7, 8, 9]
        artifact = lake.Artifact.get(key="a.txt")
        assert list(artifact.features.sets()) == ["var"]
        assert artifact.features.get_values()["n"] in ([0] * 3, [1] * 3, [2] * 3)
        assert len(artifact.labels.get()) == 15
        family = lake.Artifact.get(size=4, version=0).versions
        assert [one.version for one in family] == list(range(16))
