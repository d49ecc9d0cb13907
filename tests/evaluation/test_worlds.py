"""Worlds whose truth is known: the learned card ranks later people nearly as well as the truth itself."""

import pytest

from tests.support.learning import later_auc, learn
from tests.support.worlds import make_world, write_world_config


@pytest.mark.parametrize("seed", [1, 4])
def test_a_learned_card_comes_close_to_the_hidden_truth_of_a_world(tmp_path, seed):
    world = make_world(seed, 1500)
    found = learn(tmp_path, write_world_config(), world.people).document
    won = [each["outcome"] == "won" for each in world.people]
    truth = later_auc([world.truth[each["id"]] for each in world.people], won)
    assert found["auc_learned"] >= 0.97 * truth
    assert truth > 0.55
