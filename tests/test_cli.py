"""The command: what it prints, writes and returns."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from deadlines import HANG

from fastconv.cli import main
from fastconv.data.drawings import draw
from fastconv.files import load_json, load_safetensors, save_safetensors
from fastconv.train import load_checkpoint, save_checkpoint

SMALL = ["--epochs", "1", "--batch-size", "256"]


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "--epochs", "2", "--output", str(folder)]) == 0
    return folder


def test_train_writes_what_the_contract_names(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert {"history.json", "model.safetensors", "config.json"} <= names
    assert not [name for name in names if name.startswith(".")]
    history = load_json(trained / "history.json")
    assert [record["epoch"] for record in history] == [1, 2]
    keys = {"epoch", "train_loss", "val_loss", "val_accuracy", "seconds"}
    assert all(set(record) == keys for record in history)
    config = load_json(trained / "config.json")
    assert (config["model"], config["data"], config["epochs"]) == ("xo_net", "drawings", 2)
    assert config["classes"] == ["X", "O"] and config["input"]["shape"] == [1, 28, 28]
    arrays, _ = load_safetensors(trained / "model.safetensors")
    assert list(arrays) and all(array.dtype == np.float32 for array in arrays.values())
    pytest.importorskip("matplotlib")
    assert "curves.png" in names


def test_train_without_arguments_finds_a_free_folder(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        code, out, err = run(capsys, "train", *SMALL)
        assert (code, err) == (0, "")
        assert f"saved in runs/xo_net-{number}" in out.splitlines()[-1]
        assert "\r" not in out
    assert (tmp_path / "runs" / "xo_net-2" / "model.safetensors").exists()


def test_train_refuses_to_overwrite(capsys, trained: Path) -> None:
    before = {path.name: path.read_bytes() for path in trained.iterdir()}
    code, out, err = run(capsys, "train", "--output", str(trained))
    assert (code, out) == (1, "")
    assert err == (
        f"fastconv train: {trained} already holds a run; continue it with --resume, "
        "or name another folder with --output\n"
    )
    assert before == {path.name: path.read_bytes() for path in trained.iterdir()}


def test_resume_of_a_finished_run(capsys, trained: Path) -> None:
    before = (trained / "model.safetensors").read_bytes()
    code, out, err = run(capsys, "train", "--resume", "--output", str(trained))
    assert (code, err) == (0, "") and out.startswith(f"resuming in {trained}\n")
    assert (trained / "model.safetensors").read_bytes() == before


def test_resume_with_another_configuration(capsys, trained: Path) -> None:
    code, _, err = run(
        capsys, "train", "--resume", "--output", str(trained), "--epochs", "3", "--lr", "0.05"
    )
    assert code == 1 and err.count("\n") == 1
    assert "belongs to another configuration: epochs is 2 there and 3 here" in err


def test_resume_of_nothing_starts_afresh_where_a_model_is_named(capsys, tmp_path: Path) -> None:
    place = ["--resume", "--output", str(tmp_path / "new")]
    code, out, err = run(capsys, "train", *place, *SMALL)
    assert (code, out) == (1, "") and "nothing to resume; name a model to start a run there" in err
    assert not (tmp_path / "new").exists()
    code, out, err = run(capsys, "train", "xo_net", *place, *SMALL)
    assert (code, err) == (0, "") and out.startswith("nothing to resume, starting in ")
    assert (tmp_path / "new" / "model.safetensors").exists()


def test_same_seed_same_bytes_other_seed_other_bytes(capsys, tmp_path: Path) -> None:
    contents = []
    for number, seed in enumerate("112"):
        folder = tmp_path / str(number)
        assert run(capsys, "train", *SMALL, "--seed", seed, "--output", str(folder))[0] == 0
        contents.append((folder / "model.safetensors").read_bytes())
    assert contents[0] == contents[1] != contents[2]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["train", "alexnet9"], "invalid choice: 'alexnet9'"),
        (["train", "--data", "imagenet9"], "invalid choice: 'imagenet9'"),
        (["train", "--epochs", "0"], "'0' is not a whole number of at least 1"),
        (["train", "--batch-size", "many"], "'many' is not a whole number of at least 1"),
        (["train", "--lr", "-1"], "'-1' is not a number of at least 0"),
        (["train", "--lr", "nan"], "'nan' is not a number of at least 0"),
        (["train", "--seed", "-1"], "'-1' is not a whole number from 0"),
        (["train", "--device", "tpu"], "invalid choice: 'tpu'"),
        (["train", "--resume"], "--resume needs --output DIR"),
        (["summary"], "the following arguments are required: model"),
        (["predict", "run"], "the following arguments are required: IMAGE"),
    ],
)
def test_wrong_usage_is_two(capsys, arguments: list[str], text: str) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "") and text in err and "usage: fastconv" in err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["train", "--device", "cuda"], "no CUDA device"),
        (["train", "lenet5", "--data-dir", "no-such-folder"], "train-images-idx3-ubyte.gz"),
        (["train", "--data-dir", "x"], "drawings: they are generated"),
        (["train", "lenet_3x3"], "no data set goes with lenet_3x3: name one with --data"),
        (["train", "convnetjs", "--data", "drawings"], "takes input of shape (3, 32, 32)"),
        (["evaluate", "no-such-run"], "no-such-run holds no model.safetensors"),
        (["predict", "no-such-run", "a.png"], "no-such-run holds no model.safetensors"),
    ],
)
def test_failures_are_one_line_and_one(
    capsys, tmp_path, monkeypatch, arguments: list[str], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *arguments)
    assert code == 1
    assert err.startswith(f"fastconv {arguments[0]}: ") and err.count("\n") == 1 and text in err
    assert not list(tmp_path.iterdir()), "a failure leaves nothing behind"


def test_evaluate_agrees_with_training(capsys, trained: Path) -> None:
    code, out, err = run(capsys, "evaluate", str(trained))
    assert (code, err) == (0, "")
    last = load_json(trained / "history.json")[-1]
    expected = f"val_loss {last['val_loss']:.4f}  val_accuracy {100 * last['val_accuracy']:.2f} %"
    assert out == f"{expected}  (2000 samples)\n"


@pytest.mark.parametrize("broken", ["model.safetensors", "config.json"])
def test_evaluate_names_a_broken_file(capsys, tmp_path, trained: Path, broken: str) -> None:
    for name in ("model.safetensors", "config.json"):
        data = (trained / name).read_bytes()
        (tmp_path / name).write_bytes(data[:-20] if name == broken else data)
    code, _, err = run(capsys, "evaluate", str(tmp_path))
    assert code == 1 and broken in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("input", {}),
        ("input", {"shape": [1, 28], "mean": 0.5, "std": 0.5}),
        ("input", {"shape": [1, 28, "28"], "mean": 0.5, "std": 0.5}),
        ("input", {"shape": [1, 28, 28], "mean": None, "std": 0.5}),
        ("input", []),
        ("classes", [1, 2]),
        ("model", ["xo_net"]),
        ("batch_size", 2.5),
        ("seed", True),
    ],
)
@pytest.mark.parametrize("command", ["predict", "evaluate", "train"])
def test_a_malformed_config_is_one_line(
    capsys, tmp_path: Path, trained: Path, command: str, entry: str, value: object
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, entry: value}))
    rest = {"predict": ["x.png"], "evaluate": [], "train": []}[command]
    place = ["--resume", "--output", str(folder)] if command == "train" else [str(folder)]
    code, _, err = run(capsys, command, *place, *rest)
    assert code == 1 and err.count("\n") == 1
    assert f"config.json: {entry} cannot be " in err


@pytest.mark.parametrize("command", ["evaluate", "train"])
def test_deeply_nested_json_is_one_line(
    capsys, tmp_path: Path, trained: Path, command: str
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    (folder / "config.json").write_text("[" * 200_000)
    place = ["--resume", "--output"] if command == "train" else []
    code, _, err = run(capsys, command, *place, str(folder))
    assert code == 1 and err.count("\n") == 1
    assert "config.json: not a JSON file of ours: nested too deeply" in err


@pytest.mark.parametrize(
    "change",
    [
        lambda state, notes: notes.pop("config"),
        lambda state, notes: notes.pop("environment"),
        lambda state, notes: notes.update(config=3),
        lambda state, notes: state.pop("loader"),
        lambda state, notes: state.pop("callbacks"),
        lambda state, notes: state["loader"].pop("epoch"),
        lambda state, notes: state.update(model=3),
        lambda state, notes: state.update(callbacks=[1]),
    ],
)
def test_a_malformed_checkpoint_is_one_line(capsys, tmp_path: Path, trained: Path, change) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    file = folder / "checkpoint.safetensors"
    state, notes = load_checkpoint(file)
    change(state, notes)
    save_checkpoint(file, state, **notes)
    code, _, err = run(capsys, "train", "--resume", "--output", str(folder))
    assert code == 1 and err.count("\n") == 1
    assert "checkpoint.safetensors: the checkpoint" in err


def test_a_deeply_nested_checkpoint_is_one_line(capsys, tmp_path: Path, trained: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    text = '{"state": ' + "[" * 100_000 + "]" * 100_000 + "}"
    notes = {"format": "fastconv-checkpoint-1", "json": text}
    save_safetensors(folder / "checkpoint.safetensors", {}, notes)
    code, _, err = run(capsys, "train", "--resume", "--output", str(folder))
    assert code == 1 and err.count("\n") == 1
    assert "checkpoint.safetensors: the checkpoint is corrupt: RecursionError" in err


def test_predict_reads_pictures(capsys, tmp_path: Path, trained: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    images, labels = draw(40, seed=99)
    files = []
    for number in (int(np.argmin(labels)), int(np.argmax(labels))):
        grey = np.rint((images[number, 0] + 1) * 127.5).astype(np.uint8)
        bright = image.fromarray(grey)
        dark = image.fromarray(255 - grey).resize((140, 140)).convert("RGB")
        clear = image.fromarray(np.zeros((28, 28, 3), np.uint8))
        clear.putalpha(bright)  # black ink on nothing
        for kind, picture in (("bright", bright), ("dark", dark), ("clear", clear)):
            files.append(tmp_path / f"{'XO'[labels[number]]}-{kind}.png")
            picture.save(files[-1])
    code, out, err = run(capsys, "predict", str(trained), *map(str, files))
    assert (code, err) == (0, "")
    blocks = re.findall(r"(\S+): (\w)\n((?:  .*\n)+)", out)
    assert len(blocks) == 6
    for file, name, table in blocks:
        assert Path(file).name.startswith(name)
        shares = [float(line.split()[1]) for line in table.splitlines()]
        assert len(shares) == 2 and shares[0] >= shares[1] and abs(sum(shares) - 100) < 0.02


def test_predict_of_no_picture(capsys, tmp_path: Path, trained: Path) -> None:
    pytest.importorskip("PIL.Image")
    file = tmp_path / "words.png"
    file.write_text("no picture")
    code, _, err = run(capsys, "predict", str(trained), str(file))
    assert code == 1 and "words.png: not a picture that can be read" in err
    code, _, err = run(capsys, "predict", str(trained), str(tmp_path / "none.png"))
    assert code == 1 and "none.png" in err and err.count("\n") == 1


def test_predict_without_pillow(capsys, monkeypatch, trained: Path) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    code, _, err = run(capsys, "predict", str(trained), "a.png")
    assert code == 1 and "pip install 'fastconv[vision]'" in err


def test_summary_prints_the_table(capsys) -> None:
    code, out, _ = run(capsys, "summary", "lenet5")
    assert code == 0 and "conv1" in out and "6 x 28 x 28" in out and "61,706" in out


def test_info_says_what_runs(capsys) -> None:
    code, out, _ = run(capsys, "info")
    assert code == 0
    for word in ("fastconv", "python", "numpy", "instruction set", "threads", "OpenMP", "CUDA"):
        assert word.lower() in out.lower(), word
    assert np.__version__ in out


SHORT = ["bench", "n1c1h6k1r3", "--layout", "nchw", "--pass", "forward", "--repeats", "1"]


def test_bench_writes_its_json(capsys, tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    code, out, err = run(capsys, *SHORT, "--json", str(file))
    assert (code, err) == (0, "") and "n1c1h6k1r3" in out
    assert [row["pass"] for row in load_json(file)["rows"]] == ["forward"]
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("place", ["none/bench.json", "."])
def test_bench_refuses_the_file_before_it_measures(capsys, tmp_path: Path, place: str) -> None:
    code, out, err = run(capsys, *SHORT, "--json", str(tmp_path / place))
    assert (code, out) == (1, "") and err.count("\n") == 1
    assert "no such folder" in err or "not a regular file" in err


def test_bench_of_a_small_call_takes_the_time_asked_for(monkeypatch) -> None:
    from fastconv.bench import measure

    now = [0.0]

    def pass_on(seconds: float) -> float:
        now[0] += seconds
        return now[0]

    clock = SimpleNamespace(perf_counter=lambda: pass_on(1e-7), sleep=pass_on)
    monkeypatch.setattr(measure, "time", clock)
    (times,) = measure.in_turns([lambda: pass_on(1e-6)], seconds=0.1)
    assert times.calls > 100 and times.minimum == pytest.approx(1e-6, rel=0.02)
    assert 0.1 <= now[0] <= 0.1 + 2 * measure.TURN


def test_bench_enters_the_peers_mode_once(capsys, monkeypatch) -> None:
    torch = pytest.importorskip("torch")
    modes, enter = [], torch.inference_mode.__enter__
    monkeypatch.setattr(torch.inference_mode, "__enter__", lambda s: (modes.append(s), enter(s)))
    code, out, _ = run(capsys, *SHORT, "--vs", "torch")
    assert code == 0 and "torch ms" in out and len(modes) == 1


def test_bench_shows_the_nearer_limit(capsys, tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    rows = ["n1c64h20k64r3p1", "pool:n4c16h40r2", "avg:n4c16h40r2"]
    asked = ["--layout", "nchw", "--pass", "forward", "--repeats", "1", "--json", str(file)]
    code, out, _ = run(capsys, "bench", *rows, *asked)
    content = load_json(file)
    assert code == 0 and "% limit" in out
    assert [row["limit"] for row in content["rows"]] == ["fma", "memory", "memory"]
    assert all(row["percent_of_limit"] > 0 for row in content["rows"])
    assert content["header"]["fma_gflops"] > 1 and content["header"]["read_gbytes"] > 0.1


def test_bench_of_whole_networks(capsys, tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    names = ["train:lenet5-n64", "infer:lenet5-n1", "busy:lenet5-n64"]
    code, _, err = run(capsys, "bench", *names, "--repeats", "1", "--json", str(file))
    assert (code, err) == (0, "")
    found = [(row["descriptor"], row["pass"]) for row in load_json(file)["rows"]]
    assert found == list(zip(names, ["step", "forward", "step"], strict=True))
    code, out, err = run(capsys, "bench", "train:lenet6")
    assert (code, out) == (1, "") and "train:lenet5-n64" in err


def test_bench_sets_peak_memory_beside_the_peers(capsys, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    file = tmp_path / "bench.json"
    asked = ["train:lenet5-n64", "--vs", "torch", "--repeats", "1", "--json", str(file)]
    code, out, _ = run(capsys, "bench", *asked)
    (row,) = load_json(file)["rows"]
    assert code == 0 and " MB" in out
    assert 0 < row["peak_imported"] < row["peak"] < row["peer_peak"]


def test_bench_shows_how_rows_scale(capsys, tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    code, out, _ = run(capsys, *SHORT, "--threads", "3", "--scaling", "--json", str(file))
    (row,) = load_json(file)["rows"]
    assert code == 0 and list(row["scaling"]) == ["1", "2", "3"] and "3 threads" in out


def test_version_and_help(capsys) -> None:
    code, out, _ = run(capsys, "--version")
    assert code == 0 and re.match(r"fastconv \d+\.\d+", out)
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for command in ("train", "evaluate", "predict", "summary", "info", "bench"):
        assert command in out


# --- as a process --------------------------------------------------------------------------------


def start(
    *arguments: str, how: tuple[str, str] = ("-m", "fastconv"), **options
) -> subprocess.Popen:
    command = [sys.executable, "-u", *how, *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def read_until(process: subprocess.Popen, text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"{text!r} was never printed")


# The command, but its last epoch waits, so that a signal never comes too late.
HELD = f"""
import runpy, time
from fastconv.train.callbacks import Progress

def hold(progress, trainer):
    if trainer.epoch == trainer.epochs - 1:
        time.sleep({HANG})

Progress.on_epoch_start = hold
runpy.run_module("fastconv", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_stopped_and_resumed_equals_the_uninterrupted_run(tmp_path: Path, stop: int) -> None:
    epochs = ["--epochs", "3", "--batch-size", "64"]
    whole, stopped = str(tmp_path / "whole"), str(tmp_path / "stopped")
    process = start("train", *epochs, "--output", stopped, how=("-c", HELD))
    read_until(process, "epoch 1/3")
    time.sleep(0.1)
    process.send_signal(stop)
    _, err = process.communicate(timeout=HANG)
    if stop == signal.SIGINT:
        assert process.returncode == 130
        advice = f"to go on: fastconv train --resume --output {stopped}"
        assert err == f"fastconv train: interrupted; {advice}\n"
    else:
        assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "stopped" / "model.safetensors").exists()
    for folder, more in ((stopped, ["--resume"]), (whole, [])):
        done = start("train", *epochs, "--output", folder, *more)
        _, err = done.communicate(timeout=HANG)
        assert (done.returncode, err) == (0, "")
    files = [tmp_path / folder / "model.safetensors" for folder in ("whole", "stopped")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_reader_that_leaves_is_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m fastconv summary lenet5 | true",
        shell=True,
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    assert "Traceback" not in done.stderr


def test_lenet5_on_idx_files(tmp_path: Path) -> None:
    """The whole way from IDX files, without the real ones: a few stripes as digits."""
    import gzip

    generator = np.random.default_rng(0)
    for prefix, count in (("train", 400), ("t10k", 100)):
        labels = generator.integers(0, 10, count).astype(np.uint8)
        images = generator.integers(0, 30, (count, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 + 2 * label : 5 + 2 * label] = 255
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, array.ndim]) + np.asarray(array.shape, ">u4").tobytes()
            file = tmp_path / f"{prefix}-{name}-ubyte.gz"
            file.write_bytes(gzip.compress(head + array.tobytes()))
    folder = tmp_path / "run"
    arguments = ["lenet5", "--data-dir", str(tmp_path), "--epochs", "6", "--output", str(folder)]
    done = start("train", *arguments, env={**os.environ, "OMP_NUM_THREADS": "1"})
    _, err = done.communicate(timeout=HANG)
    assert (done.returncode, err) == (0, "")
    history = json.loads((folder / "history.json").read_text())
    assert history[-1]["val_accuracy"] > 0.9
    # Evaluation finds the data again by itself.
    assert main(["evaluate", str(folder)]) == 0
