"""Pooling of segments and paragraphs: equal weights at first, learned ones later, each owner's rows for itself."""

import torch

from training.model.pooling import Scores, pool, weights_within

OWNER = torch.tensor([0, 0, 2, 2, 2])
VALUES = torch.arange(10.0).view(5, 2)


def test_equal_weights_give_the_mean_of_each_owners_rows_and_zeros_without_rows() -> None:
    assert pool(VALUES, OWNER, 4).tolist() == [[1, 2], [0, 0], [6, 7], [0, 0]]


def test_scores_weigh_rows_by_a_softmax_within_their_owner() -> None:
    scores = torch.tensor([3.0, 3.0, 1000.0, 1001.0, -1000.0])
    weights = weights_within(OWNER, 3, scores)
    expected = torch.cat([scores[:2].softmax(0), scores[2:].softmax(0)])
    assert torch.allclose(weights, expected) and weights.isfinite().all()
    assert torch.allclose(pool(VALUES, OWNER, 3, scores)[2], expected[2:] @ VALUES[2:])


def test_a_new_network_of_scores_pools_as_the_mean_does() -> None:
    torch.manual_seed(0)
    values = torch.randn(5, 8)
    assert torch.equal(pool(values, OWNER, 3, Scores(8)(values)), pool(values, OWNER, 3))


def test_gradients_of_values_and_scores_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    values, scores, factor = torch.randn(5, 3).double(), torch.randn(5).double(), torch.randn(3, 3)

    def total(of_values: torch.Tensor, of_scores: torch.Tensor) -> torch.Tensor:
        return (pool(of_values, OWNER, 3, of_scores) * factor).sum()

    given = values.requires_grad_(), scores.requires_grad_()
    assert torch.autograd.gradcheck(total, given, eps=1e-2, atol=5e-3, rtol=1e-2)  # pooled in float32
