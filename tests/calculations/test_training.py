"""The calcfunctions of the on-the-fly training."""

import io

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.calculations.training import (
    collect_training,
    frame_origin,
    merge_training_sets,
    training_set_from_dataset,
)
from aiida_hdiff.calculations.vasp_inputs import SETTINGS_EXTRA, settings_hash_of_ml_ab
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.formats import ml_ab_from_labelled, read_ml_ab, write_ml_ab
from tests.workflows.training_fixtures import REFERENCE, labelled_dataset, labelled_frames, learning_table


def ml_ab_node(frames, reference=REFERENCE):
    stream = io.StringIO()
    write_ml_ab(ml_ab_from_labelled(frames), stream)
    node = orm.SinglefileData(io.BytesIO(stream.getvalue().encode()), filename='ML_ABN')
    if reference is not None:
        node.base.extras.set(SETTINGS_EXTRA, reference)
    return node.store()


def content(node):
    with node.open(mode='rb') as stream:
        return read_ml_ab(stream)


@pytest.mark.usefixtures('aiida_profile')
class TestTrainingSets:
    def test_branches_are_merged_and_what_they_share_counts_once(self):
        common, one, two = (labelled_frames(steps) for steps in ([1, 2], [3], [4, 5]))
        branches = {
            'train_300K': ml_ab_node(common.concatenate([common, one])),
            'train_480K': ml_ab_node(common.concatenate([common, two])),
        }
        results = merge_training_sets(**branches)
        merged = content(results['ml_ab'])
        assert len(merged) == 5
        assert all(basis.tolist() == [[1, 1]] for basis in merged.basis_sets)
        assert sorted(frame.energy for frame in merged) == sorted(
            [*common.energies.tolist(), *one.energies.tolist(), *two.energies.tolist()]
        )
        assert results['record'].get_dict() == {
            'n_configurations': {'train_300K': 3, 'train_480K': 4},
            'n_merged': 5,
            'n_in_common': 2,
        }
        assert settings_hash_of_ml_ab(results['ml_ab']) == REFERENCE

    def test_the_level_of_theory_is_told_only_if_it_is_one(self):
        branches = {'a': ml_ab_node(labelled_frames([1])), 'b': ml_ab_node(labelled_frames([2]), reference=None)}
        assert settings_hash_of_ml_ab(merge_training_sets(**branches)['ml_ab']) is None

    def test_frames_become_a_training_set_in_the_order_of_the_structure(self, generate_structure):
        dataset = labelled_dataset([1, 2, 3]).store()
        node = training_set_from_dataset(dataset, generate_structure())
        ml_ab = content(node)
        assert ml_ab.elements == ('Ni', 'H')
        assert [frame.energy for frame in ml_ab] == dataset.frames().energies.tolist()
        assert settings_hash_of_ml_ab(node) == REFERENCE
        spoiled = labelled_dataset([1, 2, 3], unconverged=[2]).store()
        assert len(content(training_set_from_dataset(spoiled, generate_structure()))) == 2
        assert node.creator.inputs.dataset.pk == dataset.pk


def stage(name, steps, mode='train', **values):
    numbers = dict.fromkeys(('n_jobs', 'n_failed_jobs', 'n_steps_run', 'n_dft_steps', 'n_ml_steps', 'n_frames'), 1)
    return orm.Dict(
        {'name': name, 'mode': mode, 'steps': steps, 'versions': [], 'emulated': False, **numbers, **values}
    )


@pytest.mark.usefixtures('aiida_profile')
def test_the_steps_of_a_training_go_on_from_stage_to_stage():
    results = collect_training(
        orm.List(['ramp', 'train_300K', 'refit']),
        statistics_ramp=stage('ramp', 100, n_frames=7, versions=['6.4.3']),
        learning_ramp=learning_table([0, 50, 99]),
        statistics_train_300K=stage('train_300K', 40, emulated=True, versions=['6.5.1']),
        learning_train_300K=learning_table([0, 39], threshold=0.5),
        statistics_refit=stage('refit', 1, mode='refit'),
    )
    learning, statistics = results['learning'], results['statistics'].get_dict()
    assert learning.get_array('step').tolist() == [0, 50, 99, 100, 139]
    assert learning.get_array('rmse_step').tolist() == [0, 50, 99, 100, 139]
    assert learning.get_array('threshold').tolist() == [0.02, 0.02, 0.02, 0.5, 0.5]
    assert learning.get_array('dft').dtype == np.bool_
    assert statistics['spans'] == [
        {'stage': 'ramp', 'first_step': 0, 'steps': 100},
        {'stage': 'train_300K', 'first_step': 100, 'steps': 40},
    ]
    assert (statistics['n_frames'], statistics['n_jobs']) == (9, 3)
    assert (statistics['versions'], statistics['emulated']) == (['6.4.3', '6.5.1'], True)
    assert learning.base.attributes.get('emulated') is True


@pytest.mark.usefixtures('aiida_profile')
def test_a_training_that_has_learned_nothing():
    results = collect_training(orm.List(['ramp']), statistics_ramp=stage('ramp', 100))
    assert set(results) == {'statistics'}


def test_what_is_no_origin():
    assert frame_origin('ramp/iteration_01 ML_ABN 7') == ('ramp', 'iteration_01', 'ML_ABN 7')
    with pytest.raises(ValueError, match='is no origin of an on-the-fly training'):
        frame_origin('ML_AB:7')


def test_unconverged_frames_are_counted(aiida_profile):
    assert isinstance(labelled_dataset([1]), LabelledDataset)
    assert labelled_dataset([1, 2], unconverged=[2]).base.attributes.get('n_not_converged') == 1
