import csv
import io
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from aiida_hdiff.report.citations import METHOD_KEYS, REFERENCES, TOOL_KEYS, bibtex, study_citations
from aiida_hdiff.report.compare import deviations
from aiida_hdiff.report.details import GraphNode, PairSeries, ProvenanceGraph
from aiida_hdiff.report.interactive import make_panels
from aiida_hdiff.report.interactive.panel import numbers, sequence_colours
from aiida_hdiff.report.methods import methods_paragraph
from aiida_hdiff.report.page_script import json_block
from aiida_hdiff.report.path import MAX_HOST_ATOMS, MAX_POINTS, hydrogen_path
from aiida_hdiff.report.provenance_graph import graph_svg
from aiida_hdiff.report.tables import make_tables, save_tables
from tests.report import synthetic


def walk(node):
    """Yield every value of a nested figure."""
    if isinstance(node, dict):
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)
    else:
        yield node


def test_panels_are_json_without_arrays_or_infinities(any_study):
    for panel in make_panels(any_study).values():
        for variant in panel.variants:
            json_block(variant.figure)
            values = list(walk(variant.figure))
            assert all(value is None or isinstance(value, (str, bool, int, float)) for value in values)
            assert not any(isinstance(value, float) and not math.isfinite(value) for value in values)


def test_full_study_has_every_panel(full_study):
    panels = make_panels(full_study)
    assert list(panels) == [
        'arrhenius', 'deviation', 'msd', 'window', 'path', 'occupation', 'residence', 'network', 'rdf', 'rdf_compare',
        'pairs', 'van_hove', 'nve', 'learning', 'learning_curves',
    ]  # fmt: skip
    assert [panel.name for panel in panels.values() if panel.is_3d] == ['path', 'network']
    assert len(panels['pairs'].variants) == 6
    assert {variant.group for variant in panels['pairs'].variants} == {'EAM Angelo 1995', 'MACE student'}


def test_panels_carry_the_numbers_of_the_study(full_study):
    panels = make_panels(full_study)
    result = full_study.potentials[0].temperatures[0]
    traces = panels['arrhenius'].variants[0].figure['data']
    points = next(trace for trace in traces if trace.get('name') == 'EAM Angelo 1995')
    assert points['y'][0] == pytest.approx(result.value_m2_s, rel=1e-3)
    assert points['x'][0] == pytest.approx(1000.0 / result.measured_temperature_K, rel=1e-5)
    path = next(trace for trace in panels['path'].variants[0].figure['data'] if trace['name'] == 'H')
    np.testing.assert_allclose(path['x'], result.details.path.positions_A[:, 0], atol=0.006)
    assert path['marker']['color'] == path['line']['color'] == numbers(result.details.path.times_ps)
    window = panels['window'].variants[0].figure['data'][0]
    assert window['y'] == pytest.approx([1.25, 1.08, 1.0, 1.01, 0.97])


def test_upper_bounds_point_down(magnesium_study):
    traces = make_panels(magnesium_study)['arrhenius'].variants[0].figure['data']
    (bound,) = [trace for trace in traces if trace.get('name', '').startswith('CHGNet') and 'upper' in trace['name']]
    assert bound['y'][0] == pytest.approx(3e-10)
    assert bound['y'][1] < bound['y'][0]
    assert '&lt; 3.00 × 10⁻¹⁰' in bound['text'][0]


def test_jumps_cross_the_boundary_by_the_shortest_way(full_study):
    sites = full_study.potentials[0].temperatures[0].details.sites
    lines = [
        trace for trace in make_panels(full_study)['network'].variants[0].figure['data'] if 'jump' in trace['name']
    ]
    lengths = []
    for trace in lines[:-1] if lines[-1]['mode'] == 'markers' else lines:
        xyz = np.array([trace[axis] for axis in 'xyz'], dtype=float).T.reshape(-1, 3, 3)
        lengths += np.linalg.norm(xyz[:, 1] - xyz[:, 0], axis=1).tolist()
    assert len(lengths) == len(sites.edges)
    np.testing.assert_allclose(lengths, synthetic.LATTICE_A / math.sqrt(2.0), atol=0.02)


def test_deviation_is_the_ratio_to_the_published_law(full_study):
    potential, value = full_study.potentials[0], full_study.literature[0]
    for one, result in zip(deviations(potential, value), potential.temperatures, strict=True):
        expected = result.value_m2_s / value.coefficient(result.measured_temperature_K)
        assert one.ratio == pytest.approx(expected)
        sigma = result.std_error_m2_s / result.value_m2_s
        assert one.distance_sigma == pytest.approx(abs(math.log(expected)) / sigma)
        assert not one.is_bound


def test_deviation_averages_replicas_and_takes_the_lowest_bound(nickel_study, magnesium_study):
    potential = nickel_study.potentials[0]
    law = nickel_study.literature[0]
    first = potential.temperatures[0]
    value, kelvin = first.value_m2_s, first.temperature_K
    pair = tuple(
        replace(first, replica=number, value_m2_s=value * factor, std_error_m2_s=0.1 * value * factor)
        for number, factor in enumerate((0.5, 2.0))
    )
    (one,) = deviations(replace(potential, temperatures=pair), law)
    assert one.ratio == pytest.approx(value / law.coefficient(first.measured_temperature_K))
    bounds = tuple(
        replace(magnesium_study.potentials[0].temperatures[0], temperature_K=kelvin, upper_bound_m2_s=bound)
        for bound in (3e-9, 1e-9, math.inf)
    )
    (one,) = deviations(replace(potential, temperatures=bounds), law)
    assert one.is_bound
    assert one.value_m2_s == 1e-9


def test_path_is_that_of_the_atom_that_moved_furthest():
    cell = np.diag([synthetic.LATTICE_A * synthetic.REPEATS] * 3)
    host = synthetic.host_positions()
    times = np.linspace(0.0, 100.0, 5000)
    positions = np.zeros((5000, 2, 3))
    positions[:, 0] = [1.76, 0.0, 0.0]
    positions[:, 1, 2] = np.linspace(0.0, 25.0, 5000)
    path = hydrogen_path(times, positions, [108, 109], host, ['Ni'] * len(host), cell)
    assert path.atom == 109
    assert path.displacement_A == pytest.approx(25.0)
    assert len(path.times_ps) == len(path.positions_A) == MAX_POINTS
    assert len(path.host_positions_A) <= MAX_HOST_ATOMS
    # Every host image is a lattice point near the line, also beyond the cell.
    fractional = path.host_positions_A / (synthetic.LATTICE_A / 2)
    np.testing.assert_allclose(fractional, fractional.round(), atol=1e-9)
    assert np.hypot(*path.host_positions_A[:, :2].T).max() < 1.1 * synthetic.LATTICE_A / math.sqrt(2.0)
    assert path.host_positions_A[:, 2].max() > 25.0
    bonds = path.host_positions_A[path.bonds]
    lengths = np.linalg.norm(bonds[:, 1] - bonds[:, 0], axis=1)
    np.testing.assert_allclose(lengths, synthetic.LATTICE_A / math.sqrt(2.0))


def test_tables_have_units_and_agree_with_the_study(full_study, tmp_path):
    paths = save_tables(full_study, tmp_path / 'new' / 'data')
    assert {path.stem for path in paths} == set(make_tables(full_study))
    for path in paths:
        with path.open(encoding='utf-8', newline='') as handle:
            rows = list(csv.reader(handle))
        assert len({len(row) for row in rows}) == 1, path
        assert 'nan' not in io.StringIO(path.read_text()).read()
    with (tmp_path / 'new' / 'data' / 'arrhenius.csv').open(encoding='utf-8') as handle:
        first = next(csv.DictReader(handle))
    result = full_study.potentials[0].temperatures[0]
    assert float(first['value_m2_s']) == pytest.approx(result.value_m2_s)
    assert float(first['measured_temperature_K']) == pytest.approx(result.measured_temperature_K)
    assert set(make_tables(full_study)['msd'][0]) >= {'lag_time_ps', 'msd_A2'}


def test_tables_of_an_empty_study(empty_study):
    assert list(make_tables(empty_study)) == ['literature']


def test_graph_puts_each_arrow_downwards_and_escapes():
    svg = graph_svg(synthetic.graph())
    rows = dict(re.findall(r'data-uuid="([^"]+)".*?<rect x="\d+" y="(\d+)"', svg))
    for source, target, _ in synthetic.graph().edges:
        if source != synthetic.graph().nodes[2].uuid:
            assert int(rows[source]) < int(rows[target])
    bad = ProvenanceGraph('<x>', (GraphNode('"u"', '<script>', '"data', '</svg>'),), ())
    assert '<script>' not in graph_svg(bad)
    assert graph_svg(bad).count('</svg>') == 1


def test_graph_refuses_a_cycle():
    nodes = (GraphNode('a', 'a', 'data'), GraphNode('b', 'b', 'data'))
    with pytest.raises(ValueError, match='has a cycle'):
        graph_svg(ProvenanceGraph('x', nodes, (('a', 'b', ''), ('b', 'a', ''))))


def test_bibtex_is_balanced_and_escaped(full_study, hostile_value):
    text = bibtex(study_citations(full_study), [*full_study.literature, hostile_value])
    assert text.count('@') == len(study_citations(full_study)) + len(full_study.literature) + 1
    bare = re.sub(r'\\[{}]', '', text)
    assert bare.count('{') == bare.count('}')
    assert r'A\$\_\{ \& <B>' in text
    assert len({*re.findall(r'@\w+\{([^,]+),', text)}) == text.count('@')


def test_citations_follow_the_programs(full_study):
    keys = {citation.key for citation in study_citations(full_study)}
    assert 'Thompson2022' in keys
    assert 'Deng2023' not in keys
    chgnet = replace(full_study, potentials=(replace(full_study.potentials[0], architecture='chgnet'),))
    assert 'Deng2023' in {citation.key for citation in study_citations(chgnet)}
    details = {'Northrup1980', 'Murch1982', 'VanHove1954'}
    assert details <= keys
    bare = replace(full_study, potentials=(replace(full_study.potentials[0], temperatures=()),))
    assert not details & {citation.key for citation in study_citations(bare)}
    assert REFERENCES['Huber2020'].text.startswith('Huber et al., AiiDA 1.0')
    assert REFERENCES['McCluskey2025'].text.startswith('McCluskey, Coles and Morgan, ')


@pytest.mark.parametrize('reference', REFERENCES.values(), ids=REFERENCES)
def test_references_are_complete(reference):
    assert re.fullmatch(r'10\.\d{4,9}/[-._;()/:A-Za-z0-9]+', reference.doi)
    assert re.fullmatch(r'[A-Z][A-Za-z]+\d{4}[a-z]?', reference.key)
    assert reference.year in reference.key
    assert all(author == 'others' or re.fullmatch(r'[^,]+, [^,]+', author) for author in reference.authors)
    assert all((reference.title, reference.journal, reference.volume, reference.pages))
    assert not re.search(r'[-–]', reference.pages), 'the first page or the number of the article'


def test_every_program_and_method_has_its_reference():
    from aiida_hdiff.engine.calculators import ARCHITECTURES
    from aiida_hdiff.engine.label_settings import CALCULATORS
    from aiida_hdiff.report.collect_tools import TOOLS

    assert {key for keys in TOOL_KEYS.values() for key in keys} | set(METHOD_KEYS) <= REFERENCES.keys()
    models = {'eam', 'emt', 'lennard_jones'}
    named = {tool for tools in TOOLS.values() for tool in tools} | set(ARCHITECTURES) | set(CALCULATORS)
    assert named - models <= TOOL_KEYS.keys()


@pytest.mark.parametrize('emulated', [False, True])
def test_what_made_a_potential_is_cited(full_study, emulated):
    potentials = tuple(replace(one, emulated=emulated) for one in full_study.potentials)
    provenance = replace(full_study.provenance, tools=('direct', 'gpaw', 'mace', 'vasp', 'vasp-mlff'))
    study = replace(full_study, potentials=potentials, provenance=provenance)
    keys, words = {citation.key for citation in study_citations(study)}, methods_paragraph(study)
    assert {'Batatia2022', 'Jinnouchi2019a', 'Jinnouchi2019b', 'Mortensen2024', 'Larsen2017', 'Qi2024'} <= keys
    assert ('Kresse1996' in keys) is not emulated
    assert ('came from VASP [Kresse1996, Kresse1999]' in words) is not emulated
    assert 'came from GPAW [Mortensen2024, Larsen2017]' in words
    assert 'DIRECT sampling [Qi2024]' in words
    assert 'computed by LAMMPS 2 Aug 2023 [Thompson2022].' in words
    assert set(re.findall(r'[A-Z][A-Za-z]+(?:19|20)\d\d[a-z]?', words)) <= keys


def test_numbers_are_short_and_finite():
    assert numbers([1.0, 0.123456, math.nan, math.inf, 1e-9]) == [1, 0.1235, None, None, 1e-9]
    assert len(set(sequence_colours(6))) == 6


def test_details_of_different_length_are_refused():
    with pytest.raises(ValueError, match='differ in length'):
        PairSeries([0.0, 1.0], [1.0], 3.0)
