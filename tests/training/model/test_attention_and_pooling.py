"""Attention between modalities, and pooling: equal weights at first, learned ones later, each owner alone."""

import torch

from training.model.attention_and_pooling import CrossAttention, Scores, pool, weights_within

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


def test_cross_attention_takes_from_the_other_modality_with_residual_and_layer_norm() -> None:
    torch.manual_seed(0)
    block = CrossAttention(8, 2, 4, 0.2).eval()
    text, image, changed = torch.randn(3, 5, 8)
    text_out, image_out = block(torch.stack([text, image], 1)).unbind(1)
    value = block.qkv.weight[16:]  # one key: the softmax is 1, so each takes the other's value
    assert torch.allclose(text_out, block.norm(text + block.out(image @ value.T)), atol=1e-6)
    assert torch.allclose(image_out, block.norm(image + block.out(text @ value.T)), atol=1e-6)
    assert not torch.allclose(block(torch.stack([text, changed], 1))[:, 0], text_out)
    alone = block(text[:, None])[:, 0]  # a single modality attends to itself
    assert torch.allclose(alone, block.norm(text + block.out(text @ value.T)), atol=1e-6)
    missing = block(torch.stack([text, image], 1), torch.tensor([[True, False]]).expand(5, 2))[:, 0]
    assert torch.allclose(missing, alone, atol=1e-6)
