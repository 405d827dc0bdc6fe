"""The paper's network against its description, and an independent evaluation of the same layers."""

import numpy as np
import pytest
import scipy.ndimage as ndi

torch = pytest.importorskip("torch")
from deepcg.dcdm import slabs  # noqa: E402 - needs torch
from deepcg.dcdm.network import DCDM, PAPER_LAYERS, channels_last  # noqa: E402


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_parameter_counts_are_the_papers():
    assert parameters(DCDM(3, PAPER_LAYERS["64"])) == 97_457
    assert parameters(DCDM(3, PAPER_LAYERS["128"])) == 152_881


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"dim": 1}, "dim: 1"), ({"layers": (3, 6, 4)}, "layers"), ({"layers": (4, 6)}, "layers")],
)
def test_bad_sizes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        DCDM(**arguments)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 12), (33, 5), (1, 1, 1), (2, 1, 5), (7, 8, 9), (16, 16, 16)])
def test_any_size_is_taken(shape):
    torch.manual_seed(3)
    network = DCDM(len(shape), (2, 2, 2), channels=3)
    b = torch.randn(2, 1, *shape)
    with torch.inference_mode():
        y = network(b)
    assert y.shape == b.shape and torch.isfinite(y).all()


def convolution(layer, x):
    """Channels by channels, by scipy.ndimage, with zero padding."""
    weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
    return np.stack(
        [
            sum(ndi.correlate(channel, w, mode="constant") for channel, w in zip(x, filters, strict=True)) + shift
            for filters, shift in zip(weight, bias, strict=True)
        ]
    )


def pair(block, x):
    hidden = np.maximum(convolution(block.first, x), 0)
    return x + np.maximum(convolution(block.second, hidden), 0)


@pytest.mark.parametrize("shape", [(6, 8), (4, 6, 2)])
@pytest.mark.parametrize("training", [False, True])
def test_layers_are_those_of_the_paper(shape, training):
    torch.manual_seed(5)
    network = DCDM(len(shape), (4, 2, 2), channels=3)
    b = np.random.default_rng(59).standard_normal(shape)
    x = convolution(network.lift, b[None])
    for block in network.before:
        x = pair(block, x)
    coarse = x
    for axis in range(1, x.ndim):
        coarse = 0.5 * (
            coarse[(slice(None),) * axis + (slice(0, None, 2),)] + coarse[(slice(None),) * axis + (slice(1, None, 2),)]
        )
    for block in network.coarse:
        coarse = pair(block, coarse)
    for axis in range(1, x.ndim):
        coarse = np.repeat(coarse, 2, axis)
    x = x + coarse
    for block in network.after:
        x = pair(block, x)
    expected = convolution(network.project, x)[0]
    with torch.set_grad_enabled(training):  # inference takes another convolution than training
        y = network(torch.from_numpy(b.astype(np.float32))[None, None]).detach().numpy()[0, 0]
    assert np.abs(y - expected).max() <= 1e-5 * np.abs(expected).max()


def test_shifting_the_input_by_a_coarse_cell_shifts_the_answer():
    torch.manual_seed(7)
    network = DCDM(2, (2, 2, 2), channels=3)
    b = torch.zeros(1, 1, 64, 64)
    b[..., 30:34, 30:34] = torch.randn(4, 4)
    with torch.inference_mode():
        y, moved = network(b), network(torch.roll(b, (2, 4), (2, 3)))
    inside = slice(20, 44)  # the receptive field of these layers stays clear of the border
    assert torch.allclose(torch.roll(y, (2, 4), (2, 3))[..., inside, inside], moved[..., inside, inside], atol=1e-6)


@pytest.mark.parametrize("shape", [(7, 5), (1, 9), (6, 3), (5, 3, 7), (1, 4, 1)])
def test_odd_sizes_are_padded_with_zeros_and_cropped(shape):
    torch.manual_seed(83)
    network = DCDM(len(shape), (2, 2, 2), channels=3)
    b = torch.randn(1, 1, *shape)
    padded = torch.zeros(1, 1, *(n + n % 2 for n in shape))
    inside = (..., *(slice(n) for n in shape))
    padded[inside] = b
    with torch.inference_mode():
        torch.testing.assert_close(network(b), network(padded)[inside], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("slab", [1, 3000, 1 << 24])
@pytest.mark.parametrize("shape", [(1, 1), (9, 12), (33, 5), (1, 1, 1), (2, 1, 5), (7, 8, 9), (16, 16, 16)])
def test_slabs_give_the_same_answer(monkeypatch, shape, slab):
    monkeypatch.setattr(slabs, "SLAB", slab)
    torch.manual_seed(7)
    network = channels_last(DCDM(len(shape), (2, 4, 2), channels=3))
    evaluate = slabs.evaluation(network, shape)
    assert isinstance(evaluate, slabs.SlabEvaluation)
    for _ in range(2):  # nothing of the first evaluation is left in the second
        b = torch.randn(1, 1, *shape)
        expected = network(b).detach()
        assert (evaluate(b) - expected).abs().max() <= 1e-6 * expected.abs().max()
