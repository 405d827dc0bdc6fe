"""Training: a run lowers its loss, and a resumed run is the run that was not interrupted."""

import pytest

torch = pytest.importorskip("torch")
from deepcg.io.model_file import ModelFileError  # noqa: E402 - needs torch
from deepcg.training.dcdm_trainer import DCDMTrainer, DCDMTraining, Stage  # noqa: E402

TINY = DCDMTraining(dim=2, layers=(2, 2, 2), stages=(Stage(8, 12, 4), Stage(12, 8, 2)), ritz_vectors=40, seed=71)


def weights(trainer):
    return torch.cat([p.detach().reshape(-1) for p in trainer.network.parameters()])


def test_the_loss_falls():
    training = DCDMTraining(dim=2, layers=(2, 2, 2), stages=(Stage(12, 60, 8),), ritz_vectors=60, rate=5e-3, seed=73)
    trainer = DCDMTrainer(training)
    trainer.run()
    losses = trainer.history.losses
    assert len(losses) == 60
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def test_same_seed_same_weights_other_seed_others():
    runs = [DCDMTrainer(TINY), DCDMTrainer(TINY), DCDMTrainer(DCDMTraining(**{**TINY.__dict__, "seed": 79}))]
    for run in runs:
        run.run()
    first, same, other = map(weights, runs)
    assert torch.equal(first, same) and not torch.equal(first, other)


@pytest.mark.parametrize("at", [5, 12, 15])
def test_a_resumed_run_continues_exactly(tmp_path, at):
    whole = DCDMTrainer(TINY)
    whole.run()
    checkpoint = tmp_path / "run.checkpoint"

    class Cut(Exception):
        pass

    def cut(step, loss):
        if step == at:
            raise Cut

    half = DCDMTrainer(TINY)
    with pytest.raises(Cut):
        half.run(cut, checkpoint=checkpoint, checkpoint_every=1)
    resumed = DCDMTrainer.resume(checkpoint)
    assert resumed.step == at and resumed.training == TINY
    resumed.run()
    assert torch.equal(weights(resumed), weights(whole))
    assert resumed.history.losses == whole.history.losses


def test_validation_figures_are_kept():
    trainer = DCDMTrainer(TINY)
    trainer.run(validate=lambda network: {"box": 7}, validate_every=8)
    assert trainer.history.validation == [{"step": step, "box": 7} for step in (8, 16, 20)]


def test_a_loss_that_is_no_number_stops_the_run():
    trainer = DCDMTrainer(TINY)
    with torch.no_grad():
        trainer.network.lift.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="step 0: the loss is nan; lower the learning rate"):
        trainer.run()


def test_a_foreign_checkpoint_is_refused(tmp_path):
    path = tmp_path / "no.checkpoint"
    path.write_text("no")
    with pytest.raises(ModelFileError, match="not a training checkpoint"):
        DCDMTrainer.resume(path)


def test_any_altered_byte_of_a_checkpoint_is_noticed(tmp_path):
    path, altered = tmp_path / "whole.checkpoint", tmp_path / "altered.checkpoint"
    DCDMTrainer(TINY).save_checkpoint(path)
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    assert DCDMTrainer.resume(path).step == 0
    for at in (8 + whole[8:].index(b'"step') + 10, 8 + length, 8 + length + 1001, len(whole) - 1):
        altered.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ModelFileError, match="not a training checkpoint"):
            DCDMTrainer.resume(altered)
    altered.write_bytes(whole[:-1])
    with pytest.raises(ModelFileError, match="not a training checkpoint"):
        DCDMTrainer.resume(altered)


@pytest.mark.parametrize("text", ["32", "32:10", "a:b:c", "2:10:4", "32:0:4", "32:10:0"])
def test_bad_stages(text):
    with pytest.raises(ValueError, match="stage: "):
        Stage.parse(text)
    assert Stage.parse("32:10:4") == Stage(32, 10, 4)


def test_the_schedule_rises_and_falls():
    rates = [DCDMTraining(dim=3).learning_rate(step) for step in range(0, 6300, 100)]
    assert rates[0] == pytest.approx(1e-5, rel=1e-3)
    assert max(rates) == rates[1] <= 1e-3
    assert rates[-1] < 2e-5 and all(a > b for a, b in zip(rates[1:], rates[2:], strict=False))
