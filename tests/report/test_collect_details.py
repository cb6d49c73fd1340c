"""From the output nodes of a run to the details of a report."""

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_hdiff.data.arrhenius import ArrheniusData
from aiida_hdiff.data.diffusivity import DiffusivityData
from aiida_hdiff.report.collect_details import path_from_reader, run_details
from aiida_hdiff.report.collect_provenance import ancestor_graph
from tests.data.test_results import ARRHENIUS, DIFFUSIVITY
from tests.report import synthetic


def array_node(arrays, **attributes):
    node = orm.ArrayData()
    for name, values in arrays.items():
        node.set_array(name, np.asarray(values))
    node.base.attributes.set_many(attributes)
    return node


@pytest.fixture
def outputs(aiida_profile):
    sites = synthetic.network(synthetic.walk()[0])
    return {
        'diffusivity': DiffusivityData(
            {**DIFFUSIVITY, 'interval_kind': 'log', 'walker_std_error_m2_s': 2e-10, 'warnings': ['few hops']}
        ),
        'msd': array_node(
            {
                'lag_times_ps': [0.0, 1.0],
                'msd_A2': [0.0, 1.0],
                'window_start_ps': [1.0, 2.0],
                'window_end_ps': [5.0, 10.0],
                'window_value_m2_s': [1e-9, 2e-9],
                'window_std_error_m2_s': [1e-10, 3e-10],
            }
        ),
        'sites': array_node(
            {
                'positions_A': sites.positions_A,
                'kinds': sites.kinds,
                'occupation': sites.site_occupation,
                'cell_A': sites.cell_A,
                'host_positions_A': sites.host_positions_A,
                'host_numbers': sites.host_numbers,
                'edges': sites.edges,
                'edge_counts': sites.edge_counts,
            },
            lattice='fcc',
            kind_names=['octahedral', 'tetrahedral'],
            occupation_fractions={'octahedral': [0.9, 0.02]},
            residence_times_ps={'octahedral': [2.0, 0.3], 'tetrahedral': None},
            jump_rates_per_ps={'octahedral-tetrahedral': {'value': 0.2, 'std_error': 0.01, 'count': 40}},
            n_jumps=40,
            correlation_factor=0.9,
            reason=None,
        ),
        'correlations': array_node(
            {
                'van_hove_r_A': np.linspace(0.0, 5.0, 20),
                'van_hove_lags_ps': [1.0, 5.0],
                'van_hove_self': np.ones((2, 20)),
                'non_gaussian': [0.5, 0.1],
                'pair_times_ps': [0.5, 1.5],
                'pair_counts': [1.0, 0.0],
            },
            pair_cutoff_A=3.0,
            pair_mean=0.5,
            pair_std_error=0.2,
            pair_random=0.3,
            collective_value_m2_s=3e-9,
            haven_ratio=0.8,
        ),
        'structure_check': orm.Dict({'warnings': [{'kind': 'melting', 'message': 'the host melts', 'time_ps': 12.5}]}),
    }


def test_all_outputs(outputs):
    details = run_details(outputs, None)
    assert details.warnings == ('few hops', 'the host melts (at 12.5 ps)')
    assert details.interval_kind == 'log'
    assert details.walker_std_error_m2_s == 2e-10
    np.testing.assert_array_equal(details.windows.value_m2_s, [1e-9, 2e-9])
    assert details.pairs.mean == 0.5
    assert details.van_hove.self_part.shape == (2, 20)
    assert details.collective.haven_ratio == 0.8
    assert details.sites.occupation == {'octahedral': (0.9, 0.02)}
    assert details.sites.residence_times_ps == {'octahedral': (2.0, 0.3), 'tetrahedral': None}
    assert details.sites.jump_rates_per_ps == {'octahedral-tetrahedral': (0.2, 0.01, 40)}
    assert len(details.sites.site_occupation) == len(details.sites.positions_A)


@pytest.mark.parametrize('missing', ['msd', 'sites', 'correlations', 'structure_check'])
def test_any_output_may_be_missing(outputs, missing):
    del outputs[missing]
    details = run_details(outputs, None)
    part = {'msd': 'windows', 'sites': 'sites', 'correlations': 'van_hove'}.get(missing)
    assert part is None or getattr(details, part) is None


def test_old_studies_have_no_details(aiida_profile):
    details = run_details({'diffusivity': DiffusivityData(DIFFUSIVITY)}, None)
    assert details.windows is details.sites is details.pairs is details.van_hove is details.collective is None
    assert details.warnings == ()


def test_sites_that_were_not_found_say_why(outputs):
    empty = {'positions_A': np.empty((0, 3)), 'kinds': np.empty(0, dtype=int), 'cell_A': np.empty((0, 3))}
    outputs['sites'] = array_node(empty, reason='the host is no lattice')
    details = run_details(outputs, None)
    assert details.sites is None
    assert 'The sites of hydrogen are not known: the host is no lattice' in details.warnings


def test_path_of_a_trajectory(generate_trajectory):
    trajectory = generate_trajectory()
    with trajectory.reader() as reader:
        path = path_from_reader(reader)
        hydrogen = np.nonzero(reader.numbers == 1)[0]
        positions, host = reader.positions(hydrogen), reader.positions(np.nonzero(reader.numbers != 1)[0])
    drift = host.mean(axis=1) - host[0].mean(axis=0)
    moved = np.linalg.norm(positions[-1] - positions[0] - drift[-1], axis=1)
    assert path.atom == hydrogen[moved.argmax()]
    assert path.displacement_A == pytest.approx(moved.max(), abs=1e-6)
    assert len(path.times_ps) == trajectory.n_frames
    assert set(path.host_symbols) <= {'Ni'}


def test_graph_follows_the_links_and_leaves_out_bookkeeping(aiida_profile):
    settings, parameters = orm.Dict({'a': 1}).store(), orm.Dict({'b': 1}).store()
    result = DiffusivityData(DIFFUSIVITY)

    def calculation(label):
        node = orm.CalcFunctionNode()
        node.base.attributes.set('process_label', label)
        return node

    hidden, maker = calculation('stage_parameters'), calculation('diffusivity_from_trajectory')
    hidden.base.links.add_incoming(settings, LinkType.INPUT_CALC, 'settings')
    hidden.store()
    made = orm.Dict({'c': 1})
    made.base.links.add_incoming(hidden, LinkType.CREATE, 'result')
    made.store()
    for name, node in {'settings': settings, 'other': parameters, 'stage': made}.items():
        maker.base.links.add_incoming(node, LinkType.INPUT_CALC, name)
    maker.store()
    result.base.links.add_incoming(maker, LinkType.CREATE, 'diffusivity')
    result.store()
    fit, fitter = ArrheniusData(ARRHENIUS), calculation('arrhenius_from_diffusivities')
    fitter.base.links.add_incoming(result, LinkType.INPUT_CALC, 'run')
    fitter.store()
    fit.base.links.add_incoming(fitter, LinkType.CREATE, 'result')
    fit.store()
    graph = ancestor_graph(result, fit, 'D')
    assert {node.uuid for node in graph.nodes} == {
        node.uuid for node in (settings, parameters, maker, result, fit, fitter)
    }
    assert graph.left_out == 1
    assert (settings.uuid, maker.uuid, 'settings') in graph.edges
    kinds = {node.uuid: node.kind for node in graph.nodes}
    assert kinds[result.uuid] == kinds[fit.uuid] == 'result'
    assert kinds[maker.uuid] == 'calculation'
