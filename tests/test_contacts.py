"""Predicted contacts: known answers, definitions written out, invariance, planted couplings."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hush.errors import HushError
from hush.tasks.contacts import aligned, precision, precisions
from hush.tasks.dca import STATES, apc, effective_number, mean_field, reweighted
from hush.tasks.msa_transformer import esm_contacts
from hush.tasks.pseudo_likelihood import PseudoLikelihood, pseudo_likelihood

Predictor = Callable[..., np.ndarray]
PREDICTORS = [mean_field, pseudo_likelihood]
PLANTED = [(0, 7), (2, 9), (4, 11), (5, 13)]


def draw(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Rows of three subfamilies, so that some are similar."""
    rng = np.random.default_rng(seed)
    ancestors = rng.integers(0, STATES, (3, columns))
    kept = rng.random((rows, columns)) < 0.85
    drawn = rng.integers(0, STATES, (rows, columns))
    return np.where(kept, ancestors[rng.integers(0, 3, rows)], drawn).astype(np.uint8)


def sample(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Gibbs samples of a Potts model in which `PLANTED` columns prefer matching states."""
    rng = np.random.default_rng(seed)
    partner = dict(PLANTED) | {j: i for i, j in PLANTED}
    fields = rng.normal(0, 0.5, (columns, STATES))
    match = np.argsort(rng.random((columns, STATES)), axis=1)
    for i, j in PLANTED:
        match[j, match[i]] = np.arange(STATES)
    x = rng.integers(0, STATES, (rows, columns))
    for _ in range(25):
        for i in range(columns):
            energy = np.tile(fields[i], (rows, 1))
            if i in partner:
                energy[np.arange(rows), match[partner[i], x[:, partner[i]]]] += 4.0
            x[:, i] = np.argmax(energy + rng.gumbel(size=energy.shape), axis=1)
    return x.astype(np.uint8)


# -- weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [1, 2**17])  # 64 rows at once, or all
@pytest.mark.parametrize("identity", [0.5, 0.8, 1.0])
def test_weights_are_one_over_the_number_of_similar_rows(
    identity: float, words: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hush.tasks.distances.WORDS", words)
    x = draw(150, 30)
    x[5] = x[6]
    similar = [
        sum(a is b or np.sum(a == b) / len(a) > identity for b in x)
        if identity < 1
        else sum(np.array_equal(a, b) for b in x)
        for a in x
    ]
    assert max(similar) > 1
    np.testing.assert_array_equal(reweighted(x, identity), 1 / np.array(similar))
    assert effective_number(x, identity) == pytest.approx(sum(1 / np.array(similar)))


def test_rows_that_agree_in_exactly_the_share_are_not_similar() -> None:
    x = np.zeros((2, 10), np.uint8)
    x[1, :2] = 1
    assert reweighted(x, 0.8).tolist() == [1, 1]
    x[1, 0] = 0
    assert reweighted(x, 0.8).tolist() == [0.5, 0.5]


# -- mean-field ----------------------------------------------------------------------------------


def written_out(x: np.ndarray, weights: np.ndarray, pseudocount: float, out: int) -> np.ndarray:
    """Mean-field DCA by its definition, with the state `out` left out of the covariance."""
    columns = x.shape[1]
    q, kept = STATES, np.delete(np.arange(STATES), out)
    hot = np.eye(q)[x]
    share = weights / weights.sum()
    single = pseudocount / q + (1 - pseudocount) * np.einsum("n,nia->ia", share, hot)
    pair = pseudocount / q**2 + (1 - pseudocount) * np.einsum(
        "nia,njb->iajb", share[:, None, None] * hot, hot
    )
    for i in range(columns):
        pair[i, :, i] = np.diag(single[i])
    covariance = pair - single[:, :, None, None] * single
    inverse = np.linalg.inv(
        covariance[:, kept][..., kept].reshape(columns * (q - 1), columns * (q - 1))
    )
    J = np.zeros((columns, q, columns, q))
    J[np.ix_(range(columns), kept, range(columns), kept)] = -inverse.reshape(
        columns, q - 1, columns, q - 1
    )
    J -= J.mean(axis=1, keepdims=True)
    J -= J.mean(axis=3, keepdims=True)
    norms = np.sqrt(np.square(J[:, : q - 1, :, : q - 1]).sum(axis=(1, 3)))
    np.fill_diagonal(norms, 0)
    return apc(norms)


@pytest.mark.parametrize("out", [STATES - 1, 3], ids=["gap left out", "another state left out"])
@pytest.mark.parametrize("rows", [30, 300], ids=["rows inverted", "columns inverted"])
@pytest.mark.parametrize("pseudocount", [0.2, 0.5])
def test_mean_field_is_its_definition(rows: int, out: int, pseudocount: float) -> None:
    x = draw(rows, 9)
    weights = reweighted(x, 0.7)
    expected = written_out(x, weights, pseudocount, out)
    found = mean_field(x, identity=0.7, pseudocount=pseudocount)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    given = mean_field(x, weights=3 * weights, pseudocount=pseudocount)
    np.testing.assert_allclose(given, found, atol=1e-6)


def test_apc_known_answer() -> None:
    scores = np.array([[9.0, 1, 2], [1, 9, 3], [2, 3, 9]])
    expected = [[0, -0.5, 0.125], [-0.5, 0, 0.5], [0.125, 0.5, 0]]
    np.testing.assert_allclose(apc(scores), expected)
    np.testing.assert_array_equal(apc(np.ones((4, 4))), 0)
    np.testing.assert_array_equal(apc(np.ones((1, 1))), 0)


# -- pseudo-likelihood ---------------------------------------------------------------------------


def test_the_pseudo_likelihood_is_its_definition() -> None:
    """Of couplings written out in full, and not through rows."""
    x = draw(14, 6)
    weights = reweighted(x)
    model = PseudoLikelihood(x, weights, 0.3, torch.float64)
    rng = np.random.default_rng(1)
    fields, B = (torch.tensor(rng.normal(size=t.shape)) for t in model.start())
    A = (model.dual @ B).numpy().reshape(14, 6, STATES)
    hot = np.eye(STATES)[x]
    W = np.einsum("njb,nia->iajb", hot, A)  # of column i, given column j
    value, squares = 0.0, np.square(fields.numpy()).sum()
    for i in range(6):
        W[i, :, i] = 0
        squares += np.square(W[i]).sum() / 2
        energy = fields[i].numpy() + np.einsum("ajb,njb->na", W[i], hot)
        log_p = energy - np.log(np.exp(energy).sum(axis=1, keepdims=True))
        value -= np.sum(weights * log_p[np.arange(14), x[:, i]]) / weights.sum()
    assert model(fields, B).item() == pytest.approx(value + 0.3 * squares)
    point = [fields.requires_grad_(), B.requires_grad_()]
    gradient = torch.autograd.grad(model(*point), point)
    step = [1e-5 * torch.tensor(rng.normal(size=t.shape)) for t in point]
    with torch.no_grad():
        ahead = model(*(t + d for t, d in zip(point, step, strict=True)))
        back = model(*(t - d for t, d in zip(point, step, strict=True)))
        slope = sum(float((g * d).sum()) for g, d in zip(gradient, step, strict=True))
    assert float(ahead - back) / 2 == pytest.approx(slope, rel=1e-6)


def test_couplings_through_rows_are_the_best_of_all() -> None:
    """Minimised over all couplings, the pseudo-likelihood is not lower."""
    x = draw(12, 4)
    weights = reweighted(x)
    model = PseudoLikelihood(x, weights, 0.05, torch.float64)
    fields, B = (t.requires_grad_() for t in model.start())
    through = _minimise(lambda: model(fields, B), [fields, B])
    hot = torch.tensor(np.eye(STATES)[x])
    share = torch.tensor(weights / weights.sum())
    h = torch.zeros(4, STATES, dtype=torch.float64, requires_grad=True)
    W = torch.zeros(4, STATES, 4, STATES, dtype=torch.float64, requires_grad=True)
    others = (1 - torch.eye(4, dtype=torch.float64))[:, None, :, None]

    def full() -> torch.Tensor:
        energy = h + torch.einsum("iajb,njb->nia", W * others, hot)
        logs = (torch.log_softmax(energy, dim=2) * hot).sum(dim=(1, 2))
        return 0.05 * (h.square().sum() + W.square().sum() / 2) - share @ logs

    assert through == pytest.approx(_minimise(full, [h, W]), rel=1e-6)


def _minimise(value: Callable[[], torch.Tensor], parameters: list[torch.Tensor]) -> float:
    optimiser = torch.optim.LBFGS(
        parameters,
        max_iter=200,
        tolerance_grad=1e-9,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        found = value()
        found.backward()
        return found

    optimiser.step(closure)
    return value().item()


# -- both ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("predict", PREDICTORS)
@pytest.mark.parametrize("rows", [120, 800])
def test_planted_couplings_are_found(predict: Predictor, rows: int) -> None:
    x = sample(rows, 16)
    scores = predict(x)
    i, j = np.triu_indices(16, 1)
    best = np.argsort(-scores[i, j])[: len(PLANTED)]
    assert sorted(zip(i[best], j[best], strict=True)) == PLANTED
    np.testing.assert_array_equal(scores, scores.T)
    np.testing.assert_array_equal(np.diag(scores), 0)


@pytest.mark.parametrize("predict", PREDICTORS)
def test_order_copies_and_names_of_states_do_not_matter(predict: Predictor) -> None:
    x = sample(100, 14)
    scores = predict(x)
    close = {"atol": 5e-3 * scores.max()}  # pseudo-likelihood ends where L-BFGS ends
    rng = np.random.default_rng(2)
    np.testing.assert_allclose(predict(rng.permutation(x)), scores, **close)
    np.testing.assert_allclose(predict(np.repeat(x, 3, axis=0)), scores, **close)
    columns = rng.permutation(14)
    np.testing.assert_allclose(predict(x[:, columns]), scores[np.ix_(columns, columns)], **close)
    states = np.r_[rng.permutation(STATES - 1), STATES - 1].astype(np.uint8)
    np.testing.assert_allclose(predict(states[x]), scores, **close)


@pytest.mark.parametrize("predict", PREDICTORS)
@pytest.mark.parametrize("shape", [(1, 5), (6, 1), (3, 2)])
def test_small_and_constant_alignments_have_finite_scores(
    predict: Predictor, shape: tuple[int, int]
) -> None:
    for x in (np.zeros(shape, np.uint8), np.full(shape, STATES - 1, np.uint8), draw(*shape)):
        scores = predict(x)
        assert scores.shape == (shape[1], shape[1])
        assert np.isfinite(scores).all()


@pytest.mark.parametrize("predict", PREDICTORS)
def test_what_is_no_alignment_is_refused(predict: Predictor) -> None:
    with pytest.raises(HushError, match=r"range from 0 to 30; they have to be 0 to 20"):
        predict(np.array([[0, 30]], np.uint8))
    with pytest.raises(HushError, match=r"give states \(N, L\)"):
        predict(np.zeros(5, np.uint8))
    with pytest.raises(HushError, match=r"give states \(N, L\)"):
        predict(np.zeros((0, 5), np.uint8))
    with pytest.raises(HushError, match="not an alignment"):
        predict(np.zeros((3, 5)))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(HushError, match="pseudocount is 0"):
        mean_field(draw(4, 4), pseudocount=0.0)
    with pytest.raises(HushError, match="regularisation above 0"):
        pseudo_likelihood(draw(4, 4), regularisation=0.0)


# -- precision -----------------------------------------------------------------------------------


def scored(pairs: dict[tuple[int, int], float], side: int) -> np.ndarray:
    x = np.zeros((side, side))
    for (i, j), value in pairs.items():
        x[i, j] = x[j, i] = value
    return x


def test_precision_known_answers() -> None:
    scores = scored({(0, 9): 5, (1, 8): 4, (2, 7): 3, (0, 1): 99, (3, 9): 2}, 10)
    true = scored({(0, 9): 1, (2, 7): 1, (0, 1): 1}, 10) > 0
    # 10 pairs are at least 6 apart: L = 10 of them, then 5, then 2
    assert precision(scores, true, separation=6) == pytest.approx(0.1)
    assert precision(scores, true, separation=6, divisor=5) == pytest.approx(0.5)
    assert precision(scores, true, separation=5, divisor=2) == pytest.approx(2 / 5)
    assert precision(scores, true, separation=1, divisor=5) == 1.0
    assert precision(scores, true, separation=9, divisor=1) == 1.0
    assert np.isnan(precision(scores, true, separation=10))


def test_columns_without_a_residue_do_not_count() -> None:
    scores = scored({(0, 9): 5, (1, 8): 4, (2, 8): 3, (2, 9): 2}, 10)
    true = scored({(1, 8): 1, (2, 9): 1}, 10) > 0
    known = np.ones(10, bool)
    known[[0, 4]] = False
    # L is 8: the two best pairs without column 0 are (1, 8) and (2, 8); 6 apart in the query
    assert precision(scores, true, known, separation=6, divisor=4) == 0.5
    scores[0] = scores[:, 0] = np.nan
    assert precision(scores, true, known, separation=6, divisor=4) == 0.5
    with pytest.raises(HushError, match="not finite"):
        precision(scores, true, separation=6)


def test_precisions_are_for_all_ranges_and_lengths() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((40, 40))
    true = rng.random((40, 40)) < 0.2
    found = precisions(scores, true)
    assert sorted(found) == [(s, d) for s in (6, 12, 24) for d in (1, 2, 5)]
    assert found[12, 2] == precision(scores, true, separation=12, divisor=2)


def test_shapes_that_disagree_are_refused() -> None:
    with pytest.raises(HushError, match=r"\(3, 3\).*\(4, 4\)"):
        precision(np.zeros((3, 3)), np.zeros((4, 4), bool))


# -- sequences -----------------------------------------------------------------------------------


def test_a_query_is_aligned_with_its_structure() -> None:
    pytest.importorskip("biotite")
    query = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ"
    assert aligned(query, query).tolist() == [[k, k] for k in range(len(query))]
    missing = query[3:15] + query[20:] + "GGG"  # two ends, and a loop of five, without coordinates
    pairs = aligned(query, missing)
    assert [query[i] for i, _ in pairs] == [missing[j] for _, j in pairs]
    assert len(pairs) == len(query) - 8
    assert not len(aligned("", query))


def test_letters_without_a_residue_can_be_aligned() -> None:
    pytest.importorskip("biotite")
    pairs = aligned("MKTAYJAKORQISFVUSHF", "MKTAYIAKQRQISFVKSHF")
    assert pairs.tolist() == [[k, k] for k in range(19)]


# -- the MSA Transformer -------------------------------------------------------------------------


def test_the_msa_transformer_needs_its_package_and_weights(tmp_path: Path) -> None:
    tokens = np.full((3, 6), 5, np.uint8)
    try:
        import esm  # noqa: F401
    except ImportError:
        with pytest.raises(HushError, match="pip install fair-esm"):
            esm_contacts(tokens, tmp_path / "none.pt")
        return
    with pytest.raises(HushError, match=r"none\.pt does not exist"):
        esm_contacts(tokens, tmp_path / "none.pt")


def weights_file(folder: Path) -> tuple[Path, torch.nn.Module]:
    """A small network with random weights, stored as the published ones are, and itself."""
    esm = pytest.importorskip("esm")
    torch.manual_seed(0)
    sizes = {"layers": 2, "embed_dim": 32, "ffn_embed_dim": 32, "attention_heads": 4}
    drops = {"dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.1}
    most = {"max_tokens": 2**14, "max_tokens_per_msa": 2**14, "max_positions": 1024}
    args = Namespace(
        arch="msa_transformer",
        embed_positions_msa=True,
        embed_positions_msa_dim=32,
        **sizes,
        **drops,
        **most,
    )
    network = esm.MSATransformer(args, esm.Alphabet.from_architecture(args.arch)).eval()
    swapped = {"row": "column", "column": "row"}
    stored, regression = {}, {}
    for name, value in network.state_dict().items():
        if name.startswith("contact_head.regression"):
            regression[name] = value
        else:
            name = re.sub("row|column", lambda found: swapped[found[0]], name)
            stored[f"encoder.{'' if name.startswith('lm_head') else 'sentence_encoder.'}{name}"] = (
                value
            )
    path = folder / "small.pt"
    torch.save({"args": args, "model": stored}, path)
    torch.save({"model": regression}, folder / "small-contact-regression.pt")
    return path, network


def test_the_msa_transformers_contacts_are_those_of_its_network(tmp_path: Path) -> None:
    path, network = weights_file(tmp_path)
    tokens = np.random.default_rng(0).integers(4, 31, (6, 12)).astype(np.uint8)
    found = esm_contacts(tokens, path)
    rows = torch.from_numpy(np.insert(tokens.astype(np.int64), 0, 0, axis=1))
    with torch.no_grad():
        expected = network.predict_contacts(rows[None])[0].numpy()
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found, found.T, rtol=1e-6)


def test_loading_weights_runs_no_code(tmp_path: Path) -> None:
    path, _ = weights_file(tmp_path)
    trace = tmp_path / "ran"
    bad = path.with_name("bad.pt")
    torch.save({"args": Namespace(arch="msa_transformer"), "model": Runs(trace)}, bad)
    with pytest.raises(HushError, match="not a file of weights, or holds more"):
        esm_contacts(np.full((2, 4), 5, np.uint8), bad)
    assert not trace.exists()
    path.with_name("small-contact-regression.pt").unlink()
    with pytest.raises(HushError, match=r"small-contact-regression\.pt does not exist"):
        esm_contacts(np.full((2, 4), 5, np.uint8), path)


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_the_msa_transformer_takes_tokens_up_to_its_size() -> None:
    with pytest.raises(HushError, match="at most 1,024 rows and 1,023 columns, not 1,025 × 4"):
        esm_contacts(np.full((1025, 4), 5, np.uint8), "none.pt")
    with pytest.raises(HushError, match=r"takes tokens \(N, L\)"):
        esm_contacts(np.full((2, 4), 99, np.uint8), "none.pt")
