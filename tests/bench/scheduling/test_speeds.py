from bench.jobs.job import Job
from bench.scheduling.speeds import GUESS, Speeds, units
from bench.store.run_files import read_speeds, save_speeds


def training(method: str = "at", steps: int = 40, epochs: int = 10) -> Job:
    settings = {
        "dataset": "mnist",
        "arch": "cnn",
        "method": method,
        "fields": {"steps": steps},
        "training": {"epochs": epochs},
    }
    return Job(kind="train", key="k", settings=settings)


def judging(stop: int = 100) -> Job:
    settings = {"dataset": "mnist", "arch": "cnn", "evaluator": "pgd", "start": 0, "stop": stop}
    return Job(kind="judge", key="j", settings=settings)


def test_work_is_counted_in_epochs_and_inputs() -> None:
    assert units(training(epochs=7)) == 7
    assert units(judging(40)) == 40


def test_without_any_record_it_is_a_guess() -> None:
    speeds = Speeds()
    assert not speeds.measured(training(), "cpu*1")
    assert speeds.seconds(training(), "cpu*1") == 10 * GUESS["train"]


def test_a_job_takes_what_the_likeliest_ones_took() -> None:
    speeds = Speeds()
    speeds.learn(training(steps=40), "cpu*1", 100.0)
    speeds.learn(training(steps=7), "cpu*1", 20.0)
    assert speeds.seconds(training(steps=40, epochs=5), "cpu*1") == 50.0
    assert speeds.seconds(training(steps=7), "cpu*1") == 20.0
    mixed = speeds.seconds(training(steps=20), "cpu*1")  # known by its method only
    assert 20 < mixed < 100
    assert speeds.measured(training("mmr"), "cpu*1")  # known as a training only
    assert speeds.measured(training(), "cpu*2")
    assert not speeds.measured(training(), "gpu/1")
    assert not speeds.measured(judging(), "cpu*1")


def test_newer_measurements_weigh_more() -> None:
    speeds = Speeds()
    for seconds in (10.0, 10.0, 10.0, 30.0):
        speeds.learn(judging(), "cpu*1", seconds)
    assert 15.0 < speeds.seconds(judging(), "cpu*1") < 30.0


def test_records_outlive_the_process_and_damage_is_no_harm() -> None:
    assert read_speeds() == {}
    save_speeds({"a": (1.0, 2.0)})
    save_speeds({"b": (3.0, 4.0)})
    assert read_speeds() == {"a": (1.0, 2.0), "b": (3.0, 4.0)}
