"""The losses against numbers worked out by hand, and what must not change them."""

import math

import pytest
import torch
import torch.nn.functional as F

from training.model.losses import INITIAL_LOG_SCALE, LARGEST_SCALE, avca_triplets, info_nce, same_film

SCALE = torch.tensor(INITIAL_LOG_SCALE)


def test_loss_of_unrelated_embeddings_is_about_the_logarithm_of_the_batch():
    torch.manual_seed(0)
    query, audio = torch.randn(2, 512, 256)
    assert info_nce(query, audio, SCALE).item() == pytest.approx(math.log(512), rel=0.02)


def test_loss_of_two_orthogonal_pairs_is_as_worked_out_by_hand():
    pairs = torch.eye(2)
    expected = math.log(math.exp(5) + 1) - 5  # cosines 1 and 0 at scale 5
    assert info_nce(pairs, pairs, SCALE).item() == pytest.approx(expected, rel=1e-5)


def test_order_of_the_batch_and_length_of_vectors_change_nothing():
    torch.manual_seed(0)
    query, audio, order = torch.randn(16, 8), torch.randn(16, 8), torch.randperm(16)
    loss = info_nce(query, audio, SCALE)
    assert torch.allclose(info_nce(query[order] * 3, audio[order] / 7, SCALE), loss)


def test_a_track_of_the_same_film_is_left_out_of_the_negatives_when_masked():
    query = torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    excluded = same_film(torch.tensor([4, 4, 9]))
    assert excluded.tolist() == [[False, True, False], [True, False, False], [False, False, False]]
    without_twin = info_nce(query[1:], query[1:], SCALE)
    masked = info_nce(query, query, SCALE, excluded)
    assert masked < info_nce(query, query, SCALE)
    assert masked.item() == pytest.approx((2 * without_twin.item() + math.log(2 + math.exp(5)) - 5) / 3, rel=1e-4)


def test_the_scale_is_clamped_at_one_hundred():
    torch.manual_seed(0)
    query, audio = torch.randn(2, 8, 4)
    at_clamp = info_nce(query, audio, torch.tensor(math.log(LARGEST_SCALE)))
    assert torch.equal(info_nce(query, audio, torch.tensor(50.0)), at_clamp)


def test_bfloat16_embeddings_are_compared_in_float32():
    torch.manual_seed(0)
    query, audio = torch.randn(2, 8, 4).bfloat16()
    assert torch.equal(info_nce(query, audio, SCALE), info_nce(query.float(), audio.float(), SCALE))


def test_avca_sums_its_eight_triplets_over_the_one_wrong_film_of_each():
    torch.manual_seed(0)
    t, i, a = torch.randn(3, 4, 8)
    other = torch.tensor([1, 2, 3, 0])
    tn, iin, an = t[other], i[other], a[other]
    triplets = [(t, a, tn), (i, a, iin), (a, t, an), (a, i, an), (a, i, iin), (a, t, tn), (t, a, an), (i, a, an)]
    expected = 0.0
    for anchor, right, wrong in triplets:
        margin = F.pairwise_distance(anchor, right) - F.pairwise_distance(anchor, wrong) + 1
        expected += margin.clamp(min=0).mean().item()
    negatives = F.one_hot(other, 4).bool()
    assert avca_triplets(t, i, a, negatives).item() == pytest.approx(expected, rel=1e-5)


def test_several_wrong_films_weigh_alike_and_none_is_no_loss():
    torch.manual_seed(0)
    t, i, a = torch.randn(3, 4, 8)
    shifts = [F.one_hot((torch.arange(4) + n) % 4, 4).bool() for n in (1, 2, 3)]
    apart = sum(avca_triplets(t, i, a, shift) for shift in shifts) / 3
    assert torch.allclose(avca_triplets(t, i, a, ~torch.eye(4, dtype=torch.bool)), apart)
    assert avca_triplets(t, i, a, torch.zeros(4, 4, dtype=torch.bool)) == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU to compare the CPU with")
def test_a_gpu_has_the_losses_of_the_cpu():
    torch.manual_seed(0)
    given = *torch.randn(3, 64, 32), ~torch.eye(64, dtype=torch.bool)
    there = [value.cuda() for value in given]
    assert avca_triplets(*there).item() == pytest.approx(avca_triplets(*given).item(), rel=1e-5)
    assert info_nce(*there[:2], SCALE.cuda()).item() == pytest.approx(info_nce(*given[:2], SCALE).item(), rel=1e-5)
