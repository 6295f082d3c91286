"""The losses against values computed by hand, and their invariances."""

import math

import pytest
import torch
import torch.nn.functional as F

from training.data.negatives import false_negatives, same_film
from training.model.losses import INITIAL_LOG_SCALE, LARGEST_SCALE, avca_triplets, info_nce
from training.settings import Settings

SCALE = torch.tensor(INITIAL_LOG_SCALE)


def test_loss_of_unrelated_embeddings_is_about_the_logarithm_of_the_batch() -> None:
    torch.manual_seed(0)
    query, audio = torch.randn(2, 512, 256)
    assert info_nce(query, audio, SCALE).item() == pytest.approx(math.log(512), rel=0.02)


def test_loss_of_two_orthogonal_pairs_is_the_value_computed_by_hand() -> None:
    pairs = torch.eye(2)
    expected = math.log(math.exp(5) + 1) - 5  # cosines 1 and 0 at scale 5
    assert info_nce(pairs, pairs, SCALE).item() == pytest.approx(expected, rel=1e-5)


def test_order_of_the_batch_and_length_of_vectors_do_not_change_the_loss() -> None:
    torch.manual_seed(0)
    query, audio, order = torch.randn(16, 8), torch.randn(16, 8), torch.randperm(16)
    loss = info_nce(query, audio, SCALE)
    assert torch.allclose(info_nce(query[order] * 3, audio[order] / 7, SCALE), loss)


def test_tracks_of_the_same_film_are_excluded_from_the_negatives_when_masked() -> None:
    query = torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    excluded = same_film(torch.tensor([4, 4, 9]))
    assert excluded.tolist() == [[False, True, False], [True, False, False], [False, False, False]]
    without_twin = info_nce(query[1:], query[1:], SCALE)
    masked = info_nce(query, query, SCALE, excluded)
    assert masked < info_nce(query, query, SCALE)
    assert masked.item() == pytest.approx((2 * without_twin.item() + math.log(2 + math.exp(5)) - 5) / 3, rel=1e-4)


def test_a_recording_that_a_film_has_a_copy_of_is_no_negative_of_that_film_alone(quick: Settings) -> None:
    copies = torch.zeros(3, 3, dtype=torch.bool)
    copies[0, 2] = True  # film 4 has a copy of film 9's track, and film 9 none of film 4's
    excluded = false_negatives(quick, torch.tensor([4, 4, 9]), copies, lambda values: values)
    assert excluded is not None
    assert excluded.tolist() == [[False, True, True], [True, False, False], [False, False, False]]
    query, audio = torch.randn(2, 3, 4, generator=torch.manual_seed(0))
    logits = 5 * F.normalize(query, dim=-1) @ F.normalize(audio, dim=-1).T
    pairs = [(logits[0, [0]], 0), (logits[1, [1, 2]], 0), (logits[2], 2)]
    back = [(logits[[0, 2], 0], 0), (logits[[1, 2], 1], 0), (logits[[1, 2], 2], 1)]
    by_hand = [F.cross_entropy(values, torch.tensor(target)) for values, target in (*pairs, *back)]
    assert info_nce(query, audio, SCALE, excluded).item() == pytest.approx(sum(by_hand).item() / 6, rel=1e-5)


def test_the_scale_is_clamped_at_one_hundred() -> None:
    torch.manual_seed(0)
    query, audio = torch.randn(2, 8, 4)
    at_clamp = info_nce(query, audio, torch.tensor(math.log(LARGEST_SCALE)))
    assert torch.equal(info_nce(query, audio, torch.tensor(50.0)), at_clamp)


def test_bfloat16_embeddings_are_compared_in_float32() -> None:
    torch.manual_seed(0)
    query, audio = torch.randn(2, 8, 4).bfloat16()
    assert torch.equal(info_nce(query, audio, SCALE), info_nce(query.float(), audio.float(), SCALE))


def test_avca_sums_eight_triplets_over_one_negative_per_item() -> None:
    torch.manual_seed(0)
    t, i, a = torch.randn(3, 4, 8)
    other = torch.tensor([1, 2, 3, 0])
    tn, iin, an = t[other], i[other], a[other]
    triplets = [(t, a, tn), (i, a, iin), (a, t, an), (a, i, an), (a, i, iin), (a, t, tn), (t, a, an), (i, a, an)]
    expected = 0.0
    for anchor, positive, negative in triplets:
        margin = F.pairwise_distance(anchor, positive) - F.pairwise_distance(anchor, negative) + 1
        expected += margin.clamp(min=0).mean().item()
    negatives = F.one_hot(other, 4).bool()
    assert avca_triplets(t, i, a, negatives).item() == pytest.approx(expected, rel=1e-5)


def test_several_negatives_have_equal_weights_and_none_gives_zero_loss() -> None:
    torch.manual_seed(0)
    t, i, a = torch.randn(3, 4, 8)
    shifts = [F.one_hot((torch.arange(4) + n) % 4, 4).bool() for n in (1, 2, 3)]
    apart = sum(avca_triplets(t, i, a, shift) for shift in shifts) / 3
    assert torch.allclose(avca_triplets(t, i, a, ~torch.eye(4, dtype=torch.bool)), apart)
    assert avca_triplets(t, i, a, torch.zeros(4, 4, dtype=torch.bool)) == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU and NEEDLEDROP_TEST_GPU=1")
def test_losses_are_the_same_on_a_gpu() -> None:
    torch.manual_seed(0)
    inputs = *torch.randn(3, 64, 32), ~torch.eye(64, dtype=torch.bool)
    on_gpu = [value.cuda() for value in inputs]
    assert avca_triplets(*on_gpu).item() == pytest.approx(avca_triplets(*inputs).item(), rel=1e-5)
    assert info_nce(*on_gpu[:2], SCALE.cuda()).item() == pytest.approx(info_nce(*inputs[:2], SCALE).item(), rel=1e-5)
